"""Takes token streams, gives the windows of each step: which source, which place, what is learnt of it.

The draw of step n depends on the seed and n alone, the place in a source on how many windows it has given:
these numbers resume it exactly.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from . import corpus as corpora
from .corpus import Stream
from .stages import MICRO_TOKENS, Part
from .tasks import banks, episodes, labels
from .tokenizer import END_ID, FIRST_PLAIN_ID

GIVEN_WEIGHT = 0.1  # of tokens that a task gives rather than asks for
OWN = ("own", "shots")
CHATS = ("dialogue", "qa", "tasks")


@dataclass
class Pool:
    """One source's tokens, its documents' starts, and (for tasks of our own) the weight of each token."""

    ids: np.ndarray
    weights: np.ndarray | None = None
    aligned: float = 0.0  # how often a window starts with a document
    starts: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.starts = np.concatenate([[0], np.flatnonzero(self.ids == END_ID)[:-1] + 1])

    def window(self, turn: int, length: int, seed: int, r: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The `turn`-th window: every place once in shuffled order, then again with another offset."""
        count = (len(self.ids) - length - 1) // length
        epoch, place = divmod(turn, count)
        shuffled = np.random.default_rng((seed, epoch, length)).permutation(count)
        at = int(shuffled[place]) * length + (epoch * 97) % length
        if r.random() < self.aligned:
            at = int(self.starts[min(np.searchsorted(self.starts, at), len(self.starts) - 1)])
        at = min(at, len(self.ids) - length - 1)
        ids = self.ids[at : at + length + 1].astype(np.int64)
        if self.weights is None:
            return ids, np.ones(length, dtype=np.float32)
        return ids, self.weights[at + 1 : at + length + 1].astype(np.float32) / 100


def frequent_words(streams: dict[str, list[corpora.Row]], count: int = 6000) -> list[str]:
    seen: Counter[str] = Counter()
    for documents in streams.values():
        for row in documents[::7]:
            seen.update(
                word for word in corpora.plain(row).split() if word.isalpha() and word.islower() and 3 < len(word) < 11
            )
    return sorted(word for word, _ in seen.most_common(count + 300)[300:])


def sentences(textbooks: list[corpora.Row], each: int = 1500) -> dict[str, list[str]]:
    """Sentences of middling length from the textbooks, by subject."""
    found: dict[str, list[str]] = {}
    for row in textbooks:
        subject = row["source"].removeprefix("openstax-").replace("-", " ")
        kept = found.setdefault(subject, [])
        for line in row["text"].split("\n"):
            kept += [
                s + "."
                for s in line.rstrip(".").split(". ")
                if 60 < len(s) < 170 and s[0].isupper() and "#" not in s and "*" not in s
            ]
    return {
        subject: random.Random(3).sample(kept, min(each, len(kept)))
        for subject, kept in found.items()
        if len(kept) > 200
    }


def own_pool(tokenizer: Tokenizer, count: int, shots: bool, seed: int) -> Pool:
    """Conversations of our own tasks, tokenised, with a full weight on what the assistant says."""
    r = random.Random(seed)
    segments = [episode for _ in range(count) for episode in [*episodes.episode(r, shots), ("<|endoftext|>", False)]]
    encoded = tokenizer.encode_batch([text for text, _ in segments], add_special_tokens=False)
    weights = [
        np.full(len(e.ids), 100 if learnt else round(100 * GIVEN_WEIGHT), np.uint8)
        for e, (_, learnt) in zip(encoded, segments, strict=True)
    ]
    return Pool(
        np.concatenate([np.array(e.ids, dtype=np.uint16) for e in encoded]), np.concatenate(weights), aligned=1.0
    )


def prepare(corpus: Path, tokenizer: Tokenizer, work: Path, own: int) -> tuple[dict[str, Pool], dict[str, Stream]]:
    """All pools (cached in `work`) and the held-out streams."""
    train, held = corpora.streams(corpus, tokenizer, work)
    pools = {name: Pool(stream.ids, aligned=0.5 if name in CHATS else 0.0) for name, stream in train.items()}
    for name, shots, seed in (("own", False, 11), ("shots", True, 12)):
        path = work / f"{name}.npz"
        if not path.exists():
            training = {source: corpora.split(corpus, source)[0] for source in ("docs", "textbooks", "dialogue")}
            banks.use_vocabulary(frequent_words(training))
            labels.use_sentences(sentences(training["textbooks"]))
            pool = own_pool(tokenizer, own, shots, seed)
            np.savez(path, ids=pool.ids, weights=pool.weights)
        kept = np.load(path)
        pools[name] = Pool(kept["ids"], kept["weights"], aligned=1.0)
    return pools, held


def repeated(pool: Pool, length: int, vocabulary: int, r: np.random.Generator) -> np.ndarray:
    """A passage over and over, random tokens or real ones: what copying is learnt from."""
    size = int(r.integers(12, max(13, min(length // 2, 400))))
    at = int(r.integers(0, len(pool.ids) - size))
    passage = (
        r.integers(FIRST_PLAIN_ID, vocabulary, size) if r.random() < 0.5 else pool.ids[at : at + size].astype(np.int64)
    )
    return np.tile(passage, (length + 1) // size + 2)[: length + 1]


@dataclass
class Mixture:
    pools: dict[str, Pool]
    vocabulary: int
    seed: int
    given: Counter[str] = field(default_factory=Counter)  # windows given, per source and length

    def batch(self, step: int, number: int, part: Part) -> tuple[Tensor, Tensor]:
        """A micro-batch: windows of `part.length` + 1 tokens, and the weights of their targets."""
        length, count, shares = part.length, MICRO_TOKENS // part.length, part.shares
        r = np.random.default_rng((self.seed, step, number))
        names = list(shares)
        chances = np.array([shares[n] for n in names])
        ids, weights = np.empty((count, length + 1), np.int64), np.ones((count, length), np.float32)
        for i in range(count):
            name = names[int(r.choice(len(names), p=chances / chances.sum()))]
            if name == "copy":
                ids[i] = repeated(self.pools["books"], length, self.vocabulary, r)
                continue
            key = f"{name}/{length}"
            ids[i], weights[i] = self.pools[name].window(self.given[key], length, self.seed, r)
            self.given[key] += 1
            if name in OWN:
                weights[i] *= part.emphasis
        return torch.from_numpy(ids), torch.from_numpy(weights)
