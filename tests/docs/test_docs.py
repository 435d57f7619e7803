"""The documentation is about the program that exists."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from tunewright.cli.app import app
from tunewright.recipe import Recipe, read_spec

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    p for p in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))) if p.is_file()
]


def _blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def _commands() -> list[tuple[str, str]]:
    """Every command line in a fenced sh block, with the page it stands on."""
    return [
        (page.name, line.strip())
        for page in PAGES
        for block in _blocks(page, "sh")
        for line in block.splitlines()
        if line.strip() and not line.strip().startswith("#")
    ]


def test_there_are_commands_to_test() -> None:
    assert len(_commands()) >= 12


@pytest.mark.parametrize(("page", "line"), _commands())
def test_commands_exist_with_their_flags(page: str, line: str) -> None:
    """The command line is parsed by the real parser: an unknown command, flag or argument is an error."""
    words = shlex.split(line.split(" > ")[0], comments=True)
    while words and (words[0] in {"cd", "make", "git", "python", "pip", "source", "."} or "=" in words[0]):
        return
    assert Path(words[0]).name == "tunewright", f"{page}: what is {words[0]}?"
    command, arguments = get_command(app), words[1:]
    context = typer.Context(command, info_name="tunewright")
    while arguments and hasattr(command, "get_command"):
        name = arguments.pop(0)
        command = command.get_command(context, name)
        assert command is not None, f"{page}: no command `{name}`"
        context = typer.Context(command, info_name=name, parent=context)
    command.parse_args(context, arguments)


def test_commands_that_messages_and_pages_name_exist() -> None:
    """A remedy that cannot be typed is no remedy."""
    top = get_command(app)
    context = typer.Context(top, info_name="tunewright")
    known = {name: top.get_command(context, name) for name in top.list_commands(context)}
    named: dict[str, str] = {}
    for path in [*sorted((ROOT / "src").rglob("*.py")), *PAGES]:
        for name, below in re.findall(r"tunewright ([a-z]+)(?: ([a-z]+)\b)?", _spoken(path)):
            if name in known and hasattr(known[name], "get_command"):
                command = known[name].get_command(context, below)
                named[f"tunewright {name} {below}"] = "" if command else path.name
            elif path.suffix == ".py" or name in known:
                named[f"tunewright {name}"] = "" if name in known else path.name
    assert len(named) > 5
    missing = {command: place for command, place in named.items() if place}
    assert not missing


def _spoken(path: Path) -> str:
    """A page's code spans and blocks; a module's strings, docstrings left out."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return "\n".join(re.findall(r"`[^`]+`", text))
    tree = ast.parse(text)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    own = {id(n.body[0].value) for n in ast.walk(tree) if isinstance(n, documented) and ast.get_docstring(n)}
    strings = (n for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in own)
    return "\n".join(s.value for s in strings if isinstance(s.value, str))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"https?:|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in anchors, f"{page.name}: {target}"


def test_pictures_are_small_and_shown() -> None:
    shown = {
        Path(t).name for page in PAGES for t in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    }
    for picture in (ROOT / "docs" / "images").iterdir():
        assert picture.stat().st_size <= 150_000, picture.name
        assert picture.name in shown, f"nobody shows {picture.name}"


def test_python_in_the_docs_names_what_exists() -> None:
    """Every import works, and every function called on an imported module is one of its."""
    blocks = [b for page in PAGES for b in _blocks(page, "python")]
    assert blocks
    for text in blocks:
        tree, modules = ast.parse(text), {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    modules[alias.asname or alias.name] = getattr(
                        importlib.import_module(node.module or ""), alias.name, None
                    ) or importlib.import_module(f"{node.module}.{alias.name}")
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
                assert hasattr(modules[node.value.id], node.attr), ast.unparse(node)


def test_recipes_in_the_docs_load(tmp_path: Path) -> None:
    recipes = [b for page in PAGES for b in _blocks(page, "yaml") if "data:" in b]
    assert recipes
    for number, text in enumerate(recipes):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text, encoding="utf-8")
        assert read_spec(Recipe, path, ())[0].version == 1


def test_the_recipe_page_is_current() -> None:
    spec = importlib.util.spec_from_file_location("make_recipe", ROOT / "docs" / "make_recipe.py")
    assert spec and spec.loader
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    assert maker.PAGE.read_text(encoding="utf-8") == maker.page(), "run: python docs/make_recipe.py"
    for part in Recipe.model_fields:
        assert f"| `{part}` |" in maker.page()
    assert "| `learning_rate` | number, > 0, or `auto` |" in maker.page(), "a limit inside a union is told"


def test_every_finding_the_audit_makes_is_explained() -> None:
    told = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "findings.md").read_text(encoding="utf-8"), re.MULTILINE))
    source = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "src" / "tunewright" / "data").glob("*.py"))
    made = set(re.findall(r'code="(\w+)"', source)) | {c for c in _faults() if c}
    assert made <= told, f"not in docs/findings.md: {sorted(made - told)}"


def _faults() -> tuple[str, ...]:
    from tunewright.data.table import FAULTS

    return FAULTS


def test_every_exit_code_is_explained() -> None:
    from tunewright import errors

    told = (ROOT / "docs" / "contracts.md").read_text(encoding="utf-8")
    codes = {c.exit_code for c in vars(errors).values() if isinstance(c, type) and hasattr(c, "exit_code")}
    for code in codes | {0, 3}:
        assert re.search(rf"^\| (\d+, )*{code}\b", told, re.MULTILINE), code
