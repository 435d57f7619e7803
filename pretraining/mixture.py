"""Takes token streams, gives the windows of each step: which source, which place, what is learnt of it.

The draw of step n depends on the seed and n alone, the place in a source on how many windows it has given:
these numbers resume it exactly.
"""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from . import corpus as corpora
from .corpus import Stream
from .stages import Part
from .tasks import banks, episodes, labels
from .tokenizer import END_ID, FIRST_PLAIN_ID

GIVEN_WEIGHT = 0.1  # of tokens that a task gives rather than asks for
OWN = ("own", "shots")
EACH = 500  # conversations made in one go
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

    def windows(
        self, turn: int, count: int, length: int, seed: int, r: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """`count` windows [count, length + 1] from the `turn`-th on, and their targets' weights [count, length].

        Every place comes once, in shuffled order, then again with another offset.
        """
        places = (len(self.ids) - length - 1) // length
        epochs, which = np.divmod(np.arange(turn, turn + count), places)
        at = np.array([_shuffled(seed, int(e), length, places)[w] for e, w in zip(epochs, which, strict=True)])
        at = at * length + (epochs * 97) % length
        to_start = r.random(count) < self.aligned
        starts = self.starts[np.minimum(np.searchsorted(self.starts, at), len(self.starts) - 1)]
        at = np.minimum(np.where(to_start, starts, at), len(self.ids) - length - 1)
        where = at[:, None] + np.arange(length + 1)
        if self.weights is None:
            return self.ids[where].astype(np.int64), np.ones((count, length), np.float32)
        return self.ids[where].astype(np.int64), self.weights[where[:, 1:]].astype(np.float32) / 100


@lru_cache(64)
def _shuffled(seed: int, epoch: int, length: int, places: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch, length)).permutation(places)


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


def _conversations(given: tuple[Tokenizer, bool, str]) -> tuple[np.ndarray, np.ndarray]:
    """Some conversations of our own tasks: tokens, and a full weight on what the assistant says."""
    tokenizer, shots, seed = given
    r = random.Random(seed)
    segments = [episode for _ in range(EACH) for episode in [*episodes.episode(r, shots), ("<|endoftext|>", False)]]
    encoded = [tokenizer.encode(text, add_special_tokens=False).ids for text, _ in segments]
    weights = [
        np.full(len(ids), 100 if learnt else round(100 * GIVEN_WEIGHT), np.uint8)
        for ids, (_, learnt) in zip(encoded, segments, strict=True)
    ]
    return np.concatenate([np.array(ids, dtype=np.uint16) for ids in encoded]), np.concatenate(weights)


def own_pool(tokenizer: Tokenizer, count: int, shots: bool, seed: int) -> Pool:
    """`count` conversations of our own tasks, `EACH` to a seed: they do not depend on how many processes there are."""
    jobs = [(tokenizer, shots, f"{seed}/{number}") for number in range(-(-count // EACH))]
    with ProcessPoolExecutor(mp_context=get_context("fork")) as workers:  # they have the words
        made = list(workers.map(_conversations, jobs))
    return Pool(np.concatenate([ids for ids, _ in made]), np.concatenate([w for _, w in made]), aligned=1.0)


def prepare(corpus: Path, tokenizer: Tokenizer, work: Path, own: int) -> tuple[dict[str, Pool], dict[str, Stream]]:
    """All pools (cached in `work`) and the held-out streams."""
    kinds = (("own", False, 11), ("shots", True, 12))
    if not all((work / f"{name}.npz").exists() for name, _, _ in kinds):
        training = {source: corpora.split(corpus, source)[0] for source in ("docs", "textbooks", "dialogue")}
        banks.use_vocabulary(frequent_words(training))
        labels.use_sentences(sentences(training["textbooks"]))
        for name, shots, seed in kinds:
            pool = own_pool(tokenizer, own, shots, seed)
            np.savez(work / f"{name}.npz", ids=pool.ids, weights=pool.weights)
    train, held = corpora.streams(corpus, tokenizer, work)
    pools = {name: Pool(stream.ids, aligned=0.5 if name in CHATS else 0.0) for name, stream in train.items()}
    for name, _, _ in kinds:
        kept = np.load(work / f"{name}.npz")
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
    tokens: int = 2048  # of a micro-batch
    given: Counter[str] = field(default_factory=Counter)  # windows given, per source and length

    def batch(self, step: int, number: int, part: Part) -> tuple[Tensor, Tensor]:
        """A micro-batch: windows of `part.length` + 1 tokens, and the weights of their targets."""
        length, names = part.length, list(part.shares)
        r = np.random.default_rng((self.seed, step, number))
        chances = np.array([part.shares[n] for n in names])
        ids, weights = [], []
        for name, count in zip(names, r.multinomial(self.tokens // length, chances / chances.sum()), strict=True):
            if not count:
                continue
            if name == "copy":
                windows = np.stack([repeated(self.pools["books"], length, self.vocabulary, r) for _ in range(count)])
                worth = np.ones((count, length), np.float32)
            else:
                key = f"{name}/{length}"
                windows, worth = self.pools[name].windows(self.given[key], int(count), length, self.seed, r)
                self.given[key] += int(count)
            ids.append(windows)
            weights.append(worth * part.emphasis if name in OWN else worth)
        return torch.from_numpy(np.concatenate(ids)), torch.from_numpy(np.concatenate(weights))
