"""Going on with a run that was stopped: only with what it was begun with, so that its record stays true."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from tunewright.errors import RunError
from tunewright.joins.passing import on_record
from tunewright.joins.unchanged import foundations
from tunewright.joins.workshop import Project
from tunewright.project import RunFolder
from tunewright.records import RunRecord
from tunewright.store import read_json


def as_begun(project: Project, run: RunFolder, resume: bool) -> Project:
    """`project` with the gates that `run` was begun, or taken up since, to pass, and as strict as it was.

    With `resume` it is the run to go on with. A reason given now stands for the one that was given then.
    """
    record = read_json(run.record, RunRecord)
    allow = {**record.allow, **project.allow}
    begun = run if resume else None
    return replace(project, allow=allow, strict=record.strict or project.strict, begun=begun)


def unfinished(project: Project) -> RunFolder:
    """The run to go on with, if it has something left to do and was begun with this data, base, template and settings.

    It is the one that the project was opened for, or the newest that is not finished. What is allowed now is kept in
    its record.

    A checkpoint says how far a run got, and not on which rows: with others it would go on without a word, to a model
    that nothing describes (K6). Raises `RunError`.
    """
    run = project.folder.unfinished(project.begun.id if project.begun else None)
    for what in _changed(project, read_json(run.record, RunRecord)):
        raise RunError(
            f"the run was begun with other {what} than the recipe gives now, so it cannot go on with these.",
            where=run.id,
            remedy="Bring back what it was begun with, or start a new run without --resume.",
        )
    on_record(project, run)
    project.begun = run
    return run


def _changed(project: Project, record: RunRecord) -> Iterator[str]:
    """What is no longer as it was when the run began."""
    if record.dataset != project.audit.dataset.id:
        yield "data"
    yield from foundations(project, record)
    now = json.loads(json.dumps(project.resolved))
    settings = [name for name in {**record.resolved, **now} if now.get(name) != record.resolved.get(name)]
    if settings:
        yield f"settings ({', '.join(settings)})"
