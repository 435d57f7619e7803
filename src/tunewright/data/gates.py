"""Conditions the data must meet before anything is trained on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tunewright.data.permits import bars
from tunewright.licences import Stated, terms_of
from tunewright.recipe import GateSpec
from tunewright.records import Finding, Gate, Ledger
from tunewright.text import said

_FAULTY = ("bad_row", "role_order", "empty_output", "mixed_format", "tool_call_invalid")


def gates_of(
    ledger: Ledger,
    findings: Sequence[Finding],
    spec: GateSpec | None,
    allow: Mapping[str, str] | None,
    *,
    barred: int = 0,
    base: Stated | None = None,
    use: str = "commercial",
) -> tuple[Gate, ...]:
    """The gates over one audit; one that is allowed by name carries the reason and does not block.

    `barred` is how many rows in use have a licence that forbids `use`, `base` what is said of the base's licence.
    """
    allow = allow or {}
    gates = (
        _bad_rows(ledger, spec or GateSpec.model_validate({})),
        _leak(findings),
        *_license(ledger, barred, base, use),
    )
    return tuple(gate.passed(allow) for gate in gates)


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
        held = "the test and the suites" if exact.evidence.get("suites") else "the test"
        return Gate(
            name="leak",
            ok=True,
            message=f"{said(exact.count, 'question')} of {held} {'was' if exact.count == 1 else 'were'} in train; "
            f"{said(aside, 'train row')} set aside.",
        )
    return Gate(name="leak", ok=True, message="No test row's question is in train.")


def _license(ledger: Ledger, barred: int, base: Stated | None, use: str) -> tuple[Gate, ...]:
    """Where some row may not be used, or the base's licence is known: what nobody stated is a finding, not a gate."""
    dropped = ledger.set_aside.get("license", 0)
    told = [f"{said(barred, 'row')} in use may not be used commercially"] if barred else []
    told += [f"{said(dropped, 'row')} set aside for {'its' if dropped == 1 else 'their'} licence"] if dropped else []
    terms = terms_of(base.text) if base else None
    forbidden = bars(base, use)
    if base and terms and terms.commercial in ("yes", "terms", "no"):
        allows = {
            "yes": "allows commercial use",
            "terms": f"allows commercial use under conditions, among them: {terms.note}",
            "no": f"forbids commercial use{'' if forbidden else ', and this is research'}",
        }[terms.commercial]
        told.append(f"{base.owner} is under {terms.name}, which {allows}")
    return (Gate(name="license", ok=not (barred or forbidden), message=f"{'; '.join(told)}."),) if told else ()
