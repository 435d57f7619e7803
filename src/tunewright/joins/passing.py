"""What stops the journey: gates that say no, unless somebody passes them on the record."""

from __future__ import annotations

from collections.abc import Sequence

from tunewright.joins.workshop import Project
from tunewright.project import RunFolder
from tunewright.records import Gate, RunRecord
from tunewright.store import read_json, write_json


def with_strict(project: Project, gates: Sequence[Gate]) -> tuple[Gate, ...]:
    """`gates`, with allowances on record, and under `--strict` one more: no finding of severity error."""
    made = [gate.passed(project.allow) for gate in gates]
    if project.strict:
        errors = [f.code for f in project.audit.findings if f.severity == "error"]
        said = f"findings of severity error: {', '.join(errors)}." if errors else "no finding of severity error."
        made.append(Gate(name="strict", ok=not errors, message=said).passed(project.allow))
    return tuple(made)


def blocks(gates: Sequence[Gate]) -> bool:
    """Whether one of them says no and nobody allowed it."""
    return any(gate.blocks for gate in gates)


def on_record(project: Project, run: RunFolder) -> RunRecord:
    """The run's record, with what `project` allows, and whether it is strict, kept in it from now on.

    A reason given now stands for one that was given before.
    """
    before = read_json(run.record, RunRecord)
    more = {"allow": {**before.allow, **project.allow}, "strict": before.strict or project.strict}
    record = before.model_copy(update=more)
    if record != before:
        write_json(run.record, record.model_dump(mode="json"))
    return record
