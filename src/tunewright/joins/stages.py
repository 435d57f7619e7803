"""What the stages of the journey do inside: the rooms' functions called with what the workshop has at hand."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.errors import Interrupted
from tunewright.evaluate import verdict
from tunewright.export import without_passwords
from tunewright.joins import hurdles, starting
from tunewright.joins.answering import Predictions, asked, validation_suite
from tunewright.joins.passing import on_record, with_strict
from tunewright.joins.splits import LOSS_ROWS
from tunewright.joins.workshop import Project
from tunewright.parity import fingerprint, pick_probes
from tunewright.project import RunFolder
from tunewright.records import (
    Evaluation,
    Gate,
    Prediction,
    Rendered,
    RunRecord,
    TrainResult,
    arm_label,
)
from tunewright.report import evidence_of, evidence_page
from tunewright.store import digest, directory, read_json, read_lines, tree_digest, write_json, write_text
from tunewright.train import FitResult, Settings, fit

_PROBE_TOKENS = 32
_PROBE_ROWS = 64


def decided(project: Project, predictions: Predictions, more: Sequence[Gate] = ()) -> Evaluation:
    """The verdict under the recipe's gates."""
    gates = project.recipe.gates
    evaluation = verdict.decide(
        project.suite,
        predictions,
        min_gain=gates.min_gain,
        suite_size=gates.suite_size,
        worst_slice=gates.worst_slice,
        gates=more,
        allow=project.allow,
        seed=project.recipe.data.split.seed,
    )
    found = {**hurdles.basis(project), "answered": hash_of(predictions)}
    return evaluation.model_copy(update={"folds": project.folds, **found})


def settled(project: Project, evaluation: Evaluation, gates: Sequence[Gate]) -> Evaluation:
    """The evaluation under its own and these gates, its verdict weighed by all; a later one of a name is the valid one.

    Without a comparison there is no verdict yet that a gate could change.
    """
    every = with_strict(project, list({g.name: g for g in (*gates, *evaluation.gates)}.values()))
    weighed = verdict.weighed(evaluation.verdict, every) if evaluation.comparisons else evaluation.verdict
    return evaluation.model_copy(update={"gates": every, "verdict": weighed})


def suite_gate(project: Project) -> Gate:
    """Whether the suite can decide anything, asked before the long work rather than after it."""
    cases, least = project.cases, project.recipe.gates.suite_size
    return Gate(name="suite_size", ok=cases >= least, message=f"{cases} cases, at least {least} wanted.")


def cut_thoughts(project: Project, evaluation: Evaluation, names: Sequence[str] = ()) -> list[str]:
    """A line for each arm (of those named) that thought of some cases until no token was left."""
    most = project.sampling.max_new_tokens if any(arm.unended for arm in evaluation.arms) else 0
    return [
        f"{arm_label(arm.name)}: {arm.unended} of {arm.cases} thoughts did not end in {most} tokens, and count "
        "as wrong; suite.max_tokens gives more"
        for arm in evaluation.arms
        if arm.unended and (not names or arm.name in names)
    ]


def asked_of_held_out(project: Project) -> int:
    """How many of the rows held out decide: none where the cases come from a file of their own."""
    return project.cases if project.recipe.suite.source == "test" else 0


@dataclass(frozen=True)
class _Work:
    """What the first process tells those that take each step with it."""

    train: list[Rendered]
    validation: list[Rendered]
    settings: Settings
    directory: Path
    resume: bool
    more: bool


def assist(project: Project) -> None:
    """In a process that does not lead: wait for the first one to begin training, and take every step with it.

    Where the first one finds nothing to train, it says so and all are done.
    """
    work: _Work | None = project.ranks.told(None)
    while work is not None:
        fit(
            project.fresh().model,
            work.train,
            work.validation,
            work.settings,
            directory=work.directory,
            resume=work.resume,
            should_stop=project.should_stop,
        )
        work = project.ranks.told(None) if work.more else None


def tune(project: Project, run: RunFolder, resume: bool, *, more: bool = False) -> TrainResult:
    """Fit, keep the best checkpoint's weights and the probes that prove any later form of them.

    `more`: another model will be trained after this one, so those who help stay. Raises `RunError` where another
    process trains this run.
    """
    with run.alone():
        return _tune(project, run, resume, more)


def _tune(project: Project, run: RunFolder, resume: bool, more: bool) -> TrainResult:
    if resume and run.trained.is_file():
        project.ranks.told(None)
        return read_json(run.trained, TrainResult)
    project.forget_untuned()
    base = project.fresh()
    settings = starting.settings_of(project.resolved, project.folder.root)
    trained = project.rendered("train") + project.rendered("rehearsal")
    work = _Work(trained, project.rendered("validation", LOSS_ROWS), settings, run.path, resume, more)
    project.ranks.told(work)
    try:
        fitted = fit(
            base.model,
            work.train,
            work.validation,
            settings,
            directory=run.path,
            score=_scorer(project) if work.validation else None,
            on_event=lambda event: _tell(project, event, settings),
            resume=resume,
            should_stop=project.should_stop,
        )
    except Interrupted as stopped:
        remedy = f"Go on exactly where it stopped: {project.going_on()} (or the same with train)"
        raise Interrupted(stopped.message, where=run.id, remedy=remedy) from None
    with directory(run.weights) as draft:
        fitted.model.save_pretrained(str(draft))
        project.base.tokenizer.save_pretrained(str(draft))
    _probe(project, run, fitted)
    result = _result(run, fitted)
    write_json(run.trained, result.model_dump(mode="json"))
    return result


def _scorer(project: Project) -> Any:
    """Scores a model on validation cases: this chooses the checkpoint, and the suite has no part in it."""
    cases = validation_suite(project)

    def judge(model: Any) -> float:
        # A folder of its own each time: weights in training have no name that answers could be kept under.
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "v.jsonl"
            rows = asked(project, "validation", cases, project.engine(model, "in training"), path, stage="train")
        return verdict.decide(cases, {"validation": rows}).arms[0].score

    return judge


def _tell(project: Project, event: Mapping[str, Any], settings: Settings) -> None:
    if event["type"] != "step":
        return
    total, step = settings.steps or 0, event["step"]
    left = (total - step) * event["seconds"]
    loss = event["loss"] if isinstance(event["loss"], str) else f"{event['loss']:.2f}"
    note = f"loss {loss}  {event['tokens_per_second']:,.0f} tok/s  {left:.0f} s left"
    project.tell.progress("train", step, total, note)


def _probe(project: Project, run: RunFolder, fitted: FitResult) -> None:
    # Without a suite, which somebody must have passed on the record, training rows have to do.
    held = project.suite.cases if project.cases else ()
    prompts = [project.render_prompt(c.messages, c.tools) for c in held]
    prompts = pick_probes(prompts or [list(r.ids[: r.prompt_length]) for r in project.rendered("train")[:_PROBE_ROWS]])
    print_ = fingerprint(project.engine(fitted.model, "trained"), prompts, _PROBE_TOKENS)
    write_json(run.probes, print_.model_dump(mode="json"))


def _result(run: RunFolder, fitted: FitResult) -> TrainResult:
    return TrainResult(
        run=run.id,
        steps=fitted.steps,
        best_step=fitted.best_step,
        loss={"train": fitted.train_loss, "validation": fitted.validation_loss},
        validation_score=fitted.validation_score,
        trainable_parameters=fitted.trainable_parameters,
        tokens_per_second=round(fitted.tokens_per_second, 1),
        peak_gb=round(fitted.peak_gb, 3),
        seconds=round(fitted.seconds, 2),
        paths={"run": str(run.path), "adapter": str(run.weights), "events": str(run.events)},
    )


def write_outcome(project: Project, run: RunFolder, evaluation: Evaluation, predictions: Predictions) -> None:
    """The outcome and its page, in the run and beside the recipe."""
    record = on_record(project, run)
    # The page is about what was asked now: a gate may have been added since the run began.
    told = {"recipe": project.given, "overrides": tuple(without_passwords(project.overrides))}
    record = record.model_copy(update=told)
    page = evidence_page(
        evidence_of(
            title=project.title,
            run=record,
            parameters=project.base.parameters,
            suite=project.suite,
            evaluation=evaluation,
            predictions=predictions,
            events=read_lines(run.events) if run.events.is_file() else (),
            dataset=project.audit.dataset,
            facts=_facts(project, run, evaluation.verdict.cases),
            hashes=_hashes(record, run),
            files={"all predictions": str(run.predictions.relative_to(project.folder.root))},
            shots=project.recipe.few_shot.examples,
            trials=tried(run),
            device=project.device,
        )
    )
    write_text(run.report, page)
    write_text(project.folder.report, page)
    # Last: with it the stage counts as done.
    write_json(run.outcome, evaluation.model_dump(mode="json"))


def tried(run: RunFolder) -> dict[str, Any]:
    """What was tried beside the suite, as far as it was: for the report and for `--json`."""
    found = dict(read_json(run.trials)) if run.trials.is_file() else {}
    kept = {"judge": run.judged, "prompts": run.prompts, "retrieval": run.recalls}
    return {**found, **{name: read_json(path) for name, path in kept.items() if path.is_file()}}


def _facts(project: Project, run: RunFolder, paired: int) -> list[tuple[str, str]]:
    facts = [(f"{paired:,}", "paired cases") if paired else (f"{len(project.suite.cases):,}", "cases")]
    if run.trained.is_file():
        trained = read_json(run.trained)
        seconds, cores = trained["seconds"], project.machine_words
        took = f"{seconds:.0f} s" if seconds < 120 else f"{int(seconds // 60)} m {int(seconds % 60)} s"
        size = sum(f.stat().st_size for f in run.weights.glob("*.safetensors"))
        what = "training on all rows" if project.folds else "training"
        weights = "adapter's weights" if (run.weights / "adapter_config.json").is_file() else "all weights"
        facts += [(took, f"{what}, {cores}"), (f"{size / 1e6:.1f} MB", weights)]
    if project.folds:
        facts.insert(1, (f"{project.folds}", "folds, a model each"))
    return facts


def _hashes(record: RunRecord, run: RunFolder) -> dict[str, str]:
    hashes = {"base": record.base_sha256, "data": record.dataset, "template": record.renderer}
    if "init_sha256" in record.resolved:
        hashes["start"] = record.resolved["init_sha256"]
    files = sorted(run.weights.glob("*.safetensors")) if run.weights.is_dir() else []
    return {**hashes, "adapter": tree_digest(files[0])} if files else hashes


def paths(project: Project, run: RunFolder | None) -> dict[str, str | None]:
    """Where the pieces of a run lie; None for what is not there."""

    def there(path: Path | None) -> str | None:
        return str(path) if path and path.exists() else None

    artifacts = project.folder.artifacts
    return {
        "base": str(project.base.path) if project.base.path else project.base.name,
        "adapter": (there(artifacts / f"{run.id}-adapter") or there(run.weights)) if run else None,
        "merged": there(artifacts / f"{run.id}-merged") if run else None,
        "predictions": there(run.predictions) if run else None,
        "events": there(run.events) if run else None,
    }


def hash_of(predictions: Predictions) -> str:
    """What was answered to which case by which arm, as a hash; the arms' order has no part in it."""
    rows = sorted((arm, p.case, p.text) for arm, made in predictions.items() for p in made)
    return digest(json.dumps(rows))[:32]


def stored(run: RunFolder) -> Predictions:
    """The predictions a run holds, by arm."""
    found: Predictions = {}
    for row in read_lines(run.predictions):
        prediction = Prediction.model_validate(row)
        found.setdefault(prediction.arm, []).append(prediction)
    return found
