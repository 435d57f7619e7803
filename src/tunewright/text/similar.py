"""Texts that say nearly the same: MinHash proposes pairs, exact measures decide.

Broder, "On the resemblance and containment of documents" (1997); banding as in Leskovec, Rajaraman and Ullman,
"Mining of Massive Datasets", chapter 3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from rapidfuzz import fuzz, process

BANDS = 32
_ROWS = 4
_SHINGLE = 3
_LONGEST = 20_000
_EXACT = 5_000
_RATIO = 90.0
_JACCARD = 0.8
_NEIGHBOURS = 4
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")

_draw = np.random.default_rng(20_240_229)
_FACTORS = _draw.integers(1, 2**63, BANDS * _ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_OFFSETS = _draw.integers(0, 2**63, BANDS * _ROWS, dtype=np.uint64)
_MIXERS = _draw.integers(1, 2**63, _ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


def sketch(texts: Sequence[str]) -> np.ndarray:
    """MinHash bands of the texts' 3-character shingles: `len(texts)` × 32 hashes (uint32).

    Two texts share a band's hash with probability J⁴, J being the Jaccard index of their shingles: at J = 0.6 at
    least one of 32 is shared with probability 0.99. Of a long text the first 20,000 characters count.
    """
    padded = [f" {text[:_LONGEST]} " if text else "   " for text in texts]
    if not padded:
        return np.zeros((0, BANDS), np.uint32)
    lengths = np.array([len(text) for text in padded])
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    # A shingle is hashed where it begins; those that would run into the next text are left out.
    shingles = codes.copy()
    for step in range(1, _SHINGLE):
        shingles[:-step] = shingles[:-step] * np.uint64(0x100000001B3) + codes[step:]
    ends = np.cumsum(lengths)
    inside = np.ones(len(codes), bool)
    for step in range(1, _SHINGLE):
        inside[ends - step] = False
    shingles = shingles[inside] * np.uint64(0x9E3779B97F4A7C15)
    shingles ^= shingles >> np.uint64(32)
    starts = np.r_[0, np.cumsum(lengths - (_SHINGLE - 1))[:-1]]
    found = np.empty((len(padded), BANDS), np.uint32)
    for band in range(BANDS):
        mixed = np.zeros(len(padded), np.uint64)
        for row in range(_ROWS):
            k = band * _ROWS + row
            least = np.minimum.reduceat((shingles * _FACTORS[k] + _OFFSETS[k]) >> np.uint64(32), starts)
            mixed = (mixed + least) * _MIXERS[row]
        found[:, band] = (mixed >> np.uint64(32)).astype(np.uint32)
    return found


def candidates(bands: np.ndarray, lengths: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Pairs of the rows in `index` (n × 2, first < second) that share a band and could be alike by their lengths.

    Work and memory grow linearly with rows: in a crowded band each row is paired with its next four neighbours only.
    """
    found = np.zeros(0, np.uint64)
    waiting: list[np.ndarray] = []
    for band in range(bands.shape[1] if len(index) > 1 else 0):
        hashes = np.asarray(bands[:, band])[index]
        order = np.argsort(hashes, kind="stable")
        ranked, order = hashes[order], index[order]
        for step in range(1, _NEIGHBOURS + 1):
            same = np.flatnonzero(ranked[step:] == ranked[:-step])
            a, b = order[same].astype(np.uint64), order[same + step].astype(np.uint64)
            short, long = np.minimum(lengths[a], lengths[b]), np.maximum(lengths[a], lengths[b])
            fits = short * 2 * 100 >= _RATIO * (short + long)
            waiting.append((a[fits] << np.uint64(32)) | b[fits])
        if band % 8 == 7 or band == bands.shape[1] - 1:
            found = np.unique(np.concatenate([found, *waiting]))
            waiting = []
    return np.stack([found >> np.uint64(32), found & np.uint64(0xFFFFFFFF)], axis=1).astype(np.int64)


def alike(left: Sequence[str], right: Sequence[str]) -> np.ndarray:
    """For each pair of normal forms whether they are nearly the same.

    They hold the same numbers, and nine tenths of their characters lie in common order (indel similarity); above
    5,000 characters: the Jaccard index of their word triples is at least 0.8.
    """
    ratio = process.cpdist(
        [t[:_EXACT] for t in left], [t[:_EXACT] for t in right], scorer=fuzz.ratio, score_cutoff=_RATIO, workers=1
    )
    close = np.asarray(ratio) >= _RATIO
    for i in np.flatnonzero(close):
        a, b = left[i], right[i]
        close[i] = numbers(a) == numbers(b) and (max(len(a), len(b)) <= _EXACT or _jaccard(a, b) >= _JACCARD)
    return close


def numbers(text: str) -> list[str]:
    """The numbers in a text, sorted."""
    return sorted(_NUMBER.findall(text))


def _jaccard(a: str, b: str) -> float:
    left, right = _triples(a), _triples(b)
    return len(left & right) / max(1, len(left | right))


def _triples(text: str) -> set[tuple[tuple[str, str], str]]:
    words = text.split()
    return {(pair, word) for pair, word in zip(pairwise(words), words[2:], strict=False)}
