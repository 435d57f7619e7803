"""`tunewright advise`: the decision before any training – in a project, on data files, or on a few answers."""

from __future__ import annotations

import json as _json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tunewright.cli.opening import Opening
from tunewright.cli.options import Debug, Held, Input, Json, Output, Sets, belongs

_RECIPE = "tunewright.yaml"


class Needs(StrEnum):
    """What `decide.needs` may hold."""

    behaviour = "behaviour"
    knowledge = "knowledge"
    actions = "actions"


class Changes(StrEnum):
    """What `decide.changes` may hold."""

    knowledge = "knowledge"
    rules = "rules"


def advise(
    path: Annotated[
        list[Path] | None, typer.Argument(help="Recipe, its folder, or data files; none where there are no rows yet.")
    ] = None,
    task: Annotated[str | None, typer.Option("--task", help="The task in one sentence.")] = None,
    needs: Annotated[
        list[Needs] | None,
        typer.Option(
            "--needs",
            help="What is wanted: behaviour (form, style, labels), knowledge (facts the question does not hold), "
            "actions (several steps with tools). Repeatable.",
        ),
    ] = None,
    changes: Annotated[
        list[Changes] | None,
        typer.Option("--changes", help="What changes every month or oftener. Repeatable."),
    ] = None,
    cite: Annotated[bool, typer.Option("--cite", help="Answers must name their source.")] = False,
    rows: Annotated[
        int | None, typer.Option("--rows", min=0, help="How many examples there will be, where there are none yet.")
    ] = None,
    requests: Annotated[int | None, typer.Option("--requests", min=1, help="Requests a month, when in use.")] = None,
    cost: Annotated[float | None, typer.Option("--cost", help="What 1,000 requests cost today.")] = None,
    privacy: Annotated[
        str | None, typer.Option("--privacy", help="Where rows may be sent: local, region:eu, any.")
    ] = None,
    test: Held = None,
    model: Annotated[str | None, typer.Option("--model", help="Base to plan with, with data files.")] = None,
    input: Input = None,
    output: Output = None,
    set: Sets = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Should you tune at all, or what instead? No training."""
    told: dict[str, Any] = {"task": task, "privacy": privacy, "decide.requests": requests, "decide.cost": cost}
    told |= {"decide.needs": needs, "decide.changes": changes, "decide.cite": cite}
    answers = _settings(told)
    files = {"--test": test, "--model": model, "--input": input, "--output": output}
    given = path or ([Path()] if Path(_RECIPE).is_file() else [])
    if given:
        belongs({"--rows": rows is not None}, "where there are no rows yet", "Here they are counted.")
    if not given and not (answers or set or rows is not None) and _somebody_answers(json):
        answers, rows = _asked()
    opening = Opening(json, [*(set or ()), *answers])
    raise typer.Exit(_tell(_decided(given, files, rows, opening), opening.terminal))


def _settings(told: dict[str, Any]) -> list[str]:
    """What was told, as settings of a recipe; what was left out is none."""
    kept = {k: v for k, v in told.items() if v is not None and v is not False and v not in ("", [])}
    return [f"{key}={_json.dumps(value, ensure_ascii=False)}" for key, value in kept.items()]


def _decided(given: list[Path], files: dict[str, Any], rows: int | None, opening: Opening) -> Any:
    """The decision on a project, on data files, or on answers alone."""
    from tunewright.cli import show
    from tunewright.joins import advising

    if not given:
        belongs(files, "with data files", "Name the data files before them.")
        return advising.without_data(opening.sets, rows=rows)
    if show.is_recipe(given):
        belongs(files, "with data files", "Say it in the recipe, or for this once with --set, as --set model=PATH.")
        return advising.decide(opening.project(given[0]))
    about = {name.removeprefix("--"): value for name, value in files.items() if name != "--test"}
    about["model"] = about["model"] or "seedling"
    return advising.decide(opening.files(given, files["--test"], **about))


def _somebody_answers(as_json: bool) -> bool:
    """Whether there is a person to put questions to."""
    return not as_json and sys.stdin.isatty() and sys.stdout.isatty()


def _asked() -> tuple[list[str], int]:
    """Answers to a few questions, as settings, and how many examples there will be. Enter passes a question over."""
    typer.echo("There is no project here and no file is named. A few questions instead; Enter passes one over.\n")
    task = typer.prompt("What should the model do, in a sentence", default="", show_default=False)
    wanted = typer.prompt(
        "What is wanted: behaviour (form, style, labels), knowledge (facts the question\n"
        "does not hold), actions (several steps with tools)? Several by commas",
        default="",
        show_default=False,
    )
    needs = [part.strip().lower() for part in wanted.split(",") if part.strip()]
    changes, cite = [], False
    if "knowledge" in needs:
        changes += ["knowledge"] if typer.confirm("Do the facts change every month or oftener?") else []
        cite = typer.confirm("Must answers name their source?")
    changes += ["rules"] if typer.confirm("Do the rules of a good answer change every month or oftener?") else []
    rows = typer.prompt("How many examples are there, or could you write", type=int, default=0)
    told = {"task": task.strip(), "decide.needs": needs, "decide.changes": changes, "decide.cite": cite}
    return _settings(told), rows


# What has to be done by hand before the next command is of use.
_FIRST = {
    "collect": "write down real examples, question and answer",
    "more": "bring what is missing",
    "look_up": "put the documents where the recipe's rag arm finds them: {rag: {documents: docs/}}",
}


def _tell(decision: Any, terminal: Any) -> int:
    """Say it; 0 where tuning is advised, 3 where it is not."""
    from tunewright.cli import show

    terminal.say()
    show.advice(terminal, decision.advice)
    terminal.say()
    first = _FIRST.get(decision.advice.step)
    if first:
        terminal.paragraph(first, first="  first    ", rest="           ")
    terminal.say(f"  next     {decision.next}")
    terminal.document(decision.as_dict())
    return 0 if decision.advice.tune else show.NO
