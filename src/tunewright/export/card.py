"""The model card of an export: what was tuned on what, how it did on held-out cases, and what nobody knows."""

from __future__ import annotations

import json

from tunewright.records import DatasetRecord, Evaluation, RunRecord


def model_card(
    run: RunRecord,
    dataset: DatasetRecord,
    evaluation: Evaluation | None,
    *,
    task: str | None,
    licence: str | None = None,
) -> str:
    """The card as Markdown with the head that model hubs read (Mitchell et al. 2019: "Model Cards").

    Without an `evaluation` it says that nothing was measured. `licence` is the base's, which holds for the export.
    """
    adapter = run.resolved.get("method") in ("lora", "qlora")
    head = [
        "---",
        f"base_model: {json.dumps(run.base)}",
        *([f"license: {json.dumps(licence)}"] if licence else []),
        f"library_name: {'peft' if adapter else 'transformers'}",
        "pipeline_tag: text-generation",
        "tags: [tunewright]",
        "---",
    ]
    what = "A LoRA adapter for" if adapter else "All weights tuned from"
    form = ", held in 4 bits," if run.quantisation else ""
    parts = [
        [f"# {task or run.id}", "", f"{what} `{run.base}`{form}: run `{run.id}` of {run.created[:10]}, by tunewright."],
        _results(evaluation),
        _data(dataset),
        _training(run),
        _limits(run, dataset, evaluation, licence),
    ]
    return "\n".join(head) + "\n" + "\n\n".join("\n".join(part) for part in parts) + "\n"


def _results(evaluation: Evaluation | None) -> list[str]:
    lines = ["## How good it is", ""]
    if evaluation is None:
        return [*lines, "Nobody has measured it: `tunewright evaluate` does."]
    verdict = evaluation.verdict
    said = verdict.decision.replace("_", " ")
    lines += [
        f"Verdict: **{said}**{f' – {verdict.reason}' if verdict.reason else ''}. Against {verdict.against}: "
        f"{100 * verdict.difference:+.1f} points [{100 * verdict.low:+.1f}, {100 * verdict.high:+.1f}], paired.",
        "",
        "| arm | score | 95 % interval | cases |",
        "|---|---:|---|---:|",
    ]
    lines += [
        f"| {a.name} | {100 * a.score:.1f} % | {100 * a.low:.1f}–{100 * a.high:.1f} | {a.cases} |"
        for a in evaluation.arms
    ]
    if evaluation.folds:
        lines += [
            "",
            f"This judges the procedure: {evaluation.folds} models were trained as this one was, each without the "
            "cases it was asked. These weights were trained on all rows afterwards and have no score of their own.",
        ]
    marks = {True: "yes", False: "**no**", None: "cannot tell"}
    lines += ["", "| gate | holds | |", "|---|---|---|"]
    for gate in evaluation.gates:
        because = f" Passed all the same: {gate.allowed_because}" if gate.allowed_because else ""
        lines.append(f"| {gate.name} | {marks[gate.ok]} | {gate.message}{because} |")
    return lines


def _data(dataset: DatasetRecord) -> list[str]:
    sizes = ", ".join(f"{n:,} {name}" for name, n in dataset.splits.items())
    lines = [
        "## Data",
        "",
        f"Dataset version `{dataset.id}`: {sizes}.",
        "",
        "| source | rows | licence |",
        "|---|---:|---|",
    ]
    return lines + [f"| {s.path} | {s.rows:,} | {s.license or 'not stated'} |" for s in dataset.sources]


def _training(run: RunRecord) -> list[str]:
    settings = ", ".join(f"{key} {value}" for key, value in run.resolved.items() if not isinstance(value, (dict, list)))
    made = ", ".join(f"{name} {number}" for name, number in run.versions.items())
    return ["## Training", "", f"{settings}.", "", f"Made with {made}. Hashes are in `manifest.json`."]


def _limits(run: RunRecord, dataset: DatasetRecord, evaluation: Evaluation | None, licence: str | None) -> list[str]:
    lines = ["## Limits", ""]
    if evaluation is not None:
        lines.append("- The cases come from the same source as the training rows: other input was not tried by them.")
    unsaid = sum(source.license is None for source in dataset.sources)
    if unsaid:
        lines.append(f"- No licence is stated for {unsaid} of {len(dataset.sources)} sources of data.")
    if run.quantisation:
        lines.append(
            "- It was tuned, measured and certified on the base in NF4 with double quantisation (`BitsAndBytesConfig` "
            'with `load_in_4bit`, `bnb_4bit_quant_type="nf4"`, `bnb_4bit_use_double_quant`). On the base in 16 bits '
            "the adapter makes another model, which nobody has measured."
        )
    lines += [
        "- What the base gets wrong outside this task, the tuned model gets wrong too, or worse.",
        f"- The licence of the base ({licence or 'not stated'}) holds for what is made from it.",
    ]
    return lines
