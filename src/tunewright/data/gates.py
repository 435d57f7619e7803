"""Conditions the data must meet before anything is trained on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tunewright.recipe import GateSpec
from tunewright.records import Finding, Gate, Ledger

_FAULTY = ("bad_row", "role_order", "empty_output", "mixed_format", "tool_call_invalid")


def gates_of(ledger: Ledger, findings: Sequence[Finding], spec: GateSpec, allow: Mapping[str, str]) -> tuple[Gate, ...]:
    """The gates over one audit; one that is allowed by name carries the reason and does not block."""
    gates = (_bad_rows(ledger, spec), _leak(findings), *_license(findings))
    return tuple(
        gate.model_copy(update={"ok": True, "allowed_because": allow[gate.name]})
        if gate.name in allow and gate.ok is not True
        else gate
        for gate in gates
    )


def _bad_rows(ledger: Ledger, spec: GateSpec) -> Gate:
    faulty = sum(ledger.set_aside.get(name, 0) for name in _FAULTY)
    share = faulty / max(1, ledger.read)
    ok = share <= spec.bad_rows
    return Gate(
        name="bad_rows",
        ok=ok,
        message=f"{faulty:,} of {ledger.read:,} rows are faulty ({share:.1%}); "
        f"{'within' if ok else 'more than'} the {spec.bad_rows:.0%} allowed.",
    )


def _leak(findings: Sequence[Finding]) -> Gate:
    exact = next((f for f in findings if f.code == "leak_exact"), None)
    if exact:
        aside = exact.evidence["train_rows"]
        return Gate(
            name="leak", ok=True, message=f"{exact.count:,} test rows were in train; {aside:,} train rows set aside."
        )
    return Gate(name="leak", ok=True, message="No test row's question is in train.")


def _license(findings: Sequence[Finding]) -> tuple[Gate, ...]:
    """Only where some row may not be used: a licence nobody stated is a finding, not a gate."""
    barred = next((f for f in findings if f.code == "license"), None)
    return (Gate(name="license", ok=False, message=barred.message),) if barred else ()
