"""The page about a learning curve: would more rows help, how sure is that, and what was measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup

from tunewright.records import Growth
from tunewright.report import words
from tunewright.report.figures import NARROW, WIDE, line, path, svg, text
from tunewright.report.pages import page
from tunewright.report.words import percent

# Where a number of rows, or a score, lies in the drawing.
Place = Callable[[float], float]


def growth_page(
    growth: Growth,
    *,
    title: str,
    base: str,
    date: str,
    decision: str,
    tone: str,
    sentence: str,
    lines: Sequence[str],
) -> str:
    """The curve as one HTML document, under a decision, its sentence, and `lines` on what was asked besides.

    Every text that comes from data is escaped.
    """
    name, right = words.MEASURES.get(growth.scorer, (growth.scorer.replace("_", " "), ""))
    return page(
        "growth.html",
        g=growth,
        title=title,
        above=[base, words.day(date)],
        decision=decision,
        tone=tone,
        sentence=sentence,
        lines=lines,
        measure=name,
        right=right,
        figure=figure(growth),
    )


def figure(growth: Growth) -> Markup:
    """Measured scores by rows, the curve through them, and dashed what it expects beyond, with its interval."""
    said = "; ".join(f"{p.rows:,} rows {percent(p.score)}" for p in growth.points)
    if growth.expected:
        said += f"; expected with {growth.expected.rows:,} rows {percent(growth.expected.score)}"
    drawings = Markup("")
    for width, height in ((WIDE, 280.0), (NARROW, 240.0)):
        drawings += svg(width, height + 26, _drawn(growth, width, height), f"Score by number of rows: {said}")
    return drawings


def _drawn(growth: Growth, width: int, height: float) -> list[str]:
    rows = [float(p.rows) for p in growth.points]
    last = growth.line[-1][0] if growth.line else rows[-1]
    left, right, roof, floor = 48.0, width - 18.0, 10.0, height - 8
    first, span = math.log(rows[0]), math.log(max(last, rows[0] + 1)) - math.log(rows[0])

    def x(n: float) -> float:
        return left + 10 + (right - left - 20) * (math.log(n) - first) / span

    def y(score: float) -> float:
        return floor - (floor - roof) * min(max(score, 0.0), 1.0)

    body = []
    for tick in range(0, 101, 20 if width == WIDE else 25):
        body.append(line(left, y(tick / 100), right, y(tick / 100), "grid"))
        body.append(text(left - 8, y(tick / 100) + 4, f"{tick}\u00a0%", "tick num", "end"))
    body += _law(growth, rows[-1], x, y)
    for p in growth.points:
        body.append(line(x(p.rows), y(p.low), x(p.rows), y(p.high), "span own"))
        body.append(f'<circle cx="{x(p.rows):.1f}" cy="{y(p.score):.1f}" r="5" class="own"/>')
    ends = [*rows, last] if last > rows[-1] else rows
    body += [text(x(n), height + 18, f"{n:,.0f}", "tick num", "middle") for n in _apart(ends, x)]
    body.append(text(left + 8, floor - 8, "rows →", "tick halo"))
    return body


def _apart(values: Sequence[float], x: Place) -> list[float]:
    """Those of the values whose labels do not touch, the last one first."""
    kept: list[float] = []
    for value in reversed(values):
        if not kept or x(kept[-1]) - x(value) > 38:
            kept.append(value)
    return kept


def _law(growth: Growth, measured: float, x: Place, y: Place) -> list[str]:
    """The interval as a band, the curve over what was measured, and dashed beyond it."""
    if not growth.line:
        return []
    upper = [(x(n), y(high)) for n, _, _, high in growth.line]
    lower = [(x(n), y(low)) for n, _, low, _ in reversed(growth.line)]
    outline = "L".join(f"{a:.1f},{b:.1f}" for a, b in (*upper, *lower))
    body = [f'<path d="M{outline}Z" class="band"/>']
    within = [(x(n), y(s)) for n, s, _, _ in growth.line if n <= measured]
    beyond = [(x(n), y(s)) for n, s, _, _ in growth.line if n >= measured]
    body.append(path([*within, *beyond[:1]], "own"))
    body.append(path(beyond, "own beyond"))
    end, score, _, _ = growth.line[-1]
    body.append(f'<circle cx="{x(end):.1f}" cy="{y(score):.1f}" r="5" class="hollow"/>')
    return body
