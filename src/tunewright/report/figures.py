"""Our own figures as inline SVG. Each is drawn once for a wide page and once for a narrow one, never shrunk."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from tunewright.records import ArmScore
from tunewright.report.evidence import Training
from tunewright.report.words import percent, points

WIDE, NARROW = 764, 360
MOST_POINTS = 240
_FAR = 25.0
# Where the axis of scores may end before 1: low ones are drawn on no more of it than they need.
_ENDS = (0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the ledger bar: its words, its rows, its colour class."""

    words: str
    rows: int
    tone: str


def svg(width: int, height: float, body: Iterable[str], words: str) -> Markup:
    """One drawing for one width of page; `words` is what a screen reader says."""
    size = "wide" if width == WIDE else "narrow"
    return Markup(
        f'<svg class="{size}" viewBox="0 0 {width} {height:g}" role="img" aria-label="{escape(words)}">'
        f"{''.join(body)}</svg>"
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def text(x: float, y: float, words: object, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def _short(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1].rstrip() + "…"


def axis_end(arms: Iterable[ArmScore]) -> float:
    """Where the axis for these arms ends: 1, or less where no interval comes near that."""
    highest = max((arm.high for arm in arms), default=1.0)
    return next((end for end in _ENDS if highest <= 0.9 * end), 1.0)


def arms(rows: Sequence[tuple[str, ArmScore]]) -> Markup:
    """Every arm on one axis: a dot for the mean, a bar for the interval, the numbers beside it."""
    said = "; ".join(f"{words} {percent(a.score)}, interval {percent(a.low)} to {percent(a.high)}" for words, a in rows)
    words = f"Score of each arm with its 95 % interval: {said}"
    return svg(WIDE, 34 * len(rows) + 34, _arms_wide(rows), words) + svg(
        NARROW, 46 * len(rows) + 30, _arms_narrow(rows), words
    )


def _arms_wide(rows: Sequence[tuple[str, ArmScore]]) -> list[str]:
    left, right, bottom = 208.0, WIDE - 150.0, 34.0 * len(rows) + 6
    end = axis_end(arm for _, arm in rows)
    parts = _score_axis(left, right, bottom, end, 5)
    for row, (words, arm) in enumerate(rows):
        y = 34.0 * row + 22
        kind = "strong" if arm.name.startswith("tuned") else "lab"
        parts.append(text(left - 16, y + 4.5, _short(words, 30), kind, "end"))
        parts += _interval(arm, left, right, y, end)
        parts.append(text(right + 56, y + 4.5, f"{100 * arm.score:.1f}", f"{kind} num", "end"))
        parts.append(text(right + 64, y + 4.5, f"{100 * arm.low:.1f}–{100 * arm.high:.1f}", "ci num"))
    return parts


def _arms_narrow(rows: Sequence[tuple[str, ArmScore]]) -> list[str]:
    left, right, bottom = 8.0, NARROW - 8.0, 46.0 * len(rows) + 2
    end = axis_end(arm for _, arm in rows)
    parts = _score_axis(left, right, bottom, end, 4 if end == 1 else 2)
    for row, (words, arm) in enumerate(rows):
        y = 46.0 * row + 36
        kind = "strong" if arm.name.startswith("tuned") else "lab"
        parts.append(text(0, y - 17, _short(words, 34), f"{kind} halo"))
        numbers = f"{100 * arm.score:.1f}"
        interval = f"{100 * arm.low:.1f}–{100 * arm.high:.1f}"
        parts.append(text(NARROW - 74, y - 17, numbers, f"{kind} num halo", "end"))
        parts.append(text(NARROW, y - 17, interval, "ci num halo", "end"))
        parts += _interval(arm, left, right, y, end)
    return parts


def _score_axis(left: float, right: float, bottom: float, end: float, steps: int) -> list[str]:
    """Ticks from 0 to `end`; on a narrow page, where fewer fit, the words of the outer two stay inside."""
    parts = []
    for tick in range(steps + 1):
        x = left + (right - left) * tick / steps
        parts.append(line(x, 2, x, bottom, "grid"))
        anchor = "middle" if steps == 5 else {0: "start", steps: "end"}.get(tick, "middle")
        x = {"start": x - left, "end": x + left}.get(anchor, x)
        parts.append(text(x, bottom + 18, f"{100 * end * tick / steps:g}\u00a0%", "tick", anchor))
    return parts


def _interval(arm: ArmScore, left: float, right: float, y: float, end: float) -> list[str]:
    def x(score: float) -> float:
        return left + (right - left) * min(max(score / end, 0.0), 1.0)

    kind = "own" if arm.name.startswith("tuned") else "other"
    return [
        line(x(arm.low), y, x(arm.high), y, f"span {kind}"),
        f'<circle cx="{x(arm.score):.1f}" cy="{y:.1f}" r="5.5" class="{kind}"/>',
    ]


def differences(rows: Sequence[tuple[str, float, float, float]], of: str) -> Markup:
    """Differences with their intervals about a line at nothing: (words, difference, low, high), all 0…1 of a score.

    Coloured where the interval does not hold nothing.
    """
    reach = max(0.05, *(abs(v) for _, *values in rows for v in values)) * 1.08
    said = "; ".join(f"{name} {points(d)}, interval {points(low)} to {points(high)}" for name, d, low, high in rows)
    drawings = Markup("")
    for width, left, right, step, first in (
        (WIDE, 208.0, WIDE - 150.0, 30.0, 20.0),
        (NARROW, 8.0, NARROW - 8.0, 46.0, 36.0),
    ):
        middle, half, bottom = (left + right) / 2, (right - left) / 2, step * len(rows) + 6
        body = [line(middle, 2, middle, bottom, "zero")]
        for row, (name, *values) in enumerate(rows):
            y = step * row + first
            d, low, high = (middle + v / reach * half for v in values)
            kind = "own" if values[1] > 0 or values[2] < 0 else "other"
            body.append(line(low, y, high, y, f"span {kind}"))
            body.append(f'<circle cx="{d:.1f}" cy="{y:.1f}" r="4.5" class="{kind}"/>')
            between = f"{points(values[1])} to {points(values[2])}"
            body += _row_words(width, right, y, (name, points(values[0]), between))
        body.append(text(middle, bottom + 18, "no difference", "tick", "middle"))
        drawings += svg(width, bottom + 26, body, f"{of}: {said}")
    return drawings


def _row_words(width: int, right: float, y: float, said: tuple[str, str, str]) -> list[str]:
    """A row's name, number and interval: beside the drawing, or above it where the page is narrow."""
    name, number, between = said
    if width == WIDE:
        return [
            text(192.0, y + 4.5, _short(name, 30), "lab", "end"),
            text(right + 46, y + 4.5, number, "lab num", "end"),
            text(right + 54, y + 4.5, between, "ci num"),
        ]
    return [
        text(0, y - 17, _short(name, 26), "lab halo"),
        text(NARROW - 96, y - 17, number, "lab num halo", "end"),
        text(NARROW, y - 17, between, "ci num halo", "end"),
    ]


def slice_bar(tuned: float, untuned: float, low: float, high: float) -> Markup:
    """A bar for the tuned score, a thin line for its interval and a tick for the untuned; it fills its cell."""
    words = (
        f"tuned {percent(tuned, 0)}, interval {percent(low, 0)} to {percent(high, 0)}, untuned {percent(untuned, 0)}"
    )
    return Markup(
        f'<svg class="slice" role="img" aria-label="{escape(words)}">'
        f'<rect y="7" height="8" rx="2" width="{100 * tuned:.1f}%" class="bar"/>'
        f'<line x1="{100 * low:.1f}%" x2="{100 * tuned:.1f}%" y1="11" y2="11" class="within"/>'
        f'<line x1="{100 * tuned:.1f}%" x2="{100 * high:.1f}%" y1="11" y2="11" class="reach"/>'
        f'<line x1="{100 * untuned:.1f}%" x2="{100 * untuned:.1f}%" y1="1" y2="21" class="mark"/></svg>'
    )


def ledger(parts: Sequence[Part]) -> Markup:
    """All rows read as one bar. Slivers are widened to be seen, so the words carry the numbers."""
    total = sum(p.rows for p in parts) or 1
    shares = [max(p.rows / total, 0.008) for p in parts]
    scale, x, drawn = 100 / sum(shares), 0.0, []
    for part, share in zip(parts, shares, strict=True):
        width = share * scale
        drawn.append(f'<rect x="{x:.2f}%" width="{max(width - 0.3, 0.4):.2f}%" height="14" class="{part.tone}"/>')
        x += width
    said = ", ".join(f"{p.words} {p.rows:,}" for p in parts)
    return Markup(f'<svg class="ledger" role="img" aria-label="{escape(f"{total:,} rows read: {said}")}">') + Markup(
        "".join(drawn) + "</svg>"
    )


def training(record: Training) -> Markup:
    """Training loss and validation loss by step; below, on the same steps, the validation score that chose."""
    losses = [v for _, v in record.train] + [v for _, v, _ in record.validation if v is not None]
    scores = [(step, score) for step, _, score in record.validation if score is not None]
    if not losses and not scores:
        return Markup("")
    words = f"Training over {record.steps} steps"
    if record.train:
        words += f": training loss from {record.train[0][1]:.2f} to {record.train[-1][1]:.2f}"
    if scores:
        words += f"; best validation score {percent(max(s for _, s in scores))}"
    if record.best_step is not None:
        words += f"; best on validation at step {record.best_step}"
    drawings = Markup("")
    for width, height in ((WIDE, 190.0), (NARROW, 170.0)):
        plot = _Plot(record, width)
        body, below = [], 0.0
        if losses:
            body += plot.losses(height, losses)
            below = height
        if len(scores) > 1:
            body += plot.scores(scores, below, 96.0)
            below += 96.0
        body += plot.steps(below)
        drawings += svg(width, below + 24, body, words)
    return drawings


class _Plot:
    """The panels of the training figure, which share their steps."""

    def __init__(self, record: Training, width: int) -> None:
        self.record = record
        self.left = 44.0
        self.right = width - (78.0 if width == WIDE else 12.0)
        self.named_outside = width == WIDE
        self.last = max(record.steps, 1)

    def x(self, step: float) -> float:
        return self.left + (self.right - self.left) * step / self.last

    def steps(self, y: float) -> list[str]:
        quarters = sorted({0, *(round(self.last * q / 3) for q in (1, 2, 3))})
        return [
            text(self.x(s), y + 18, f"step {s}" if s == 0 else f"{s:,}", "tick", "middle" if s else "start")
            for s in quarters
        ]

    def losses(self, height: float, values: Sequence[float]) -> list[str]:
        floor = height - 8
        ticks, y = _loss_scale(values, 14.0, floor)
        tenfold = len(ticks) > 1 and ticks[0] > 0
        body = []
        for tick in ticks:
            body.append(line(self.left, y(tick), self.right, y(tick), "grid"))
            body.append(text(self.left - 10, y(tick) + 4, f"{tick:g}", "tick num", "end"))
        body.append(text(self.left + 6, 12, "loss, tenfold from line to line" if tenfold else "loss", "tick halo"))
        body += self._best(14, floor, words=True)
        body.append(path([(self.x(s), y(v)) for s, v in _thin(self.record.train)], "other"))
        validation = [(self.x(s), y(v)) for s, v, _ in self.record.validation if v is not None]
        body.append(path(validation, "own"))
        return body + self._names(validation, y)

    def _names(self, validation: list[tuple[float, float]], place: Callable[[float], float]) -> list[str]:
        x, anchor = (self.right + 8, "start") if self.named_outside else (self.right, "end")
        end_train = place(self.record.train[-1][1]) if self.record.train else None
        end_own = validation[-1][1] if validation else None
        names = []
        apart = end_train is not None and end_own is not None and abs(end_train - end_own) < 15
        if end_own is not None:
            names.append(
                text(x, end_own + (-6 if apart or not self.named_outside else 4), "validation", "tick ink", anchor)
            )
        if end_train is not None:
            names.append(
                text(x, end_train + (14 if apart else 4 if self.named_outside else -8), "train", "tick", anchor)
            )
        return names

    def scores(self, scores: Sequence[tuple[int, float]], above: float, height: float) -> list[str]:
        roof, floor = above + 26, above + height - 6

        def y(score: float) -> float:
            return floor - (floor - roof) * score

        body = [text(self.left, above + 16, "score on validation", "tick")]
        for tick in (0, 50, 100):
            body.append(line(self.left, y(tick / 100), self.right, y(tick / 100), "grid"))
            body.append(text(self.left - 10, y(tick / 100) + 4, f"{tick}", "tick num", "end"))
        body += self._best(roof, floor, words=not self.record.train)
        body.append(path([(self.x(s), y(v)) for s, v in scores], "own"))
        for step, score in scores:
            kind = "own" if step == self.record.best_step else "own hollow"
            body.append(f'<circle cx="{self.x(step):.1f}" cy="{y(score):.1f}" r="3.5" class="{kind}"/>')
        return body

    def _best(self, roof: float, floor: float, *, words: bool) -> list[str]:
        step = self.record.best_step
        if step is None:
            return []
        x = self.x(step)
        body = [line(x, roof - 6, x, floor, "best")]
        if words:
            left_side = step > self.last * 0.6
            near = (x - 7, "end") if left_side else (x + 7, "start")
            body.append(text(near[0], roof + 3, f"kept: step {step}", "tick ink halo", near[1]))
        return body


def _thin(points: Sequence[tuple[int, float]]) -> list[tuple[float, float]]:
    """At most `MOST_POINTS` points: neighbours are averaged, the first and the last stay."""
    if len(points) <= MOST_POINTS:
        return [(float(s), v) for s, v in points]
    size = -(-len(points) // MOST_POINTS)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    middle = [(sum(s for s, _ in g) / len(g), sum(v for _, v in g) / len(g)) for g in groups]
    return [(float(points[0][0]), points[0][1]), *middle, (float(points[-1][0]), points[-1][1])]


def path(points: Sequence[tuple[float, float]], kind: str) -> str:
    if not points:
        return ""
    return f'<path d="M{"L".join(f"{x:.1f},{y:.1f}" for x, y in points)}" class="curve {kind}"/>'


def _loss_scale(values: Sequence[float], roof: float, floor: float) -> tuple[list[float], Callable[[float], float]]:
    """Grid values and where a value lies. Losses that fall far are drawn by their powers of ten, else from nothing."""
    top, least = max(values), min(values)
    if least > 0 and top / least >= _FAR:
        low, high = math.floor(math.log10(least)), math.ceil(math.log10(top))
        low = max(low, high - 4)

        def by_powers(value: float) -> float:
            power = math.log10(max(value, 10.0**low))
            return floor - (floor - roof) * (min(power, high) - low) / (high - low)

        return [10.0**power for power in range(low, high + 1)], by_powers
    step = _round_step(top)
    ceiling = step * (int(top / step) + 1)

    def from_nothing(value: float) -> float:
        return floor - (floor - roof) * min(value, ceiling) / ceiling

    return [i * step for i in range(round(ceiling / step) + 1)], from_nothing


def _round_step(top: float) -> float:
    """A round distance between grid lines, so that two to five of them fit under `top`."""
    step = 1e-4
    while top / step > 5:
        for factor in (2, 2.5, 2):
            step *= factor
            if top / step <= 5:
                break
    return step
