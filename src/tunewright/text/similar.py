"""Texts that say nearly the same: MinHash proposes pairs, exact measures decide.

Broder, "On the resemblance and containment of documents" (1997); banding as in Leskovec, Rajaraman and Ullman,
"Mining of Massive Datasets", chapter 3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from zlib import crc32

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
_PLENTY = 32
_BINS = 32
_BLOCK = 50_000
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")

_draw = np.random.default_rng(20_240_229)
_FACTORS = _draw.integers(1, 2**63, BANDS * _ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_OFFSETS = _draw.integers(0, 2**63, BANDS * _ROWS, dtype=np.uint64)
_MIXERS = _draw.integers(1, 2**63, _ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


def sketch(texts: Sequence[str]) -> np.ndarray:
    """What tells of each text whether it could be nearly another: `len(texts)` × 41 numbers (uint32).

    The first 32 are MinHash bands of its 3-character shingles. Two texts share a band's hash with probability J⁴, J
    being the Jaccard index of their shingles: at J = 0.6 at least one of 32 is shared with probability 0.99. Of a
    long text the first 20,000 characters count. Then 32 bytes say how often each kind of character stands in its
    first 5,000 (kinds are code points modulo 32, counts end at 255), and the last number is a checksum of its numbers.
    """
    padded = [f" {text[:_LONGEST]} " if text else "   " for text in texts]
    if not padded:
        return np.zeros((0, BANDS + _BINS // 4 + 1), np.uint32)
    lengths = np.array([len(text) for text in padded])
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    found = np.empty((len(padded), BANDS + _BINS // 4 + 1), np.uint32)
    found[:, :BANDS] = _bands(codes.astype(np.uint64), lengths)
    found[:, BANDS:-1] = _letters(codes, lengths).view(np.uint32)
    found[:, -1] = [crc32(" ".join(numbers(text)).encode()) for text in texts]
    return found


def _bands(codes: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Band hashes of texts that stand one after the other in `codes`."""
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
    found = np.empty((len(lengths), BANDS), np.uint32)
    hashed = np.empty_like(shingles)
    for band in range(BANDS):
        mixed = np.zeros(len(lengths), np.uint64)
        for row in range(_ROWS):
            k = band * _ROWS + row
            np.multiply(shingles, _FACTORS[k], out=hashed)
            np.add(hashed, _OFFSETS[k], out=hashed)
            mixed = (mixed + (np.minimum.reduceat(hashed, starts) >> np.uint64(32))) * _MIXERS[row]
        found[:, band] = (mixed >> np.uint64(32)).astype(np.uint32)
    return found


def _letters(codes: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """How often each kind of character stands at the beginning of each text: n × 32 (uint8)."""
    text = np.repeat(np.arange(len(lengths)), lengths)
    kinds = text * _BINS + (codes & np.uint32(_BINS - 1))
    if lengths.max() > _EXACT + 1:
        place = np.arange(len(codes)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        kinds = kinds[place <= _EXACT]
    counts = np.bincount(kinds, minlength=len(lengths) * _BINS).reshape(-1, _BINS)
    return np.minimum(counts, 255).astype(np.uint8)


def candidates(
    sketches: np.ndarray, lengths: np.ndarray, index: np.ndarray, progress: Callable[[int, int], None] | None = None
) -> np.ndarray:
    """Pairs of the rows in `index` (n × 2, first < second) that share a band and could be alike.

    Could: by their lengths, their numbers and how often each kind of character stands in them, none of which loses a
    pair that `alike` would keep. Work and memory grow linearly with rows: in a crowded band each row is paired with
    its next four neighbours only, those that share the next band too coming first, and two rows that have 32
    partners each look for no more. `progress(done, total)` is told of the bands.
    """
    letters = np.ascontiguousarray(sketches[:, BANDS:-1]).view(np.uint8)
    figures = np.ascontiguousarray(sketches[:, -1])
    found = np.zeros(0, np.uint64)
    waiting: list[np.ndarray] = []
    full = np.zeros(len(sketches), bool)
    for band in range(BANDS if len(index) > 1 else 0):
        hashes = np.asarray(sketches[:, band])[index]
        beside = np.asarray(sketches[:, (band + 1) % BANDS])[index]
        order = np.argsort((hashes.astype(np.uint64) << np.uint64(32)) | beside, kind="stable")
        ranked, order = hashes[order], index[order]
        for step in range(1, _NEIGHBOURS + 1):
            same = np.flatnonzero(ranked[step:] == ranked[:-step])
            for start in range(0, len(same), _BLOCK):
                part = same[start : start + _BLOCK]
                one, other = order[part], order[part + step]
                pairs = np.stack([np.minimum(one, other), np.maximum(one, other)])
                pairs = pairs[:, ~(full[pairs[0]] & full[pairs[1]])]
                a, b = pairs[:, _possible(letters, figures, lengths, *pairs)].astype(np.uint64)
                waiting.append((a << np.uint64(32)) | b)
        if band % 4 == 3:
            found = np.unique(np.concatenate([found, *waiting]))
            waiting = []
            full = _partners(found, len(sketches)) >= _PLENTY
        if progress:
            progress(band + 1, BANDS)
    return np.stack([found >> np.uint64(32), found & np.uint64(0xFFFFFFFF)], axis=1).astype(np.int64)


def _possible(
    letters: np.ndarray, figures: np.ndarray, lengths: np.ndarray, a: np.ndarray, b: np.ndarray
) -> np.ndarray:
    """Whether nothing that is cheap to see keeps two texts from being alike."""
    short, long = np.minimum(lengths[a], lengths[b]), np.maximum(lengths[a], lengths[b])
    fits = (short * 2 * 100 >= _RATIO * (short + long)) & (figures[a] == figures[b])
    # What one text has more of, characters by kind, must be deleted or inserted; 2 for the ends of cut texts.
    near = np.flatnonzero(fits)
    apart = np.abs(letters[a[near]].astype(np.int16) - letters[b[near]]).sum(axis=1, dtype=np.int64)
    fits[near] = (apart - 2) * 100 <= (100 - _RATIO) * (np.minimum(short, _EXACT) + np.minimum(long, _EXACT))[near]
    return fits


def _partners(pairs: np.ndarray, rows: int) -> np.ndarray:
    """How many pairs each row is in."""
    first, second = (pairs >> np.uint64(32)).astype(np.int64), (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64)
    return np.bincount(first, minlength=rows) + np.bincount(second, minlength=rows)


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
