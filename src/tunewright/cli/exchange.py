"""Commands that speak with other evaluation tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tunewright.cli.opening import Opening
from tunewright.cli.options import Debug, Json, RunName, Where

exchange_app = typer.Typer(
    help="Read and write the logs of other evaluation tools.", no_args_is_help=True, rich_markup_mode=None
)


@exchange_app.command("harness")
def harness(
    tuned: Annotated[Path, typer.Argument(help="Samples of the tuned model: samples_TASK_DATE.jsonl.")],
    base: Annotated[Path, typer.Argument(help="Samples of the base on the same task.")],
    metric: Annotated[str | None, typer.Option("--metric", help="Score to compare; the first from 0 to 1.")] = None,
    filter: Annotated[str | None, typer.Option("--filter", help="The log's filter; the first by default.")] = None,
    min_gain: Annotated[float, typer.Option("--min-gain", min=0, max=1, help="Least gain wanted.")] = 0.0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Compare two models' logs of lm-evaluation-harness case by case, with the verdict a run would get."""
    from tunewright.cli.terminal import Terminal
    from tunewright.cli.words import verdict_lines
    from tunewright.evaluate import verdict
    from tunewright.exchange import read_samples, same_cases

    ours = read_samples(tuned, arm="tuned", metric=metric, filter=filter)
    theirs = read_samples(base, arm="base", metric=metric, filter=filter)
    same_cases(ours, theirs)
    found = verdict.decide(ours.suite, {"base": theirs.predictions, "tuned": ours.predictions}, min_gain=min_gain)
    terminal = Terminal(as_json=json)
    terminal.say(f"{len(ours.suite.cases)} cases, {ours.metric} ({ours.filter})")
    for arm in found.arms:
        terminal.say(f"    {arm.name:<6} {100 * arm.score:5.1f} %  [{100 * arm.low:.1f}, {100 * arm.high:.1f}]")
    for line in verdict_lines(found.verdict, found.arms):
        terminal.say(line)
    terminal.document({"metric": ours.metric, "filter": ours.filter, **found.model_dump(mode="json")})
    if found.verdict.decision != "ship":
        raise typer.Exit(3)


@exchange_app.command("inspect")
def inspect(
    run: RunName = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the logs, one per arm.")] = Path("logs"),
    project: Where = Path(),
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write a run's answers as logs of Inspect, one per arm, for `inspect view`."""
    from tunewright.evaluate import verdict
    from tunewright.exchange import inspect_log
    from tunewright.joins.scored import scored_answers
    from tunewright.records import TUNED, RunRecord
    from tunewright.store import read_json, write_json

    opening = Opening(json)
    opened, terminal = opening.run(project, run, trained=False), opening.terminal
    folder = opened.folder.run(run)
    stored = scored_answers(opened, folder)
    record = read_json(folder.record, RunRecord)
    arms = {arm.name: arm for arm in verdict.decide(opened.suite, stored).arms}
    files = []
    for name, predictions in stored.items():
        path = out / f"{record.created.replace(':', '-').removesuffix('Z')}_{name.replace('_', '-')}_{folder.id}.json"
        log = inspect_log(
            opened.suite,
            predictions,
            arms[name],
            task=opened.recipe.task or opened.folder.root.name,
            model=f"tunewright/{record.base}" + ("-tuned" if name in TUNED else ""),
            run=folder.id,
            created=record.created.replace("Z", "+00:00"),
            versions=record.versions,
        )
        write_json(path, log)
        files.append(str(path.resolve()))
        terminal.say(f"  log      {path}")
    terminal.say(f"  next     inspect view --log-dir {out}")
    terminal.document({"run": folder.id, "logs": files})
