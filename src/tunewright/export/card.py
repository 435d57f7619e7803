"""The model card of an export: what was tuned on what, how it did on held-out cases, and what nobody knows."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tunewright.records import Certificate, DatasetRecord, Evaluation, RunRecord, arm_called, arm_label


def model_card(
    run: RunRecord,
    dataset: DatasetRecord,
    evaluation: Evaluation | None,
    *,
    task: str | None,
    licence: str | None = None,
    form: str = "adapter",
    certificate: Certificate | None = None,
) -> str:
    """The card as Markdown with the head that model hubs read (Mitchell et al. 2019: "Model Cards").

    Without an `evaluation` it says that nothing was measured. `licence` is the base's, which holds for the export.
    `form` is what the run was exported as: `adapter`, `merged`, or `merged_unquantised`. The last is another model than
    the one that was judged, and has no score but its `certificate`'s.
    """
    adapter = form == "adapter" and _has_adapter(run)
    head = [
        "---",
        f"base_model: {json.dumps(run.base)}",
        *([f"license: {json.dumps(licence)}"] if licence else []),
        f"library_name: {'peft' if adapter else 'transformers'}",
        "pipeline_tag: text-generation",
        "tags: [tunewright]",
        "---",
    ]
    parts = [
        [f"# {task or run.id}", "", f"{_what(run, form)}: run `{run.id}` of {run.created[:10]}, by tunewright."],
        _own_score(certificate) if form == "merged_unquantised" else _results(evaluation),
        _data(dataset),
        _training(run),
        [*_limits(run, dataset, evaluation, form), *_inherited(licence)],
    ]
    return "\n".join(head) + "\n" + "\n\n".join("\n".join(part) for part in parts) + "\n"


def _has_adapter(run: RunRecord) -> bool:
    return run.resolved.get("method") in ("lora", "qlora")


def _what(run: RunRecord, form: str) -> str:
    if not _has_adapter(run):
        return f"All weights tuned from `{run.base}`"
    if form == "merged_unquantised":
        return f"Merged from `{run.base}` as published and a LoRA that was tuned on it in 4 bits"
    held = " held in 4 bits" if run.quantisation else ""
    return f"{'A LoRA adapter for' if form == 'adapter' else 'Merged from a LoRA of'} `{run.base}`{held}"


def _own_score(certificate: Certificate | None) -> list[str]:
    """Of an adapter on the base as published: what was measured of the base in 4 bits does not hold for it."""
    lines = ["## How good it is", ""]
    other = "On the base as published the adapter makes another model than the one in 4 bits that was tuned and judged"
    if certificate is None or certificate.suite_score is None or certificate.suite_score_trained is None:
        return [*lines, f"Nobody has measured it. {other}."]
    own, judged = 100 * certificate.suite_score, 100 * certificate.suite_score_trained
    return [*lines, f"Its score on the held-out cases is {own:.1f} %. {other}: that one has {judged:.1f} %."]


def _results(evaluation: Evaluation | None) -> list[str]:
    lines = ["## How good it is", ""]
    if evaluation is None:
        return [*lines, "Nobody has measured it: `tunewright evaluate` does."]
    verdict = evaluation.verdict
    against = (
        f" Against {arm_called(verdict.against)}: {100 * verdict.difference:+.1f} points "
        f"[{100 * verdict.low:+.1f}, {100 * verdict.high:+.1f}], paired."
    )
    reason = f" – {verdict.reason}" if verdict.reason else ""
    lines += [
        f"Verdict: **{verdict.decision.replace('_', ' ')}**{reason}.{against if verdict.against else ''}",
        "",
        "| arm | score | 95 % interval | cases |",
        "|---|---:|---|---:|",
    ]
    lines += [
        f"| {arm_label(a.name)} | {100 * a.score:.1f} % | {100 * a.low:.1f}–{100 * a.high:.1f} | {a.cases} |"
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


def _limits(run: RunRecord, dataset: DatasetRecord, evaluation: Evaluation | None, form: str) -> list[str]:
    lines = ["## Limits", "", *_thinks(run)]
    if evaluation is not None:
        lines.append("- The cases come from the same source as the training rows: other input was not tried by them.")
        lines.append(
            "- It was asked greedily: temperature 0, no penalty, whatever the base's settings for drawing say."
        )
    unsaid = sum(source.license is None for source in dataset.sources)
    if unsaid:
        lines.append(f"- No licence is stated for {unsaid} of {len(dataset.sources)} sources of data.")
    return lines + (_of_4_bits(form) if run.quantisation else [])


def _thinks(run: RunRecord) -> list[str]:
    model = run.recipe.get("model")
    if not isinstance(model, Mapping) or not model.get("thinking"):
        return []
    return [
        "- It thinks before it answers, and the chat template beside it asks for that, whatever a client sets. What "
        "stands behind `</think>` is the answer, and is what was scored: give it tokens for both, and show people the "
        "second."
    ]


def _of_4_bits(form: str) -> list[str]:
    nf4 = (
        "the base in NF4 with double quantisation (`BitsAndBytesConfig` with `load_in_4bit`, "
        '`bnb_4bit_quant_type="nf4"`, `bnb_4bit_use_double_quant`)'
    )
    if form == "merged":
        return [f"- It was tuned and measured on {nf4}. These weights are what the 4 bits stand for, and the adapter."]
    if form == "merged_unquantised":
        return [f"- It was tuned on {nf4}. Here its answers are others, and its score alone vouches for it."]
    return [
        f"- It was tuned, measured and certified on {nf4}. On the base in 16 bits the adapter makes another model, "
        "which nobody has measured."
    ]


def _inherited(licence: str | None) -> list[str]:
    return [
        "- What the base gets wrong outside this task, the tuned model gets wrong too, or worse.",
        f"- The licence of the base ({licence or 'not stated'}) holds for what is made from it.",
    ]
