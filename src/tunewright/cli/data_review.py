"""`tunewright data review`: what a teacher drafted is read, taken or turned down, on the terminal or as a sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tunewright.cli.opening import Opening
from tunewright.cli.options import Debug, Json, Where
from tunewright.cli.words import in_a_line

review_app = typer.Typer(
    help="Review the rows a teacher drafted: nothing trains on them before.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Names = Annotated[list[str] | None, typer.Argument(help="Candidates, by id or its beginning.")]
Keep = Annotated[bool, typer.Option("--keep", help="Name the accepted rows in the recipe (data.train).")]
By = Annotated[str, typer.Option("--by", help="Who reviewed; kept with each row.")]
Every = Annotated[bool, typer.Option("--all", help="All candidates that wait.")]


def _opened(path: Path, as_json: bool) -> tuple[Any, Any, Any]:
    """Project, shelf and terminal."""
    from tunewright.joins import synthesising

    opening = Opening(as_json)
    project = opening.project(path)
    return project, synthesising.shelf(project), opening.terminal


@review_app.command("list")
def list_(
    project: Where = Path(),
    every: Annotated[bool, typer.Option("--all", help="Also those that are decided.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the candidates that wait."""
    _, shelf, terminal = _opened(project, json)
    decided = shelf.decisions()
    shown = [c for c in shelf.candidates().values() if every or c.id not in decided]
    for one in shown:
        state = decided[one.id]["decision"] if one.id in decided else "waits"
        terminal.say(f"{one.id}  {one.made['kind']}, {state}")
        if one.rewords:
            terminal.say(f"    from  {in_a_line(one.rewords)}", style="dim")
        terminal.say(f"    asks  {in_a_line(one.input)}")
        terminal.say(f"    gets  {in_a_line(one.output)}")
    if not shown:
        terminal.say("Nothing waits. Ask for rows: tunewright data synthesise")
    if json:
        rows = [
            {**c.model_dump(mode="json"), "decision": decided.get(c.id, {}).get("decision", "pending")} for c in shown
        ]
        terminal.document({"candidates": rows})


@review_app.command("accept")
def accept(
    names: Names = None,
    project: Where = Path(),
    every: Every = False,
    by: By = "",
    keep: Keep = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Take candidates as training rows."""
    _decide(project, json, keep, every, names or [], "accept", by)


@review_app.command("reject")
def reject(
    names: Names = None,
    project: Where = Path(),
    every: Every = False,
    by: By = "",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Turn candidates down, also some that were accepted."""
    _decide(project, json, False, every, names or [], "reject", by)


@review_app.command("export")
def export(
    out: Annotated[Path, typer.Option("--out", help="CSV file to write.")] = Path("sheet.csv"),
    project: Where = Path(),
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write the candidates that wait as a sheet: correct the words in place, say yes or no to each."""
    from tunewright.errors import DataError
    from tunewright.synthesis import sheet

    _, shelf, terminal = _opened(project, json)
    waiting = shelf.pending()
    if not waiting:
        raise DataError("nothing waits for review.", remedy="Ask for rows: tunewright data synthesise")
    sheet.write(out, waiting)
    terminal.say(f"  sheet    {out}  ({len(waiting):,} candidates)")
    terminal.say(f"  next     tunewright data review import {out} --project {project}")
    terminal.document({"sheet": str(out.resolve()), "candidates": len(waiting)})


@review_app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="The filled sheet.")],
    project: Where = Path(),
    by: By = "",
    keep: Keep = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Read a filled sheet back: what was said yes to becomes training rows, in the reviewer's words."""
    _decide(project, json, keep, False, [], "accept", by, filled=file)


def _decide(
    path: Path,
    as_json: bool,
    keep: bool,
    every: bool,
    names: list[str],
    said: str,
    by: str,
    filled: Path | None = None,
) -> None:
    from tunewright.errors import DataError
    from tunewright.joins import synthesising

    project, shelf, terminal = _opened(path, as_json)
    if every:
        names = [*names, *(c.id for c in shelf.pending())]
    if not names and filled is None:
        raise DataError("no candidate is named.", remedy="Name ids, or --all. See: tunewright data review list")
    done = synthesising.decide(project, **{said: names}, by=by, filled=filled)
    terminal.say(
        f"{len(done.accepted):,} accepted, {len(done.rejected):,} rejected, {len(done.refused):,} refused, "
        f"{done.pending:,} still wait."
    )
    for name, reason in done.refused.items():
        terminal.say(f"    {name} cannot be taken: {reason}", style="dim")
    made = synthesising.keep(project) if keep and done.rows else None
    _say_where(terminal, project, done, made, path)
    if as_json:
        told = {"accepted": done.accepted, "rejected": done.rejected, "refused": done.refused, "pending": done.pending}
        file = str(done.file.resolve()) if done.rows else None
        version = made.model_dump(mode="json") if made else None
        terminal.document({**told, "rows": done.rows, "file": file, "version": version})


def _say_where(terminal: Any, project: Any, done: Any, made: Any, path: Path) -> None:
    """What the accepted rows are to the recipe now."""
    name = done.file.name
    named = any(source.path == name for source in project.recipe.data.train)
    if not done.rows:
        if named:
            terminal.say(f"  recipe   no accepted row is left: take {name} out of data.train")
        return
    terminal.say(f"  rows     {done.file}  ({done.rows:,} accepted)")
    if made is not None:
        terminal.say(f"  recipe   {name} is a synthetic source in it; version {made.id} has the rows, in train only")
    elif not named:
        terminal.say(f"  keep     the same with --keep, or in data.train: {{path: {name}, synthetic: true}}")
    terminal.say(f"  next     tunewright check {path}")
