"""The command that says whether more rows would help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tunewright.cli.opening import Opening
from tunewright.cli.options import Debug, Json, ProjectPath, Sets


def curve(
    path: ProjectPath = Path(),
    fractions: Annotated[
        str, typer.Option("--fractions", help="Parts of the train rows to train on, by commas.")
    ] = "0.1,0.25,0.5,1",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Trainings per part, each on rows drawn anew.")] = 2,
    target: Annotated[
        float | None, typer.Option("--target", min=0, max=1, help="A wanted score: how many rows does it need?")
    ] = None,
    minutes_per_row: Annotated[
        float | None, typer.Option("--minutes-per-row", min=0, help="What writing a row takes; needs --hourly.")
    ] = None,
    hourly: Annotated[float | None, typer.Option("--hourly", min=0, help="What an hour of that work costs.")] = None,
    point_value: Annotated[
        float | None, typer.Option("--point-value", min=0, help="What a point of score is worth, in the same money.")
    ] = None,
    set: Sets = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Would more rows help? Trains on parts of the data."""
    from tunewright.cli.state import stop
    from tunewright.joins import curve as curves

    cost = _cost(minutes_per_row, hourly, point_value)
    parts = _parts(fractions)
    opening = Opening(json, set)
    project, terminal = opening.project(path), opening.terminal
    stop.patient = True
    found = curves.learning_curve(project, parts, seeds=seeds, target=target, cost=cost)
    terminal.say()
    for line in curves.words(found.growth):
        terminal.say(line)
    terminal.say()
    terminal.say(f"  report   {found.report}")
    terminal.document(found.as_dict())


def _parts(given: str) -> list[float]:
    from tunewright.errors import RecipeError

    try:
        return [float(share) for share in given.split(",") if share.strip()]
    except ValueError:
        raise RecipeError(
            "fractions are numbers with commas between them.",
            where=f"--fractions {given}",
            remedy="For example: --fractions 0.1,0.25,0.5,1",
        ) from None


def _cost(minutes: float | None, hourly: float | None, point_value: float | None) -> Any:
    """What a row costs, where that was said. Raises `RecipeError` for half of it."""
    from tunewright.errors import RecipeError
    from tunewright.growth import Cost

    if minutes is None and hourly is None and point_value is None:
        return None
    if minutes is None or hourly is None:
        raise RecipeError(
            "a cost needs both the minutes a row takes and what an hour costs.",
            where="--minutes-per-row, --hourly",
            remedy="For example: --minutes-per-row 3 --hourly 40",
        )
    return Cost(minutes, hourly, point_value)
