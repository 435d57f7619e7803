"""The answers in words, the same for the terminal and the page."""

from __future__ import annotations

from typing import NamedTuple

from tunewright.records import Growth, Needed, Worth

# A gain below a point is no reason to write rows.
_POINT = 0.01
_WORTH = {
    "worth_it": ("Worth it.", "good", "even the low end of the gain is worth more"),
    "not_worth_it": ("Not worth it.", "bad", "not even the high end of the gain is worth that"),
    "cannot_tell": ("Cannot tell.", "warn", "the interval of the gain holds both answers"),
}


class Said(NamedTuple):
    """The decision in a few words, its tone (good, warn, bad or plain), why, and what was asked besides."""

    decision: str
    tone: str
    sentence: str
    lines: tuple[str, ...]


def said(growth: Growth) -> Said:
    """What follows from a curve, as a person would say it."""
    decision, tone, sentence = _decision(growth)
    lines = []
    if growth.needed:
        lines.append(_needed(growth.needed))
    elif growth.target is not None:
        lines.append(f"How many rows {_percent(growth.target)} would need cannot be told either.")
    if growth.worth:
        lines.append(_worth(growth.worth))
    elif growth.asked_cost:
        lines.append("Whether more rows are worth their cost cannot be told either.")
    return Said(decision, tone, sentence, tuple(lines))


def _decision(growth: Growth) -> tuple[str, str, str]:
    expected = growth.expected
    if expected is None:
        why = growth.refused[0]
        return "Cannot tell.", "warn", f"{why[:1].upper()}{why[1:]}."
    span = f"[{_points(expected.gain_low)}, {_points(expected.gain_high)}]"
    brings = f"Twice the rows, {expected.rows:,}, should bring {_points(expected.gain)} points {span}"
    if growth.worth and growth.worth.decision:
        decision, tone, _ = _WORTH[growth.worth.decision]
        return decision, tone, f"{brings} and cost {growth.worth.cost:,.0f}."
    if expected.gain_low >= _POINT:
        return "More rows help.", "good", f"{brings}."
    if expected.gain_high < _POINT:
        return "More rows hardly help.", "plain", f"{brings}."
    return "Cannot tell.", "warn", f"{brings}: that may be less than a point."


def _needed(needed: Needed) -> str:
    wanted = _percent(needed.score)
    if needed.decision == "reached":
        return f"{wanted} is reached by the rows there are: the curve passes it at about {needed.rows:,}."
    if needed.decision == "out_of_reach":
        return f"{wanted} is out of reach: by this curve not even ten times these rows would do."
    if needed.decision == "reachable":
        return f"{wanted} needs about {needed.rows:,} rows [{needed.low:,}, {needed.high:,}]."
    about = f"about {needed.rows:,} by the curve, " if needed.rows else ""
    return (
        f"How many rows {wanted} needs cannot be told: {about}at least {needed.low:,}, and perhaps more than ten times "
        "these."
    )


def _worth(worth: Worth) -> str:
    price = f"{worth.rows:,} more rows cost {worth.cost:,.0f}"
    each = f", {worth.per_point:,.0f} for each point" if worth.per_point is not None else ", for no gain to speak of"
    if worth.decision is None:
        return f"{price}{each}. Whether that is worth it depends on what a point is worth to you (--point-value)."
    return f"{price}{each}. At {worth.point_value:,.0f} a point, {_WORTH[worth.decision][2]}."


def _percent(score: float) -> str:
    return f"{100 * score:.1f} %"


def _points(gain: float) -> str:
    return f"{100 * gain:+.1f}".replace("-", "−")
