"""Cross-validation: one model a fold, trained on the other folds, answers the rows held out in it.

The stages do what they always do, once a fold, on a view of the project in which that fold is the suite and the rest is
train. So every row is answered once, by arms that never saw it. The model trained on all rows comes last; it is the one
that is exported, and nothing scores it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from tunewright.errors import Interrupted
from tunewright.joins import answering, stages
from tunewright.joins.answering import Predictions
from tunewright.joins.telling import Teller
from tunewright.joins.workshop import Project
from tunewright.project import RunFolder
from tunewright.records import Prediction, RunRecord, TrainResult
from tunewright.store import read_json, write_json, write_text

# What a view need not load or measure again; the last two where they are loaded already.
_SHARED = ("ranks", "device", "base", "base_engine", "renderer", "audit", "precision")
_LOADED = ("untuned", "untuned_engine")


@dataclass(frozen=True)
class _Within:
    """Tells what `teller` is told, with where it happened before each note."""

    teller: Teller
    where: str

    def stage(self, name: str) -> AbstractContextManager[list[str]]:
        return self.teller.stage(name)

    def progress(self, name: str, done: int, total: int | None, note: str = "") -> None:
        self.teller.progress(name, done, total, f"{self.where}  {note}")


def part(project: Project, fold: int) -> Project:
    """The project as it is while `fold` (from 1) is held out: its rows are the suite, all others train.

    Batch, passes and rate are those of all rows, so that what is judged is what is done in the end.
    """
    view = replace(project, fold=fold, tell=_Within(project.tell, f"fold {fold} of {project.folds}"))
    for name in _SHARED:
        view.__dict__[name] = getattr(project, name)
    view.__dict__ |= {name: project.__dict__[name] for name in _LOADED if name in project.__dict__}
    held = {example.row for example in view.examples("test")}
    cases = tuple(case for case in project.suite.cases if case.row in held)
    view.__dict__["suite"] = project.suite.model_copy(update={"cases": cases})
    whole, rows = project.resolved, len(view.train_examples) + len(view.examples("rehearsal"))
    steps = max(1, math.ceil(rows * whole["epochs"] / whole["effective_batch_size"]))
    view.__dict__["resolved"] = {**whole, "steps": steps}
    return view


def folder(run: RunFolder, fold: int) -> RunFolder:
    """Where the model of a fold and its answers lie."""
    return RunFolder(run.path / "folds" / f"fold-{fold}")


def tune(project: Project, run: RunFolder, resume: bool) -> TrainResult:
    """Train one model a fold and then the one of all rows; without folds only that. What is trained stays."""
    if not project.folds or (resume and run.trained.is_file()):
        return stages.tune(project, run, resume)
    project.forget_untuned()
    whole = project.folds + 1
    left = [k for k in range(1, whole) if not folder(run, k).trained.is_file()]
    record = read_json(run.record, RunRecord)
    for fold in left:
        view, kept = part(project, fold), folder(run, fold)
        own = record.model_copy(update={"id": f"{run.id}, fold {fold}", "resolved": view.resolved})
        write_json(kept.record, own.model_dump(mode="json"))
        try:
            stages.tune(view, kept, resume, more=True)
        except Interrupted as stopped:
            raise Interrupted(f"fold {fold}: {stopped.message}", where=run.id, remedy=stopped.remedy) from None
    return stages.tune(project, run, resume)


def answers(project: Project, run: RunFolder, names: Sequence[str], stage: str) -> Predictions:
    """The arms' answers to the suite, fold by fold where there are folds, in the suite's order.

    An arm that cannot answer in some fold (a classifier whose rows hold one label) is left out, and that is told.
    """
    if not project.folds:
        return answering.answers(project, run, names, stage)
    project.untuned_engine  # noqa: B018 – loaded once, for all views
    found: dict[str, dict[str, Prediction]] = {}
    for fold in range(1, project.folds + 1):
        view, kept = part(project, fold), folder(run, fold)
        kept.path.mkdir(parents=True, exist_ok=True)
        if view.suite.cases:
            for name, made in answering.answers(view, kept, names, stage).items():
                found.setdefault(name, {}).update({p.case: p for p in made})
    order = [case.id for case in project.suite.cases]
    whole = {name: [made[i] for i in order] for name, made in found.items() if len(made) == len(order)}
    for name in found.keys() - whole.keys():
        project.tell.progress(stage, len(found[name]), len(order), f"{name} left out: some fold teaches one label only")
    _keep(run, whole)
    return whole


def _keep(run: RunFolder, made: Predictions) -> None:
    """All folds' answers in the run's one file, beside those of arms that were not asked now."""
    kept = stages.stored(run) if run.predictions.is_file() else {}
    lines = [p.model_dump_json() + "\n" for rows in {**kept, **made}.values() for p in rows]
    write_text(run.predictions, "".join(lines))


def training_words(project: Project, result: TrainResult) -> tuple[str, str]:
    """What was trained, and which step was kept, as parts of the stage's line."""
    folds = f"{project.folds} folds, then all rows: " if project.folds else ""
    chosen = result.validation_score is not None or result.loss["validation"] is not None
    return folds, f"best on validation at step {result.best_step}" if chosen else "no rows to choose by, the last step"
