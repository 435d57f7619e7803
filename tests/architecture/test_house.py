"""Imports point down the house, rooms do not know each other, nothing goes in a circle, the fronts are tidy."""

from __future__ import annotations

import ast
import graphlib
import importlib
import tomllib
from pathlib import Path

import grimp
import pytest
from importlinter import cli as importlinter_cli

from tests.architecture import source


def test_layers_hold(capsys: pytest.CaptureFixture[str]) -> None:
    """The contract in pyproject: layers, and rooms that never import each other."""
    failed = importlinter_cli.lint_imports(config_filename=str(source.ROOT / "pyproject.toml"), no_cache=True)
    assert not failed, capsys.readouterr().out


def test_the_contract_names_every_part_of_the_house() -> None:
    settings = tomllib.loads((source.ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layered = {
        part.strip().removeprefix("tunewright.")
        for contract in settings["contracts"]
        for layer in contract["layers"]
        for part in layer.split("|")
    }
    parts = {p.stem for p in source.PACKAGE.glob("*.py") if p.stem != "__init__"}
    parts |= {*source.packages(), source.JOINS}
    assert parts <= layered, f"in no layer: {sorted(parts - layered)}"


def test_no_module_imports_itself_round_a_circle() -> None:
    graph = grimp.build_graph("tunewright", cache_dir=None)
    imports = {m: set(graph.find_modules_directly_imported_by(m)) for m in graph.modules}
    graphlib.TopologicalSorter(imports).prepare()


@pytest.mark.parametrize("part", source.packages())
def test_fronts_are_sorted_complete_and_small(part: str) -> None:
    front = importlib.import_module(f"tunewright.{part}")
    names = front.__all__
    assert names == sorted(names, key=_kind_then_name)
    assert all(hasattr(front, n) for n in names)
    imported = {
        alias.asname or alias.name
        for node in source.tree(source.PACKAGE / part / "__init__.py").body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tunewright")
        for alias in node.names
    }
    assert imported == set(names), "the front imports exactly what it shows"
    if part == source.RECORDS:  # nouns: they take nothing, and there are as many as there are
        return
    assert 1 <= len(names) <= 8, names
    first = (front.__doc__ or "").split("\n")[0]
    assert first.startswith("Takes "), first
    assert "gives " in (front.__doc__ or "")


def _kind_then_name(shown: str) -> tuple[int, str]:
    """CONSTANTS, then Classes, then functions: the order ruff keeps `__all__` in."""
    return (0 if shown.isupper() else 1 if shown[0].isupper() else 2), shown


@pytest.mark.parametrize("path", source.modules(), ids=source.name)
def test_others_are_used_through_their_fronts(path: object) -> None:
    """A part's private modules are its own: from outside, only what its front shows is imported."""
    assert isinstance(path, type(source.ROOT))
    inside = path.relative_to(source.PACKAGE).parts[0]
    parts = set(source.packages())
    for node in ast.walk(source.tree(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tunewright."):
            steps = (node.module or "").split(".")[1:]
            if steps[0] in parts and steps[0] != inside:
                assert len(steps) == 1, f"line {node.lineno}: {node.module} is private to {steps[0]}"
                shown = set(importlib.import_module(f"tunewright.{steps[0]}").__all__)
                taken = {a.name for a in node.names}
                assert taken <= shown, f"line {node.lineno}: {taken - shown} is not on the front of {steps[0]}"


def test_the_joins_have_no_front_and_stand_in_one_place() -> None:
    """They are used as modules; beside the page they make up, only what runs several journeys lies flat."""
    assert len(source.tree(source.PACKAGE / source.JOINS / "__init__.py").body) == 1, "only words"
    joining = {
        path.stem
        for path in source.PACKAGE.glob("*.py")
        for node in source.tree(path).body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"tunewright.{source.JOINS}")
    }
    assert joining == {"journey", "ranking"}


def test_a_hallways_type_is_not_written_again_above_it() -> None:
    """Where a room needs the type of a function that a lower part takes, it has it from there."""
    below: dict[tuple[str, str], str] = {}
    for path in source.modules():
        part = path.relative_to(source.PACKAGE).parts[0]
        if part in source.LOWER:
            below |= {alias: source.name(path) for alias in _function_types(path)}
    again = [
        f"{source.name(path)}: {alias[0]} is {below[alias]}'s"
        for path in source.modules()
        for alias in _function_types(path)
        if alias in below and source.name(path) != below[alias]
    ]
    assert not again


def _function_types(path: Path) -> set[tuple[str, str]]:
    """The names that a module gives to types of functions, with what they are."""
    return {
        (node.targets[0].id, ast.dump(node.value))
        for node in source.tree(path).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and "Callable" in ast.dump(node.value)
    }


def test_everything_has_an_owner_in_the_house() -> None:
    known = {*source.ROOMS, *source.UPPER, *source.LOWER, *source.DOORS, source.RECORDS, "project"}
    assert set(source.packages()) <= known
