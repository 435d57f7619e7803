"""What a run has answered, for whoever lays it beside the cases: people, a judge, other tools, trials.

Answers are stored by the names of their cases, and these outlive a change of the data: beside the cases of now, what
was answered before would be shown to questions that nobody asked.
"""

from __future__ import annotations

from tunewright.errors import RunError
from tunewright.joins import hurdles, stages
from tunewright.joins.answering import Predictions
from tunewright.joins.workshop import Project
from tunewright.project import RunFolder
from tunewright.records import Evaluation
from tunewright.store import read_json


def scored_answers(project: Project, run: RunFolder) -> Predictions:
    """The run's stored answers by arm, those that its newest evaluation scored, to the very cases of now.

    Every command that lays stored answers beside cases takes them from here. Raises `RunError` where there are none,
    where they are not all scored yet, and where data, base, task, scorers or release are others since they were.
    """
    stored = stages.stored(run) if run.predictions.is_file() else {}
    if not stored:
        raise RunError("this run has no answers yet.", where=run.id, remedy=project.command("baseline"))
    found = read_json(run.outcome, Evaluation) if run.outcome.is_file() else None
    if found is not None and not hurdles.on_this_basis(project, found):
        raise RunError(
            "data, base, task, scorers or release are others since this run's answers were scored: they may be answers "
            "to other cases than those of now.",
            where=run.id,
            remedy=f"Bring back what they were scored with, or {_again(project, run)}",
        )
    made = {arm.name: stored.get(arm.name, []) for arm in found.arms} if found else {}
    if found is None or found.answered != stages.hash_of(made):
        raise RunError(
            "the answers stored in this run are not those that were scored: its last evaluation did not end.",
            where=run.id,
            remedy=f"Let it end: {_again(project, run)}",
        )
    return made


def _again(project: Project, run: RunFolder) -> str:
    """What to do for scores of this run on the cases of now. Without a tuned model that is a run of its own."""
    if not run.trained.is_file():
        return f"measure again: {project.command('baseline')}"
    place = project.command("").removeprefix("tunewright").strip() or "."
    return f"evaluate the run again: tunewright evaluate {run.id} --project {place}"
