"""Arguments and options that several commands take, and how one that has no use is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

ProjectPath = Annotated[Path, typer.Argument(help="Recipe file, or the folder it lies in.")]
RunName = Annotated[str | None, typer.Argument(help="Run id or a part of it; the newest by default.")]
Where = Annotated[Path, typer.Option("--project", help="Folder with the recipe.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="Override a setting: train.rank=8. Repeatable.")]
Held = Annotated[list[Path] | None, typer.Option("--test", help="Held-out file, with data files.")]
Input = Annotated[str | None, typer.Option("--input", help="Column with the question.")]
Output = Annotated[str | None, typer.Option("--output", help="Column with the answer.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show where an error happened.")]


def belongs(options: dict[str, Any], where: str, remedy: str) -> None:
    """Refuse options that would be passed over here."""
    from tunewright.errors import RecipeError

    given = [name for name, value in options.items() if value]
    if given:
        raise RecipeError(f"{' and '.join(given)} can only be used {where}.", remedy=remedy)
