"""What stops the journey: gates that say no, unless somebody passes them on the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tunewright.joins.workshop import Project
from tunewright.records import Gate


def with_strict(project: Project, gates: Sequence[Gate]) -> tuple[Gate, ...]:
    """`gates`, with allowances on record, and under `--strict` one more: no finding of severity error."""
    made = [allowed(gate, project.allow) for gate in gates]
    if project.strict:
        errors = [f.code for f in project.audit.findings if f.severity == "error"]
        said = f"findings of severity error: {', '.join(errors)}." if errors else "no finding of severity error."
        made.append(allowed(Gate(name="strict", ok=not errors, message=said), project.allow))
    return tuple(made)


def allowed(gate: Gate, allow: Mapping[str, str]) -> Gate:
    """`gate` with the reason it may be passed for, when it says no and one was given."""
    if gate.ok is False and gate.name in allow:
        return gate.model_copy(update={"allowed_because": allow[gate.name]})
    return gate


def blocks(gates: Sequence[Gate]) -> bool:
    """Whether one of them says no and nobody allowed it."""
    return any(g.ok is False and not g.allowed_because for g in gates)
