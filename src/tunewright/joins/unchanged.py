"""Whether a run is still what its record says: its base, the words around its turns, the rows that made it.

With anything else under it, its numbers would be of a model that nothing describes, or of one that knows the answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tunewright.data import load
from tunewright.errors import RunError
from tunewright.joins import starting
from tunewright.joins.workshop import Project
from tunewright.project import RunFolder
from tunewright.records import Message, RunRecord
from tunewright.store import read_json

# The splits whose rows a model has learnt or was chosen by.
_MADE_BY = ("train", "rehearsal", "validation")


def foundations(project: Project, record: RunRecord) -> Iterator[str]:
    """What of a run's base and template is no longer as it was when the run began."""
    if record.base_sha256 != project.base.sha256:
        yield "base weights"
    if record.renderer != project.renderer.fingerprint:
        yield "words around the turns (chat template or tokenizer)"


def before_asking(project: Project, run: RunFolder) -> list[str]:
    """A line to tell where a trained run is asked other cases than those held out when it was made; else nothing.

    Other cases are another experiment with the same model, which all arms take part in, and no leak: what is asked is
    set aside from the rows that train (K20), so as long as those are the same, the run has learnt none of it.

    Raises `RunError` where they are not the same, in folds too (whose cases are rows that train): then the run may have
    learnt what it would be asked, and its rivals would be shown other rows than it was. So with another base or
    template.
    """
    record = read_json(run.record, RunRecord)
    remedy = f"Bring back what it was trained with, or train again: {project.command('run')}"
    for what in foundations(project, record):
        raise RunError(f"the run was trained with other {what} than the recipe gives now.", where=run.id, remedy=remedy)
    if record.dataset == project.audit.dataset.id:
        return []
    was = project.folder.store / "datasets" / record.dataset
    if not (was / "dataset.json").is_file():
        raise RunError(
            f"the data have changed since this run was trained, and the version that it learnt ({record.dataset}) is "
            "no longer here: nobody can tell what it would be asked from what it has learnt.",
            where=run.id,
            remedy=remedy,
        )
    _same_rows(project, run, was, remedy)
    if project.recipe.suite.source != "test" or _rows(was, ("test",)) == _rows(project.audit.path, ("test",)):
        return []
    start = record.resolved.get("init_from")
    if start:  # what it started from has learnt rows of its own
        starting.start(start, project.folder, project.base, record.resolved, project.held())
    return ["other cases than were held out when it was trained; it has learnt none of them"]


def _same_rows(project: Project, run: RunFolder, was: Path, remedy: str) -> None:
    """Raise `RunError` unless the rows that made the run, as kept in `was`, are those of now, split and fold alike."""
    before, now = _rows(was, _MADE_BY), _rows(project.audit.path, _MADE_BY)
    gone, new = (before - now).total(), (now - before).total()
    if not gone and not new:
        return
    learnt = {starting.question(e.prompt) for split in _MADE_BY for e in load(was, split)}
    cases = project.suite.cases if project.cases else ()
    known = sum(starting.question(list(map(Message.from_dict, case.messages))) in learnt for case in cases)
    asked = f"it has learnt {known:,} of the {len(cases):,} questions it would be asked" if known else ""
    raise RunError(
        f"the data or their split have changed since this run was trained: of the {before.total():,} rows that made it "
        f"{gone:,} are no longer used so, and {new:,} others are; "
        f"{asked or 'its rivals would be shown other rows than it was'}.",
        where=run.id,
        remedy=remedy,
    )


def _rows(path: Path, splits: tuple[str, ...]) -> Counter[str]:
    """The rows of the splits of the version at `path`: all that a model is made of, and not where a row was read."""
    return Counter(repr((split, e.messages, e.tools, e.weight, e.fold)) for split in splits for e in load(path, split))
