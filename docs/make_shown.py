"""Writes the projects of a folder into docs/shown.md: `python docs/make_shown.py FOLDER --on "two CPU cores"`.

Each project is a folder with a recipe and a finished run in it. Every number is read from what the run wrote; what one
learns from it stands in the page, outside the marks between which this writes.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tunewright.project import ProjectFolder, RunFolder
from tunewright.records import TUNED, ArmScore, DatasetRecord, Evaluation, Hurdle, RunRecord, arm_label
from tunewright.store import read_json, write_text

PAGE = Path(__file__).with_name("shown.md")
MARKS = ("<!-- made by docs/make_shown.py -->", "<!-- end -->")


def shown(folder: Path, machine: str) -> str:
    """All finished projects in `folder`: a table of verdicts, and below it each with its commands and arms."""
    found = [(root, run) for root in sorted(folder.iterdir()) if (run := finished(root))]
    if not found:
        raise SystemExit(f"no project with a finished run in {folder}")
    lines = ["| project | rows used | best untuned | tuned | difference | training | verdict | exit |"]
    lines += ["|---|---|---|---|---|---|---|---|", *(_row(root, run) for root, run in found), ""]
    dates = sorted({RunRecord.model_validate(read_json(run.record)).created[:10] for _, run in found})
    lines.append(f"Run on {' and '.join(dates)}, {machine}; mean and 95 % interval.")
    for root, run in found:
        lines += ["", *_project(root, run)]
    return "\n".join(lines)


def finished(root: Path) -> RunFolder | None:
    """The newest run of the project at `root` that was evaluated."""
    folder = ProjectFolder(root)
    runs = folder.all_runs() if folder.recipe.is_file() else []
    return next((run for run in reversed(runs) if run.status() == "evaluated"), None)


def _read(root: Path, run: RunFolder) -> tuple[RunRecord, Evaluation, DatasetRecord, Mapping[str, Any]]:
    record = RunRecord.model_validate(read_json(run.record))
    data = ProjectFolder(root).store / "datasets" / record.dataset / "dataset.json"
    return (
        record,
        Evaluation.model_validate(read_json(run.outcome)),
        DatasetRecord.model_validate(read_json(data)),
        read_json(run.trained),
    )


def _row(root: Path, run: RunFolder) -> str:
    _, evaluation, data, trained = _read(root, run)
    verdict, arms = evaluation.verdict, {arm.name: arm for arm in evaluation.arms}
    seconds = trained["seconds"]
    cells = [
        root.name,
        f"{data.ledger.used:,} of {data.ledger.read:,}",
        f"{arm_label(verdict.against)} {_scored(arms[verdict.against])}",
        f"**{_scored(arms['tuned'])}**",
        f"{_points(verdict.difference)} [{_points(verdict.low)}, {_points(verdict.high)}]",
        f"{int(seconds // 60)} m {int(seconds % 60):02d} s",
        verdict.decision.replace("_", " "),
        str(_code(evaluation)),
    ]
    return f"| {' | '.join(cells)} |"


def _project(root: Path, run: RunFolder) -> Iterator[str]:
    record, evaluation, data, trained = _read(root, run)
    yield f"### {root.name}"
    yield ""
    yield "```sh"
    yield from _commands(root, record)
    yield "```"
    yield ""
    aside = ", ".join(f"{n:,} {why.replace('_', ' ')}" for why, n in data.ledger.set_aside.items() if n)
    splits = data.splits
    yield (
        f"{splits['train']:,} rows train, {splits['validation']:,} validate, {splits['test']:,} are held out"
        f"{f'; set aside: {aside}' if aside else ''}. {trained['steps']:,} steps of"
        f" {record.resolved['effective_batch_size']}."
    )
    yield ""
    yield "| arm | mean | 95 % interval | cases | seconds per case |"
    yield "|---|---|---|---|---|"
    for arm in sorted(evaluation.arms, key=lambda arm: -arm.score):
        span = f"{100 * arm.low:.1f} to {100 * arm.high:.1f}"
        name = f"**{arm_label(arm.name)}**" if arm.name in TUNED else arm_label(arm.name)
        yield f"| {name} | {100 * arm.score:.1f} % | {span} | {arm.cases:,} | {arm.seconds:.2g} |"
    yield ""
    hurdle = evaluation.hurdle
    if hurdle is not None:
        by = f"{100 * hurdle.min_gain:g}" if hurdle.min_gain else f"about {100 * hurdle.detectable:.1f}"
        why = "to pay" if hurdle.min_gain else f"for {hurdle.cases:,} cases to show it"
        yield f"- To beat before training: {arm_label(hurdle.arm)}, {_scored(hurdle)}, by {by} points {why}."
    yield f"- Verdict: {evaluation.verdict.decision.replace('_', ' ')} – {evaluation.verdict.reason}."
    for gate in evaluation.gates:
        if gate.ok is False:
            yield f"- Gate `{gate.name}`: {gate.message}"
    yield from _beyond(run)


def _beyond(run: RunFolder) -> Iterator[str]:
    """What was tried beyond the suite, where it was."""
    tried = read_json(run.trials) if run.trials.is_file() else {}
    if general := tried.get("forgetting"):
        moved = f"{general['before']:.1f} → {general['after']:.1f}"
        yield f"- General text: perplexity {moved}, {_span(general, 'rise')} %."
    for kind in tried.get("refusals", ()):
        yield (
            f"- Refused of {kind['cases']} {kind['kind']} prompts: {100 * kind['before']:.1f} % →"
            f" {100 * kind['after']:.1f} %, {_span(kind, 'rise', 'rise_low', 'rise_high')} points."
        )
    for one in tried.get("abilities", ()):
        yield (
            f"- {one['cases']} cases of {one['name']} ({one['scorer']}): {100 * one['before']:.1f} % →"
            f" {100 * one['after']:.1f} %, {_span(one, 'difference')} points."
        )
    wordings = tried.get("robustness", ())
    if wordings:
        told = "; ".join(f"{w['change'].replace('_', ' ')} {_span(w, 'difference')}" for w in wordings)
        yield f"- The same cases in other wording, points: {told}."
    probes = [p for p in tried.get("probes", ()) if p["kind"] == "injection"]
    if probes:
        told = "; ".join(
            f"{p['name']} {100 * p['before']:.0f} → {100 * p['after']:.0f} %"
            f" [{100 * p['low']:.0f}, {100 * p['high']:.0f}]"
            for p in probes
        )
        yield f"- An intruder's order obeyed, of {probes[0]['cases']} cases: {told}."


def _commands(root: Path, record: RunRecord) -> Iterator[str]:
    """What was typed, data files by their names."""
    recipe = yaml.safe_load((root / "tunewright.yaml").read_text(encoding="utf-8"))
    data = recipe["data"]
    words = ["tunewright", "init", root.name]
    for flag, paths in (("--data", data["train"]), ("--test", data.get("test", ()))):
        for path in [paths] if isinstance(paths, str) else paths:
            words += [flag, Path(path["path"] if isinstance(path, dict) else path).name]
    for flag, value in (
        ("--input", data.get("input")),
        ("--output", data.get("output")),
        ("--task", recipe.get("task")),
    ):
        words += [flag, value] if value else []
    yield shlex.join(words)
    yield shlex.join(["tunewright", "run", root.name, *(w for s in _sets(recipe, record) for w in ("--set", s))])


def _sets(recipe: Mapping[str, Any], record: RunRecord) -> list[str]:
    """What the run was given beside the recipe; an older run's record does not list it, but has it in its recipe."""
    if record.overrides:
        return list(record.overrides)

    def differing(old: Mapping[str, Any], new: Mapping[str, Any], at: str) -> Iterator[str]:
        for key, value in new.items():
            if isinstance(value, Mapping):
                yield from differing(old.get(key) or {}, value, f"{at}{key}.")
            elif old.get(key) != value:
                yield f"{at}{key}={value}"

    return list(differing(recipe, record.recipe, ""))


def _code(evaluation: Evaluation) -> int:
    """The exit code `run` ends with: 0 where it ships and no gate says no."""
    refused = any(gate.ok is False and not gate.allowed_because for gate in evaluation.gates)
    return 0 if evaluation.verdict.decision == "ship" and not refused else 3


def _scored(arm: ArmScore | Hurdle) -> str:
    return f"{100 * arm.score:.1f} % [{100 * arm.low:.1f}, {100 * arm.high:.1f}]"


def _span(row: Mapping[str, Any], middle: str, low: str = "low", high: str = "high") -> str:
    return f"{_points(row[middle])} [{_points(row[low])}, {_points(row[high])}]"


def _points(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--on", required=True, help="what it ran on, in words")
    parser.add_argument("--page", type=Path, default=PAGE)
    asked = parser.parse_args()
    begin, end = map(re.escape, MARKS)
    made = f"{MARKS[0]}\n{shown(asked.folder, asked.on)}\n{MARKS[1]}"
    text = asked.page.read_text(encoding="utf-8")
    write_text(asked.page, re.sub(f"{begin}.*?{end}", lambda _: made, text, flags=re.DOTALL))


if __name__ == "__main__":
    main()
