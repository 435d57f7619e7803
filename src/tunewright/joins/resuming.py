"""Going on with a run that was stopped: only with what it was begun with, so that its record stays true."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from tunewright.errors import RunError
from tunewright.joins.passing import on_record
from tunewright.joins.unchanged import foundations
from tunewright.joins.workshop import Project
from tunewright.project import RunFolder, outcome_of
from tunewright.records import RunRecord
from tunewright.store import read_json


def as_begun(project: Project, run: RunFolder) -> Project:
    """`project` with the gates that `run` was begun, or taken up since, to pass, and as strict as it was.

    A reason given now stands for the one that was given then.
    """
    record = read_json(run.record, RunRecord)
    allow = {**record.allow, **project.allow}
    return replace(project, allow=allow, strict=record.strict or project.strict)


def unfinished(project: Project) -> RunFolder:
    """The newest run, if it has something left to do and was begun with this data, base, template and these settings.

    What is allowed now is kept in its record.

    A checkpoint says how far a run got, and not on which rows: with others it would go on without a word, to a model
    that nothing describes (K6). Raises `RunError`.
    """
    run = project.folder.run()
    outcome = outcome_of(run)
    if outcome and any(gate["name"] == "parity" for gate in outcome["gates"]):
        raise RunError("the newest run is finished.", where=run.id, remedy="Start a new one without --resume.")
    for what in _changed(project, read_json(run.record, RunRecord)):
        raise RunError(
            f"the run was begun with other {what} than the recipe gives now, so it cannot go on with these.",
            where=run.id,
            remedy="Bring back what it was begun with, or start a new run without --resume.",
        )
    on_record(project, run)
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
