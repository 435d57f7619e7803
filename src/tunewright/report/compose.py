"""From the records of a run to the page about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tunewright.records import (
    Ability,
    ArmScore,
    Case,
    DatasetRecord,
    Evaluation,
    Finding,
    Forgetting,
    JudgeReport,
    Prediction,
    Probe,
    PromptChoice,
    Recall,
    Refusals,
    Robustness,
    RunRecord,
    Suite,
    arm_label,
)
from tunewright.report.evidence import CaseShown, Evidence, Training


def evidence_of(
    *,
    title: str,
    run: RunRecord,
    parameters: int,
    suite: Suite,
    evaluation: Evaluation,
    predictions: Mapping[str, Sequence[Prediction]],
    events: Iterable[Mapping[str, Any]],
    dataset: DatasetRecord,
    facts: Sequence[tuple[str, str]],
    hashes: Mapping[str, str],
    files: Mapping[str, str],
    shots: int,
    trials: Mapping[str, Any] | None = None,
    device: str = "cpu",
) -> Evidence:
    """The evidence page's content; without a tuned arm it is the baseline page's.

    `shots` is how many examples the few-shot arm may show, `trials` what was tried beyond the suite, as it is kept in a
    run; `device` is what the answers were computed on.
    """
    tuned, resolved = "tuned" in predictions, run.resolved
    return Evidence(
        title=title,
        arms=evaluation.arms,
        primary=suite.primary,
        **_about(run),
        parameters=parameters,
        labels=_labels(evaluation.arms, resolved, shots),
        verdict=evaluation.verdict if tuned else None,
        gates=evaluation.gates,
        slices=evaluation.slices,
        classes=evaluation.labels,
        comparisons=evaluation.comparisons,
        hurdle=None if tuned else evaluation.hurdle,
        cases=tuple(_cases(suite, predictions, evaluation.verdict.against)) if tuned else (),
        training=_training(events, int(resolved["effective_batch_size"])) if tuned else None,
        **_beyond(trials or {}),
        ledger=dataset.ledger,
        splits=dataset.splits,
        folds=evaluation.folds,
        asked=len(suite.cases) if suite.source == "test" else 0,
        facts=tuple(facts),
        limits=tuple(_limits(suite, dataset, device, run)),
        hashes=hashes,
        files=files,
    )


def _about(run: RunRecord) -> dict[str, Any]:
    """Which run it is, what was asked of it, and how to have it again."""
    return {
        "run": run.id,
        "base": run.base,
        "date": run.created[:10],
        "min_gain": float(run.recipe.get("gates", {}).get("min_gain", 0.0)),
        "command": "tunewright run tunewright.yaml",
        "overrides": run.overrides,
    }


def _beyond(tried: Mapping[str, Any]) -> dict[str, Any]:
    """What was tried beyond the suite, as records."""
    return {
        "forgetting": Forgetting.model_validate(tried["forgetting"]) if tried.get("forgetting") else None,
        "robustness": tuple(Robustness.model_validate(r) for r in tried.get("robustness", ())),
        "memorisation": tuple(Finding.model_validate(f) for f in tried.get("memorisation", ())),
        "refusals": tuple(Refusals.model_validate(r) for r in tried.get("refusals", ())),
        "abilities": tuple(Ability.model_validate(a) for a in tried.get("abilities", ())),
        "probes": tuple(Probe.model_validate(p) for p in tried.get("probes", ())),
        "prompts": PromptChoice.model_validate(tried["prompts"]) if tried.get("prompts") else None,
        "recalls": tuple(Recall.model_validate(r) for r in tried.get("retrieval", ())),
        "judge": JudgeReport.model_validate(tried["judge"]) if tried.get("judge") else None,
    }


def _labels(arms: Sequence[ArmScore], resolved: Mapping[str, Any], shots: int) -> dict[str, str]:
    rank = resolved.get("rank")
    methods = {"lora": f"LoRA r{rank}", "qlora": f"QLoRA r{rank}, base in 4 bits", "full": "all weights"}
    more = {
        "few_shot": f", up to {shots} example{'s' if shots > 1 else ''}",
        "tuned": f" ({methods[resolved['method']]})",
    }
    return {arm.name: arm_label(arm.name) + more.get(arm.name, "") for arm in arms}


def _cases(suite: Suite, predictions: Mapping[str, Sequence[Prediction]], against: str) -> Iterator[CaseShown]:
    """The cases that both arms could be scored on: where a scorer failed, nobody won."""
    tuned = {p.case: p for p in predictions["tuned"] if p.score is not None}
    untuned = {p.case: p for p in predictions.get(against, ()) if p.score is not None}
    for case in suite.cases:
        if case.id in tuned and case.id in untuned:
            yield _case(case, against, untuned[case.id], tuned[case.id])


def _case(case: Case, against: str, untuned: Prediction, tuned: Prediction) -> CaseShown:
    gap = (tuned.score or 0.0) - (untuned.score or 0.0)
    question = next((m["content"] for m in reversed(case.messages) if m["role"] == "user"), "")
    return CaseShown(
        question=str(question),
        expected=case.expected,
        untuned_arm=against,
        untuned=untuned.text,
        tuned=tuned.text,
        untuned_score=untuned.score,
        tuned_score=tuned.score,
        outcome="won" if gap > 0 else "lost" if gap < 0 else "same",
        id=case.id,
        untuned_thought=untuned.thought,
        tuned_thought=tuned.thought,
    )


def _training(events: Iterable[Mapping[str, Any]], batch: int) -> Training:
    steps: list[tuple[int, float]] = []
    validation: list[tuple[int, float | None, float | None]] = []
    best = None
    for event in events:
        if event["type"] == "step" and isinstance(event["loss"], (int, float)):
            steps.append((event["step"], event["loss"]))
        elif event["type"] == "validation":
            validation.append((event["step"], event["loss"], event["score"]))
        elif event["type"] == "checkpoint":
            best = event["best_step"]
    return Training(
        steps=steps[-1][0] if steps else 0,
        batch=batch,
        train=tuple(steps),
        validation=tuple(validation),
        best_step=best if validation else None,
    )


def _limits(suite: Suite, dataset: DatasetRecord, device: str, run: RunRecord) -> Iterator[str]:
    held = _test_files(run.recipe.get("data", {}).get("test"))
    sources = sum(source.path not in held for source in dataset.sources)
    yield "One source of training rows." if sources == 1 else f"{sources} sources of training rows."
    if suite.source != "test":
        yield f"The cases come from {suite.source}."
    elif held:
        yield f"Held-out cases come from {' and '.join(map(_name, held))}, given apart from the training rows."
    else:
        yield f"Held-out cases come from the same {'source' if sources == 1 else 'sources'} as the training rows."
    model = run.recipe.get("model")
    if isinstance(model, Mapping) and model.get("thinking"):
        yield "Answers are scored without the thoughts before them, which nobody judged."
    form = ", on a base in 4 bits" if run.quantisation else ""
    yield f"Greedy answers, computed in fp32 on a {'CPU' if device == 'cpu' else 'GPU'}{form}; no human judged them."
    sources_of_cases = {case.group for case in suite.cases if case.group is not None}
    if sources_of_cases and len(sources_of_cases) < len(suite.cases):
        yield f"{len(suite.cases):,} cases come from {len(sources_of_cases):,} groups; intervals are of whole groups."
    if dataset.folds:
        yield "The folds' models share most of their rows, so the interval is somewhat too narrow."
    if len(suite.cases) < 100:
        yield f"{len(suite.cases)} cases are few: small differences stay hidden."


def _test_files(given: Any) -> list[str]:
    """The recipe's held-out files, however they are written there."""
    items = given if isinstance(given, list) else [given] if given else []
    return [_named(item) if isinstance(item, Mapping) else str(item) for item in items]


def _named(source: Mapping[str, Any]) -> str:
    """A source as the dataset version calls it: a split of a file by both."""
    return f"{source.get('path')}[{source['split']}]" if source.get("split") else str(source.get("path"))


def _name(path: str) -> str:
    """A file's name, of whichever system's path."""
    return path.replace("\\", "/").rstrip("/").split("/")[-1]
