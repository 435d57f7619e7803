"""A model as judge: asked in both orders, measured against people before it may decide anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tunewright.records import Calibration, Gate
from tunewright.statistics import bootstrap, permutation, wilson

Winner = Literal["first", "second"] | None
# Fewer labelled pairs than this calibrate nothing; and a judge must agree with people at least moderately.
LEAST_PAIRS = 30
LEAST_KAPPA = 0.4

PROMPT = """You compare two answers to one question. Judge by this rubric:
{rubric}

Question:
{question}

Answer (a):
{a}

Answer (b):
{b}

Which is better? Reply with (a) or (b) and nothing else."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and two answers to it; `human` is what people prefer, where they were asked."""

    question: str
    first: str
    second: str
    human: Winner = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """Who won with the first answer shown first, and with it shown second; None where the judge's words say neither."""

    as_given: Winner
    swapped: Winner

    @property
    def flipped(self) -> bool:
        """Whether the order of showing changed the verdict: such a judgement is a tie, and counted."""
        return None not in (self.as_given, self.swapped) and self.as_given != self.swapped

    @property
    def winner(self) -> Winner:
        """The answer preferred in both orders."""
        return self.as_given if self.as_given == self.swapped else None


def judge_pairs(
    pairs: Sequence[Pair], complete: Callable[[Sequence[str]], Sequence[str]], rubric: str
) -> list[Judgement]:
    """Put every pair to the judge in both orders. `complete` answers prompts, in order."""
    prompts = []
    for pair in pairs:
        for a, b in ((pair.first, pair.second), (pair.second, pair.first)):
            prompts.append(PROMPT.format(rubric=rubric, question=pair.question, a=a, b=b))
    said = [_choice(text) for text in complete(prompts)]
    return [
        Judgement(_named(said[2 * i], ("first", "second")), _named(said[2 * i + 1], ("second", "first")))
        for i in range(len(pairs))
    ]


# A bare letter counts where it is all that the first words are: "A good answer would …" names none.
_NAMED = re.compile(r"\(([abAB])\)|^[\s*\"'\[]*([abAB])[\]\"'*]*(?=\s*(?:$|[.,:;)\n]))")


def _choice(text: str) -> str | None:
    """`a` or `b`, the only one named; None when both or neither are."""
    named = {letter.casefold() for found in _NAMED.findall(text) for letter in found if letter}
    return named.pop() if len(named) == 1 else None


def _named(choice: str | None, order: tuple[Winner, Winner]) -> Winner:
    return None if choice is None else order[0] if choice == "a" else order[1]


def calibrate(pairs: Sequence[Pair], judgements: Sequence[Judgement], *, seed: int = 0) -> Calibration:
    """The judge against people, on the pairs that people have judged.

    Accuracy is over both orders (a flip is half right, an unreadable verdict wrong) with a bootstrap interval over
    pairs; κ is Cohen's between the judge's readable verdicts and the people's, resampled by pair; `first_share` is how
    often it chose what was shown first (0.5 has no bias). Raises `ValueError` when no pair has a human label.
    """
    known = [(p.human, j) for p, j in zip(pairs, judgements, strict=True) if p.human is not None]
    if not known:
        raise ValueError("no pair has a human label")
    right = [((j.as_given == human) + (j.swapped == human)) / 2 for human, j in known]
    accuracy, low, high = bootstrap(right, seed=seed)
    kappa, kappa_low, kappa_high = _kappa([(human, j.as_given, j.swapped) for human, j in known], seed)
    shown_first = [x for _, j in known for x in (j.as_given == "first", j.swapped == "second")]
    return Calibration(
        pairs=len(known),
        accuracy=accuracy,
        low=low,
        high=high,
        kappa=kappa,
        kappa_low=kappa_low,
        kappa_high=kappa_high,
        flip_rate=sum(j.flipped for _, j in known) / len(known),
        first_share=sum(shown_first) / len(shown_first),
    )


def _kappa(rows: Sequence[tuple[Winner, Winner, Winner]], seed: int) -> tuple[float, float, float]:
    """Cohen's κ of verdicts against human labels, with a percentile interval over resampled pairs."""
    kinds = sorted(set(rows), key=str)
    tables = np.zeros((len(kinds), 2, 2))
    for place, (human, *verdicts) in enumerate(kinds):
        for verdict in verdicts:
            if verdict is not None:
                tables[place, int(verdict == "second"), int(human == "second")] += 1
    counts = np.array([rows.count(kind) for kind in kinds], dtype=float)
    drawn = np.random.default_rng(seed).multinomial(len(rows), counts / len(rows), size=10_000)
    resampled = np.sort(_kappas(np.tensordot(drawn, tables, axes=1)))
    whole = float(_kappas(np.tensordot(counts, tables, axes=1)[None])[0])
    return whole, float(resampled[250]), float(resampled[-251])


def _kappas(tables: np.ndarray) -> np.ndarray:
    """κ of (…, judge, human) counts; 0 where chance already explains everything."""
    total = tables.sum(axis=(1, 2))
    total = np.where(total == 0, 1.0, total)
    observed = (tables[:, 0, 0] + tables[:, 1, 1]) / total
    expected = (tables.sum(axis=2) * tables.sum(axis=1)).sum(axis=1) / total**2
    return np.where(expected >= 1, 0.0, (observed - expected) / np.where(expected >= 1, 1.0, 1 - expected))


def judge_gate(
    judgements: Sequence[Judgement],
    calibration: Calibration | None,
    *,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> Gate:
    """Does the judge prefer the first arm? It can say so only once calibrated; until then the gate is amber.

    Calibrated means: at least 30 pairs labelled by people, and the lower end of κ's interval at 0.4 or more. With
    `clusters` (one key per judgement) cases of one source are resampled and flipped together.
    """
    wins = sum(j.winner == "first" for j in judgements)
    losses = sum(j.winner == "second" for j in judgements)
    flips = sum(j.flipped for j in judgements)
    text = f"judge: {wins} wins, {losses} losses, {flips} of {len(judgements)} flipped with the order"
    if calibration is None:
        return Gate(name="judge", ok=None, message=f"{text}. Not calibrated against people, so it decides nothing.")
    trust = f"κ {calibration.kappa:.2f} [{calibration.kappa_low:.2f}, {calibration.kappa_high:.2f}]"
    if calibration.pairs < LEAST_PAIRS or calibration.kappa_low < LEAST_KAPPA:
        said = f"{text}. With {trust} on {calibration.pairs} pairs it agrees with people too little to decide."
        return Gate(name="judge", ok=None, message=said)
    if wins + losses == 0:
        return Gate(name="judge", ok=None, message=f"{text}; {trust}.")
    keys = range(len(judgements)) if clusters is None else clusters
    decided = [(float(j.winner == "first"), key) for j, key in zip(judgements, keys, strict=True) if j.winner]
    together = [key for _, key in decided]
    p = permutation([2 * won - 1 for won, _ in decided], clusters=together, seed=seed)
    share, low, high = _share([won for won, _ in decided], together, seed)
    ok = None if p >= 0.05 else True if low > 0.5 else False if high < 0.5 else None
    said = f"{text}; preferred in {100 * share:.0f} % [{100 * low:.0f}, {100 * high:.0f}]; {trust}."
    return Gate(name="judge", ok=ok, message=said)


def _share(won: Sequence[float], clusters: Sequence[Hashable], seed: int) -> tuple[float, float, float]:
    """The share of wins with its 95 % interval; where all go one way, as sure as there are sources."""
    sources = len(set(clusters))
    if sources == len(won):
        return wilson(int(sum(won)), len(won))
    return (
        wilson(sources * int(won[0]), sources) if len(set(won)) == 1 else bootstrap(won, clusters=clusters, seed=seed)
    )
