"""Commands about evidence beyond the suite: sheets for human reviewers, and trials of a tuned run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tunewright.cli.opening import Opening
from tunewright.cli.options import Debug, Json, RunName, Where

review_app = typer.Typer(help="Let people compare two arms, blind.", no_args_is_help=True, rich_markup_mode=None)

Sets = Annotated[list[str] | None, typer.Option("--set", help="Override a setting: trials.cases=50. Repeatable.")]


def _arm(predictions: Any, name: str, run: str) -> Any:
    from tunewright.errors import RunError

    if name not in predictions:
        known = ", ".join(predictions) or "none"
        raise RunError(f"no answers of an arm `{name}` are stored.", where=run, remedy=f"Stored arms: {known}.")
    return predictions[name]


@review_app.command("export")
def export(
    run: RunName = None,
    first: Annotated[str, typer.Option("--first", help="Arm to be compared.")] = "tuned",
    second: Annotated[str, typer.Option("--second", help="Arm it is compared with.")] = "base",
    out: Annotated[Path, typer.Option("--out", help="Folder for the sheets.")] = Path("review"),
    reviewers: Annotated[int, typer.Option("--reviewers", min=1, help="How many sheets.")] = 2,
    cases: Annotated[int, typer.Option("--cases", min=1, help="At most this many cases.")] = 50,
    rubric: Annotated[str | None, typer.Option("--rubric", help="What makes an answer better, in a sentence.")] = None,
    project: Where = Path(),
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write a blind, shuffled side-by-side sheet per reviewer."""
    from tunewright.joins.scored import scored_answers
    from tunewright.review import write_sheets

    opening = Opening(json)
    opened, terminal = opening.run(project, run, trained=False), opening.terminal
    folder = opened.folder.run(run)
    stored = scored_answers(opened, folder)
    one, other = (_arm(stored, name, folder.id) for name in (first, second))
    seed = opened.recipe.data.split.seed
    asked = {"reviewers": reviewers, "cases": cases, "seed": seed}
    sheets = write_sheets(opened.suite, one, other, out, rubric=rubric, **asked)
    for sheet in sheets:
        terminal.say(f"  sheet    {sheet}")
    terminal.say(f"  key      {out / 'key.json'} (keep it from the reviewers)")
    terminal.say(f"  next     tunewright review import {out}")
    terminal.document({"sheets": [str(s.resolve()) for s in sheets], "key": str((out / "key.json").resolve())})


@review_app.command("import")
def import_(
    folder: Annotated[Path, typer.Argument(help="Folder with the filled sheets.")],
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Read filled sheets back: the preference with its interval, and how far reviewers agree."""
    from tunewright.cli.terminal import Terminal
    from tunewright.review import read_sheets

    found = read_sheets(folder)
    terminal = Terminal(as_json=json)
    told = "cannot be told from chance" if found.low <= 0.5 <= found.high else "is beyond chance"
    terminal.say(
        f"{found.first} is preferred to {found.second} in {100 * found.share:.0f} % of votes "
        f"[{100 * found.low:.0f}, {100 * found.high:.0f}]; this {told} (p = {found.p:.3g})."
    )
    terminal.say(f"    {found.votes} votes on {found.cases} cases by {found.reviewers} reviewers, {found.ties} ties.")
    for name, value in found.agreement.items():
        if value is not None:
            terminal.say(f"    agreement, {name}: {value:.2f}")
    terminal.document(found.model_dump(mode="json"))


@review_app.command("judge")
def judge(
    run: RunName = None,
    first: Annotated[str, typer.Option("--first", help="Arm to be compared.")] = "tuned",
    second: Annotated[str | None, typer.Option("--second", help="Its rival; the best untuned arm by default.")] = None,
    project: Where = Path(),
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Ask the recipe's judge model, in both orders, after measuring it against people."""
    from tunewright.cli.show import NO
    from tunewright.joins import judging
    from tunewright.joins.scored import scored_answers
    from tunewright.project import outcome_of

    opening = Opening(json)
    opened, terminal = opening.run(project, run, trained=False), opening.terminal
    folder = opened.folder.run(run)
    stored = scored_answers(opened, folder)
    rival = second or ((outcome_of(folder) or {}).get("verdict") or {}).get("against") or "base"
    found = judging.judge(opened, folder, stored, first, rival)
    terminal.say()
    terminal.say(f"{found.judge} on {first} against {rival}, each pair in both orders:")
    terminal.say(
        f"    {found.wins} wins, {found.losses} losses, {found.flips} flipped with the order, "
        f"{found.unreadable} unreadable; {found.alike} answered alike, not asked"
    )
    if found.refused:
        terminal.say(f"    {found.refused} of {found.asked} requests were refused by the server")
    known = found.calibration
    if known is not None:
        terminal.say(
            f"    against people: right in {100 * known.accuracy:.0f} % [{100 * known.low:.0f}, {100 * known.high:.0f}]"
            f", κ {known.kappa:.2f} [{known.kappa_low:.2f}, {known.kappa_high:.2f}], {known.pairs} pairs"
        )
    terminal.say(f"    {found.gate.message}")
    terminal.document(found.model_dump(mode="json"))
    raise typer.Exit(NO if found.gate.ok is False else 0)


def trials(
    run: RunName = None,
    cases: Annotated[int, typer.Option("--cases", min=1, help="At most this many cases per change.")] = 200,
    safety: Annotated[Path | None, typer.Option("--safety", help="CSV of prompts labelled safe or unsafe.")] = None,
    project: Where = Path(),
    set: Sets = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """What the suite does not ask: forgetting, careless wording, memorised text, refusals."""
    from tunewright.joins import trying

    opening = Opening(json, set)
    opened, terminal = opening.run(project, run, trained=False), opening.terminal
    found = trying.trials(opened, opened.folder.run(run), cases=cases, safety=safety)
    terminal.say()
    general = found.forgetting
    terminal.say(f"General text: perplexity {general.before:.1f} → {general.after:.1f} over {general.tokens} tokens.")
    for one in found.robustness:
        terminal.say(
            f"    {one.change.replace('_', ' '):<15} {100 * one.score:5.1f} %  {100 * one.difference:+5.1f} points "
            f"[{100 * one.low:+.1f}, {100 * one.high:+.1f}]  p {one.p:.3g}"
        )
    for finding in found.memorisation:
        terminal.say(finding.message)
    for kind in found.refusals:
        terminal.say(
            f"{kind.kind} prompts refused: {100 * kind.before:.0f} % → {100 * kind.after:.0f} %, "
            f"{100 * kind.rise:+.1f} points [{100 * kind.rise_low:+.1f}, {100 * kind.rise_high:+.1f}], p {kind.p:.3g}"
        )
    for one_set in found.abilities:
        terminal.say(
            f"{one_set.name} ({one_set.kind}): {100 * one_set.before:.1f} % → {100 * one_set.after:.1f} %, "
            f"{100 * one_set.difference:+.1f} points [{100 * one_set.low:+.1f}, {100 * one_set.high:+.1f}]"
        )
    words = {"injection": "order obeyed", "toxicity": "insulted", "role": "left its role"}
    for each in found.probes:
        happened = words.get(each.kind, "answer changes")
        terminal.say(
            f"    {each.name:<36} {happened:<14} {100 * each.before:3.0f} % → {100 * each.after:3.0f} % "
            f"[{100 * each.low:.0f}, {100 * each.high:.0f}] of {each.cases}, p {each.p:.3g}"
        )
    terminal.say()
    terminal.say(f"  next     tunewright evaluate {found.run} --project {project}   puts this into the report")
    terminal.document(found.model_dump(mode="json"))
