"""Each command's run and what it says at the end: what was found, where it lies, what to type next."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from rich.text import Text

from tunewright.cli.state import stop
from tunewright.cli.terminal import Terminal
from tunewright.cli.words import advised, gate_lines, read_as, verdict_lines
from tunewright.records import Advice

NO = 3


def is_recipe(paths: list[Path]) -> bool:
    """Whether a command was given a recipe (or its folder) rather than data files."""
    first = paths[0]
    named = first.suffix in (".yaml", ".yml") or (first / "tunewright.yaml").is_file()
    return len(paths) == 1 and (named or first == Path())


def check(project: Any, terminal: Terminal) -> int:
    from tunewright import journey
    from tunewright.joins.advising import beginning

    done = journey.check(project)
    for source in done.audit.dataset.sources:
        terminal.say(read_as(_short(Path(source.path)), source.shape, source.reason))
    for finding in done.audit.findings:
        _finding(terminal, finding)
    ok = _gates(terminal, done.gates)
    terminal.say()
    spent = done.audit.fluency
    if spent:
        terminal.say(
            f"  words    {spent.data:.2f} tokens each under this base; plain English takes {spent.english:.2f}"
        )
    terminal.say(f"  report   {_short(done.report)}")
    terminal.say(f"  next     {beginning(project) if project.bare else project.command('run')}")
    terminal.document(done.as_dict())
    return 0 if ok else NO


def plan(project: Any, terminal: Terminal) -> int:
    from tunewright import journey
    from tunewright.text import span

    made = journey.make_the_plan(project)
    memory, hours, price, choice = made.memory_gb, made.hours, made.price, made.choice
    fits = "It fits" if made.fits else "It may not fit" if memory["low"] <= made.free_gb else "It does not fit"
    terminal.say()
    terminal.paragraph(
        f"{fits}: about {memory['total']:.2g} GB [{memory['low']:.2g}, {memory['high']:.2g}] of {made.free_gb:.3g} "
        "free, estimated."
    )
    parts = {k.replace("_", " "): v for k, v in memory.items() if k not in ("total", "low", "high") and v >= 0.005}
    told = ", ".join(f"{name} {size:.2g}" for name, size in sorted(parts.items(), key=lambda part: -part[1]))
    counted = "counted on the base's shapes" if made.heaviest else "by a rule of thumb"
    terminal.paragraph(f"Of it {told}: {counted}.", "dim")
    terminal.paragraph(
        f"Training takes about {span(hours['expected'])} [{span(hours['low'])}, {span(hours['high'])}], estimated."
    )
    sums = f"{price['expected']:.2f} {price['currency']} [{price['low']:.2f}, {price['high']:.2f}]"
    cost = f"It costs about {sums}, at" if price["high"] else "Nothing is charged:"
    terminal.paragraph(f"{cost} {price['basis']}.")
    asked = ", ".join(
        f"{key} {choice[key]}"
        for key in (
            "method",
            "rank",
            "alpha",
            "effective_batch_size",
            "epochs",
            "steps",
            "learning_rate",
            "loraplus_lr_ratio",
            "adam_beta2",
            "precision",
        )
    )
    terminal.paragraph(f"Chosen: {asked}.")
    for other in made.rejected:
        terminal.paragraph(f"Not {other['option']}: {other['why']}", "dim")
    for engine in made.serves:
        served = {True: "Served by", None: "May be served by", False: "Not served by"}[engine["ok"]]
        terminal.paragraph(f"{served} {engine['engine']}: {engine['why']}")
    terminal.say()
    advice(terminal, made.advice)
    terminal.document(made.model_dump(mode="json"))
    return 0


def advice(terminal: Terminal, given: Advice) -> None:
    """What to do, why, and what must be there first, each with what shows it."""
    terminal.paragraph(advised(given), "bold")
    for reason in given.reasons:
        terminal.paragraph(reason, first="    ", rest="    ")
    terminal.say()
    for wanted in given.prerequisites:
        mark, style = {True: ("✓", "green"), False: ("✗", "red"), None: ("!", "yellow")}[wanted.ok]
        terminal.paragraph(f"{wanted.name}: {wanted.evidence}", style, first=f"  {mark} ", rest="    ")


def baseline(project: Any, terminal: Terminal) -> int:
    from tunewright import journey

    outcome = journey.baseline(project)
    return _outcome(terminal, outcome)


def train(project: Any, terminal: Terminal, *, resume: bool) -> int:
    from tunewright import journey

    stop.patient = True
    stop.going_on = lambda: project.going_on("train") if project.begun else ""
    if journey.assisted(project):
        return 0
    result, gates = journey.train(project, resume=resume)
    ok = _gates(terminal, gates)
    terminal.say()
    if result:
        terminal.say(f"  run      {result.run}")
        where = "" if project.folder.root == Path.cwd() else f" --project {shlex.quote(_short(project.folder.root))}"
        terminal.say(f"  next     tunewright evaluate {result.run}{where}")
    terminal.document(
        {**(result.model_dump(mode="json") if result else {"run": None}), "gates": [_dump(g) for g in gates]}
    )
    return 0 if ok and result else NO


def evaluate(project: Any, terminal: Terminal, run: str | None) -> int:
    from tunewright import journey

    return _outcome(terminal, journey.evaluate(project, run))


def export(project: Any, terminal: Terminal, run: str | None, to: str) -> int:
    from tunewright import journey

    artifact = journey.export(project, run, to)
    terminal.say()
    terminal.say(f"  artifact {artifact.path}")
    terminal.document(artifact.model_dump(mode="json"))
    return 0 if artifact.certificate.ok else NO


def run_all(project: Any, terminal: Terminal, *, resume: bool, name: str, demo: bool = False) -> int:
    from tunewright import journey

    stop.patient = True
    stop.going_on = lambda: project.going_on() if project.begun else ""
    if journey.assisted(project):
        return 0
    terminal.say(journey.headline(project))
    terminal.say()
    outcome = journey.run(project, resume=resume)
    terminal.say()
    for line in verdict_lines(outcome.verdict, outcome.arms, outcome.hurdle, outcome.folds):
        terminal.say(line)
    ok = _gates(terminal, outcome.gates, only_no=True)
    terminal.say()
    terminal.say(f"  report   {_short(outcome.report)}")
    if outcome.paths.get("adapter"):
        terminal.say(f"  talk     tunewright chat {name}")
    if demo:
        terminal.say("  yours    tunewright init my-project --data my.jsonl")
    terminal.document(outcome.as_dict(terminal.seconds))
    shipped = outcome.verdict is not None and outcome.verdict.decision == "ship"
    return 0 if ok and shipped else NO


def runs(folder: Path, terminal: Terminal, name: str | None) -> int:
    from tunewright.project import ProjectFolder, outcome_of
    from tunewright.store import read_json

    project = ProjectFolder(folder.resolve()).existing()
    found = project.all_runs() if name is None else [project.run(name)]
    rows = []
    for run in found:
        record, outcome = read_json(run.record), outcome_of(run)
        verdict = (outcome or {}).get("verdict") or {}
        scores = {a["name"]: a["score"] for a in (outcome or {}).get("arms", ())}
        rows.append(
            {
                "run": run.id,
                "path": str(run.path),
                "status": run.status(),
                "base": record["base"],
                "dataset": record["dataset"],
                "created": record["created"],
                "decision": verdict.get("decision"),
                "scores": scores,
                "report": str(run.report) if run.report.is_file() else None,
            }
        )
    for row in rows:
        tuned = f"tuned {100 * row['scores']['tuned']:.1f} %" if "tuned" in row["scores"] else ""
        decision = (row["decision"] or "").replace("_", " ")
        terminal.say(f"{row['run']}  {row['status']:<9}  {row['base']:<12}  {tuned:<14}  {decision}")
    if name is not None and rows:
        for key in ("path", "dataset", "report"):
            terminal.say(f"  {key:<8} {rows[0][key]}")
    if not rows:
        terminal.say("No run yet. Start one: tunewright run")
    terminal.document(rows[0] if name is not None else {"runs": rows})
    return 0


def print_example(terminal: Terminal, row: str, sequences: list[list[tuple[str, bool]]]) -> None:
    """A rendered example: what is learned is green and, without colour, between ⟦ and ⟧."""
    for number, spans in enumerate(sequences, 1):
        which = f", {number} of {len(sequences)}" if len(sequences) > 1 else ""
        terminal.say(f"{row}{which}, as the model sees it; ⟦what it learns to say⟧:", style="dim")
        text = Text()
        for piece, supervised in spans:
            text.append(f"⟦{piece}⟧" if supervised else piece, style="green" if supervised else "")
        terminal.out.print(text)
        terminal.say()


def _outcome(terminal: Terminal, outcome: Any) -> int:
    terminal.say()
    for line in verdict_lines(outcome.verdict, outcome.arms, outcome.hurdle, outcome.folds):
        terminal.say(line)
    ok = _gates(terminal, outcome.gates, only_no=True)
    terminal.say()
    terminal.say(f"  report   {_short(outcome.report)}")
    terminal.document(outcome.as_dict(terminal.seconds))
    no = outcome.verdict is not None and outcome.verdict.decision != "ship"
    return NO if no or not ok else 0


def _gates(terminal: Terminal, gates: Any, *, only_no: bool = False) -> bool:
    """Say the gates that did not hold (or all); whether none of them blocks."""
    for line, style in gate_lines(gates, only_no=only_no):
        terminal.say(line, style=style)
    return not any(gate.blocks for gate in gates)


def _finding(terminal: Terminal, finding: Any) -> None:
    style = {"error": "red", "warning": "yellow", "info": "dim"}[finding.severity]
    mark = {"error": "✗", "warning": "!", "info": "·"}[finding.severity]
    terminal.out.print(Text.assemble("  ", (mark, style), f" {finding.code:<18} {finding.message}"))
    if finding.remedy:
        terminal.say(f"    {'':<18} {finding.remedy}", style="dim")


def _short(path: Path) -> str:
    """`path` relative to here when it lies below."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _dump(gate: Any) -> Any:
    return gate.model_dump(mode="json")
