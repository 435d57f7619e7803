"""Files and functions that fit a head, and words that have no place in what is finished."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests.architecture import source

FILE_LINES, FUNCTION_LINES = 400, 50
TEXTS = {".py", ".md", ".toml", ".html", ".css", ".yaml", ".yml", ".txt", ".sh"}
UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
# Whoever checks data has no need of models, and should not wait for them.
SECONDS_TO_IMPORT = ("bitsandbytes", "peft", "transformers")
PERSONAL = re.compile(r"(?<![\w.])/(?:home|Users|root|work)/\w+")


@pytest.mark.parametrize("path", source.modules(), ids=source.name)
def test_files_and_functions_fit_a_head(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= FILE_LINES
    long = {f.name: f.end_lineno - f.lineno + 1 for f in source.functions(path) if f.end_lineno is not None}
    assert not {n: lines for n, lines in long.items() if lines > FUNCTION_LINES}


@pytest.mark.parametrize("path", source.modules(), ids=source.name)
def test_only_what_takes_seconds_is_imported_inside_functions(path: Path) -> None:
    """The command line is the exception: a command loads its rooms when it runs."""
    if path in (source.PACKAGE / "__init__.py", *source.PACKAGE.glob("cli/*")):
        return
    late = {
        f"{name} in line {node.lineno}"
        for function in source.functions(path)
        for node in ast.walk(function)
        for name in _imported(node)
        if name.split(".")[0] not in SECONDS_TO_IMPORT
    }
    assert not late


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [node.module or "."] if not node.level else ["."]
    return [one.name for one in node.names] if isinstance(node, ast.Import) else []


@pytest.mark.parametrize("path", source.modules(), ids=source.name)
def test_what_is_public_says_what_it_is(path: Path) -> None:
    """Every module has a docstring, and so has every public class and function on its top level, if only a line."""
    module = source.tree(path)
    assert ast.get_docstring(module) or not module.body, "no docstring"
    fronts = _shown(path)
    silent = [
        node.name
        for node in module.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in fronts and not ast.get_docstring(node)
    ]
    assert not silent


def _shown(path: Path) -> set[str]:
    """The names of this module that its part shows on the front."""
    front = path.parent / "__init__.py"
    if path == front or path.parent == source.PACKAGE:
        return set()
    return {
        alias.name
        for node in source.tree(front).body
        if isinstance(node, ast.ImportFrom) and (node.module or "").endswith(path.stem)
        for alias in node.names
    }


def _kept() -> list[Path]:
    """Text files that are, or are about to be, in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=source.ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.splitlines()
    found = [source.ROOT / line for line in listed] or [p for p in source.ROOT.rglob("*") if ".venv" not in p.parts]
    return [p for p in found if p.suffix in TEXTS and p.is_file()]


def test_nothing_is_marked_unfinished_and_nothing_names_a_machine() -> None:
    found = []
    for path in _kept():
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if UNFINISHED.search(line) or (PERSONAL.search(line) and path != Path(__file__)):
                found.append(f"{source.name(path)}:{number}: {line.strip()[:100]}")
    assert not found, "\n".join(found)
