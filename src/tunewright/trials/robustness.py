"""The same questions asked carelessly: seeded changes that leave the meaning, and what they cost."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tunewright.records import Case, Prediction, Robustness, Suite
from tunewright.statistics import adjust, bootstrap, permutation

Change = Callable[[str, random.Random], str]

# The key to the right on a QWERTY keyboard (to the left at the row's end).
_BESIDE = dict(zip("qwertyuiopasdfghjklzxcvbnm", "wertyuioposdfghjklkxcvbnmn", strict=True))


def _typos(text: str, rng: random.Random) -> str:
    """About one letter in twenty-five is swapped with the next, doubled, dropped, or hit beside."""
    letters = list(text)
    for place in range(len(letters) - 1):
        if letters[place].isalpha() and rng.random() < 0.04:
            kind = rng.randrange(4)
            if kind == 0 and letters[place + 1].isalpha():
                letters[place], letters[place + 1] = letters[place + 1], letters[place]
            elif kind == 1:
                letters[place] *= 2
            elif kind == 2:
                letters[place] = ""
            else:
                letters[place] = _BESIDE.get(letters[place].lower(), letters[place])
    return "".join(letters)


def _spaces(text: str, rng: random.Random) -> str:
    """Single spaces become several, or line breaks."""
    return re.sub(r" ", lambda _: rng.choice([" ", " ", "  ", "\n", "\t"]), text)


def _unpunctuated(text: str, rng: random.Random) -> str:
    """Sentence marks are left out; those between digits stay."""
    return re.sub(r"(?<!\d)[.,!?;:]|[.,!?;:](?!\d)", "", text)


def _greeting(text: str, rng: random.Random) -> str:
    """A politeness and something beside the point come first."""
    opening = rng.choice(
        ["Hi there, hope you are well.", "Sorry to bother you again.", "It is raining here today.", "Quick one:"]
    )
    return f"{opening} {text}"


_IN_FULL = {
    "won't": "will not",
    "can't": "cannot",
    "n't": " not",
    "i'm": "I am",
    "'re": " are",
    "'ve": " have",
    "'ll": " will",
}
_SHORT = re.compile(
    r"\bwon't\b|\bcan't\b|n't\b|\bI'm\b|'(?:re|ve|ll)\b|\b(?:it|that|there|here|what|where|who|how)'s\b", re.IGNORECASE
)


def _reworded(text: str, rng: random.Random) -> str:
    """The same asked another way: what is said short is said in full, and a sentence asks around it."""
    full = _SHORT.sub(lambda short: _IN_FULL.get(short[0].lower()) or f"{short[0][:-2]} is", text.replace("’", "'"))
    return rng.choice(
        [
            "Could you help me with the following? {}",
            "This is what I would like to ask: {}",
            "Please see to this: {}",
            "{}\n\nThat is all I wanted to ask.",
            "I have a request. {}",
        ]
    ).format(full)


def _cut_short(text: str, rng: random.Random) -> str:
    """The last fifth of the words, at least one, is missing, as where somebody sent too soon."""
    words = list(re.finditer(r"\S+", text))
    kept = min(len(words) - 1, round(0.8 * len(words)))
    return text[: words[kept - 1].end()] if kept > 0 else text


CHANGES: dict[str, Change] = {
    "typos": _typos,
    "lower_case": lambda text, rng: text.lower(),
    "upper_case": lambda text, rng: text.upper(),
    "white_space": _spaces,
    "no_punctuation": _unpunctuated,
    "preamble": _greeting,
    "reworded": _reworded,
    "cut_short": _cut_short,
}


def perturbed(suite: Suite, change: str, *, seed: int = 0) -> Suite:
    """The suite with its last user turn changed in each case; expected answers and scorers stay.

    Raises `KeyError` for a change that does not exist.
    """
    alter = CHANGES[change]
    cases = tuple(_altered(case, alter, random.Random(f"{seed}:{change}:{case.id}")) for case in suite.cases)
    return suite.model_copy(update={"id": f"{suite.id}~{change}", "cases": cases})


def _altered(case: Case, alter: Change, rng: random.Random) -> Case:
    messages: list[dict[str, Any]] = [dict(m) for m in case.messages]
    for message in reversed(messages):
        if message.get("role") == "user":
            message["content"] = alter(str(message.get("content") or ""), rng)
            break
    return case.model_copy(update={"messages": tuple(messages)})


def robustness(
    plain: Sequence[Prediction],
    changed: dict[str, Sequence[Prediction]],
    *,
    sources: Mapping[str, str] | None = None,
    seed: int = 0,
) -> list[Robustness]:
    """Per change: the score with it, the paired difference with its 95 % interval, and Holm-adjusted p; worst first.

    `plain` are the same arm's answers to the unchanged cases. Cases that could not be scored both ways are left out;
    a change with none left is not listed. With `sources` (case to source) whole sources are resampled and flipped.
    """
    scores = {p.case: p.score for p in plain}
    found = []
    for name, rows in changed.items():
        both = [p for p in rows if p.score is not None and scores.get(p.case) is not None]
        pairs = [(p.score or 0.0, scores[p.case] or 0.0) for p in both]
        if pairs:
            clusters = None if sources is None else [sources[p.case] for p in both]
            found.append((name, [a - b for a, b in pairs], clusters, sum(a for a, _ in pairs) / len(pairs)))
    p_values = adjust([permutation(d, clusters=c, seed=seed) for _, d, c, _ in found])
    results = []
    for (name, differences, clusters, mean), p in zip(found, p_values, strict=True):
        difference, low, high = bootstrap(differences, clusters=clusters, seed=seed)
        results.append(
            Robustness(change=name, score=mean, difference=difference, low=low, high=high, p=p, cases=len(differences))
        )
    return sorted(results, key=lambda r: r.difference)
