"""Commands about data: examples as the model sees them, fixes accepted, versions compared, shapes converted."""

from __future__ import annotations

import json as _json
from pathlib import Path
from typing import Annotated, Any

import typer

from tunewright.cli.opening import Opening
from tunewright.cli.options import Debug, Input, Json, Output, ProjectPath, Sets, Where

data_app = typer.Typer(
    help="Look at the data, mend it, compare its versions.", no_args_is_help=True, rich_markup_mode=None
)
_SHOWN = 10


@data_app.command("show")
def show(
    path: ProjectPath = Path(),
    row: Annotated[str | None, typer.Option("--row", help="A row by name: tickets.jsonl:17")] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="How many examples.")] = 1,
    split: Annotated[str, typer.Option("--split", help="train, validation or test.")] = "train",
    set: Sets = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Print rendered examples, with what is supervised coloured."""
    from tunewright import journey
    from tunewright.cli.show import print_example

    opening = Opening(json, set)
    terminal = opening.terminal
    shown = journey.rendered(opening.project(path), count=count, split=split, row=row)
    for name, sequences in shown:
        print_example(terminal, name, sequences)
    terminal.document(
        {
            "examples": [
                {"row": name, "spans": [{"text": text, "supervised": learnt} for text, learnt in spans]}
                for name, sequences in shown
                for spans in sequences
            ]
        }
    )


@data_app.command("fix")
def fix(
    path: ProjectPath = Path(),
    accept: Annotated[
        list[str] | None, typer.Option("--accept", help="Code of a finding to act on. Repeatable.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Write the codes into the recipe too (data.accept).")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Act on findings: write the next dataset version and say what it changes. Ends with 3 if a gate says no to it."""
    from tunewright.cli.show import NO
    from tunewright.errors import DataError
    from tunewright.joins.amending import keep_accepted

    if not accept:
        raise DataError("no finding is named.", remedy="Name one: tunewright data fix --accept near_duplicate")
    opening = Opening(json)
    project, terminal = opening.project(path), opening.terminal
    done = project.fixed(accept)
    counts = done.diff.counts
    terminal.say(
        f"{counts['removed']:,} rows removed, {counts['changed']:,} changed, {counts['added']:,} added, "
        f"{counts['moved']:,} now in another split."
    )
    _names(terminal, "removed", done.diff.removed)
    _names(terminal, "changed", done.diff.changed)
    terminal.say()
    terminal.say(f"  before   {done.before.id}")
    terminal.say(f"  after    {done.audit.dataset.id}  {done.audit.path}")
    wanted = list(dict.fromkeys((*project.recipe.data.accept, *accept)))
    if keep:
        keep_accepted(project.folder.recipe, accept)
        terminal.say("  recipe   the codes are in it: every later command uses this version")
    elif set(wanted) - set(project.recipe.data.accept):
        terminal.say(f"  keep it  the same with --keep, or in the recipe: data.accept: [{', '.join(wanted)}]")
    no = [gate for gate in done.audit.gates if gate.blocks]
    for gate in no:
        terminal.say(f"  ✗ {gate.name}: {gate.message}", style="red")
    terminal.document({"before": done.before.id, "diff": done.diff.model_dump(mode="json"), **done.audit.as_dict()})
    if no:
        raise typer.Exit(NO)


@data_app.command("log")
def log(project: Where = Path(), json: Json = False, debug: Debug = False) -> None:
    """List the dataset versions of a project, oldest first."""
    from tunewright.cli.terminal import Terminal
    from tunewright.data import versions
    from tunewright.project import ProjectFolder

    terminal = Terminal(as_json=json)
    records = versions.log(ProjectFolder(project).existing().store)
    for record in records:
        splits = " / ".join(f"{n:,} {name}" for name, n in record.splits.items())
        made = f"  from {record.parent}, {record.note}" if record.parent else ""
        terminal.say(f"{record.id}  {record.ledger.used:,} of {record.ledger.read:,} rows used  {splits}{made}")
    if not records:
        terminal.say("No version yet. Make one: tunewright check")
    terminal.document({"versions": [record.model_dump(mode="json") for record in records]})


@data_app.command("diff")
def diff(
    before: Annotated[str, typer.Argument(help="Version id, or its beginning.")],
    after: Annotated[str, typer.Argument(help="Version id, or its beginning.")],
    project: Where = Path(),
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Say which rows differ between two versions."""
    from tunewright.cli.terminal import Terminal
    from tunewright.data import versions

    terminal = Terminal(as_json=json)
    found = versions.diff(_version(project, before), _version(project, after))
    for name, count in found.counts.items():
        terminal.say(f"{count:,} {name}")
        _names(terminal, name, getattr(found, name))
    terminal.document(found.model_dump(mode="json"))


@data_app.command("card")
def card(
    version: Annotated[str | None, typer.Argument(help="Version id, or its beginning; the newest by default.")] = None,
    project: Where = Path(),
    out: Annotated[Path | None, typer.Option("--out", help="File to write instead of stdout.")] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """The data card of a version, in Markdown."""
    from tunewright.cli.terminal import Terminal
    from tunewright.data import versions
    from tunewright.store import write_text

    terminal = Terminal(as_json=json)
    text = versions.card(_version(project, version))
    if out:
        write_text(out, text)
        terminal.say(f"  card     {out}")
    elif not json:
        typer.echo(text, nl=False)
    terminal.document({"card": text, "path": str(out.absolute()) if out else None})


@data_app.command("convert")
def convert(
    file: Annotated[Path, typer.Argument(help="Data file in any shape that is read.")],
    to: Annotated[
        str, typer.Option("--to", help="messages, sharegpt, alpaca, prompt_completion, openai, together, bedrock.")
    ],
    out: Annotated[Path, typer.Option("--out", help="JSON-lines file to write.")],
    input: Input = None,
    output: Output = None,
    system: Annotated[str | None, typer.Option("--system", help="System prompt put before every row.")] = None,
    requests: Annotated[
        Path | None, typer.Option("--requests", help="What was asked, where FILE is what a batch answered.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write the rows of a file in another shape, or as a tuning service takes them.

    Faulty rows, and those that the shape cannot hold or the service would refuse, are left out and listed.
    """
    from tunewright.cli.terminal import Terminal
    from tunewright.data import versions
    from tunewright.store import write_text

    terminal = Terminal(as_json=json)
    rows, faults, refused = versions.converted(file, to, input=input, output=output, system=system, requests=requests)
    write_text(out, "".join(f"{_json.dumps(row, ensure_ascii=False)}\n" for row in rows))
    terminal.say(f"{len(rows):,} rows written as {to}, {len(faults):,} left out as faulty.")
    _reasons(terminal, faults)
    if refused:
        terminal.say(f"{len(refused):,} more left out, because they do not fit {to}:")
        _reasons(terminal, refused)
    terminal.say(f"  file     {out}")
    terminal.document(
        {
            "path": str(out.absolute()),
            "rows": len(rows),
            "left_out": [{"row": name, "reason": reason} for name, reason in faults],
            "refused": [{"row": name, "reason": reason} for name, reason in refused],
        }
    )


def _reasons(terminal: Any, rows: list[tuple[str, str]]) -> None:
    for name, reason in rows[:_SHOWN]:
        terminal.say(f"  {name}: {reason}")
    if len(rows) > _SHOWN:
        terminal.say(f"  and {len(rows) - _SHOWN:,} more: --json lists them all")


def _names(terminal: Any, what: str, rows: tuple[str, ...]) -> None:
    if rows:
        more = f" and {len(rows) - _SHOWN:,} more" if len(rows) > _SHOWN else ""
        terminal.say(f"  {what:<8} {', '.join(rows[:_SHOWN])}{more}", style="dim")


def _version(project: Path, name: str | None) -> Path:
    """The folder of the version whose id begins with `name`; the newest without one."""
    from tunewright.data import versions
    from tunewright.errors import DataError

    folder = project / ".tunewright" / "datasets"
    found = [record.id for record in versions.log(project / ".tunewright") if record.id.startswith(name or "")]
    if not found or (name and len(found) > 1):
        raise DataError(
            f"`{name}` fits {len(found)} dataset versions." if name else "there is no dataset version yet.",
            where=str(project),
            remedy="List them: tunewright data log" if name else "Make one: tunewright check",
        )
    return folder / found[-1]
