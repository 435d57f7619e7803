"""What tuning made the model forget: how much harder general text has become for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tunewright.engine import Engine
from tunewright.records import Forgetting, Gate
from tunewright.statistics import bootstrap
from tunewright.trials.passages import PASSAGES

Encode = Callable[[str], Sequence[int]]
Progress = Callable[[int, int], None]


def forgetting(
    base: Engine,
    tuned: Engine,
    encode: Encode,
    *,
    passages: Sequence[str] = PASSAGES,
    seed: int = 0,
    progress: Progress = lambda done, total: None,
) -> Forgetting:
    """Perplexity of general passages under base and tuned model, and the relative rise with its 95 % interval.

    Paired: the rise is `exp(mean difference of the tokens' log-losses) − 1`, resampled by whole passages. `encode`
    gives a text's token ids as running text, with no chat template. A negative rise means that nothing was lost.
    `progress` is told how many of all readings are done, batch by batch, and may raise to stop. Raises `ValueError`
    when no passage has two tokens.
    """
    rows = [list(encode(text)) for text in passages]
    rows = [row for row in rows if len(row) > 1]
    if not rows:
        raise ValueError("there is no text to measure on")
    read: list[int] = []

    def tell(more: int) -> None:
        read.append(more)
        progress(sum(read), 2 * len(rows))

    before, after = (engine.logprobs(rows, [1] * len(rows), tell) for engine in (base, tuned))
    differences = [b - a for old, new in zip(before, after, strict=True) for b, a in zip(old, new, strict=True)]
    clusters = [place for place, row in enumerate(before) for _ in row]
    mean, low, high = bootstrap(differences, clusters=clusters, seed=seed)
    return Forgetting(
        before=_perplexity(before),
        after=_perplexity(after),
        rise=_exp(mean) - 1,
        low=_exp(low) - 1,
        high=_exp(high) - 1,
        tokens=len(differences),
    )


def _perplexity(logprobs: Sequence[Sequence[float]]) -> float:
    values = [x for row in logprobs for x in row]
    return _exp(-sum(values) / len(values))


def _exp(value: float) -> float:
    """A model that has gone astray finds a text next to impossible: a very large number, and no overflow."""
    return math.exp(min(value, 50.0))


def forgetting_gate(found: Forgetting, limit: float) -> Gate:
    """Does general text stay within `limit` of the base's perplexity? Amber where the interval holds both answers."""
    ok = True if found.rise <= limit else None if found.low <= limit else False
    message = (
        f"perplexity of general text {found.before:.1f} → {found.after:.1f}, {100 * found.rise:+.1f} % "
        f"[{100 * found.low:+.1f}, {100 * found.high:+.1f}]; at most {100 * limit:+.0f} % wanted."
    )
    return Gate(name="forgetting", ok=ok, message=message.replace("-", "−"))
