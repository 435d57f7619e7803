"""The source tree as the architecture tests read it."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "tunewright"
ROOMS = (
    "data",
    "plan",
    "train",
    "evaluate",
    "export",
    "trials",
    "exchange",
    "probing",
    "review",
    "synthesis",
    "growth",
)
UPPER = ("sample", "parity", "engine", "layout", "models", "render")
LOWER = ("report", "statistics", "text", "store", "recipe")
DOORS = ("cli",)
JOINS = "joins"
RECORDS = "records"


def modules() -> list[Path]:
    """All our source files."""
    return sorted(PACKAGE.rglob("*.py"))


def packages() -> list[str]:
    """The rooms, hallways and doors that exist: folders with a front. What joins them has none."""
    return sorted({p.parent.name for p in PACKAGE.glob("*/__init__.py")} - {JOINS})


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [n for n in ast.walk(tree(path)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
