"""One finding a code, however many looks noticed something of its kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from tunewright.records import Finding, Severity

_MOST_ROWS = 1000
_SEVERITIES = get_args(Severity)


def one_a_code(findings: Iterable[Finding]) -> list[Finding]:
    """Findings of one code as one, in the place of the first.

    Counts are summed, rows named once, messages and remedies told one after the other, and the graver severity holds.
    Of their evidence lists follow each other, counts are summed, and of whatever else both have the first's stays.
    """
    found: dict[str, Finding] = {}
    for one in findings:
        found[one.code] = _both(found[one.code], one) if one.code in found else one
    return list(found.values())


def _both(one: Finding, other: Finding) -> Finding:
    return one.model_copy(
        update={
            "severity": min(one.severity, other.severity, key=_SEVERITIES.index),
            "count": one.count + other.count,
            "rows": tuple(dict.fromkeys((*one.rows, *other.rows)))[:_MOST_ROWS],
            "evidence": _merged(one.evidence, other.evidence),
            "message": f"{one.message} {other.message}",
            "remedy": " ".join(dict.fromkeys(text for text in (one.remedy, other.remedy) if text)),
        }
    )


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {**other, **{key: _added(value, other[key]) if key in other else value for key, value in one.items()}}


def _added(one: Any, other: Any) -> Any:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return _merged(one, other)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return [*one, *other]
    if type(one) is int and type(other) is int:
        return one + other
    return one
