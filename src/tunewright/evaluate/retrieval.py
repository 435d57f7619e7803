"""What an arm looks things up in: passages of documents or training rows, found by their words or by vectors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import bm25s
import numpy as np

from tunewright.errors import DataError, RecipeError
from tunewright.evaluate.overlap import holds
from tunewright.evaluate.scorers import expected_text
from tunewright.records import Case, Example, Recall
from tunewright.statistics import wilson
from tunewright.text import normal

Way = Literal["bm25", "dense", "hybrid"]
Embed = Callable[[Sequence[str]], np.ndarray]

READABLE = (".md", ".rst", ".txt")
# Ranks beyond this add next to nothing to a fused order (Cormack, Clarke and Büttcher 2009 use 60).
_FUSION = 60


def question(messages: Sequence[Mapping[str, Any]]) -> str:
    """The words a case is looked up by: its user turns."""
    return "\n".join(str(m.get("content") or "") for m in messages if m.get("role") == "user")


class Nearest:
    """Texts by likeness to another: BM25 (Robertson & Zaragoza 2009) over words."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._index = bm25s.BM25()
        self._index.index(bm25s.tokenize(list(texts), show_progress=False), show_progress=False)
        self._size = len(texts)

    def best(self, text: str, k: int) -> list[int]:
        """Places of the `k` most alike texts, the most alike first; equal scores by place."""
        tokens = bm25s.tokenize([text], return_ids=False, show_progress=False)[0]
        known = [t for t in tokens if t in self._index.vocab_dict]
        if not known:
            return list(range(min(k, self._size)))
        scores = self._index.get_scores(known)
        return [int(i) for i in np.argsort(-scores, kind="stable")[:k]]


class Dense:
    """Texts by likeness of their vectors: cosine, after the mean vector of all texts is taken off both sides.

    Without that, the vectors of a language model all point nearly the same way (Ethayarajh 2019).
    """

    def __init__(self, texts: Sequence[str], embed: Embed) -> None:
        vectors = embed(texts)
        self._embed, self._mean = embed, vectors.mean(axis=0)
        self._vectors = unit(vectors - self._mean)
        self._known: dict[str, np.ndarray] = {}

    def best(self, text: str, k: int) -> list[int]:
        """Places of the `k` most alike texts, the most alike first; equal scores by place."""
        if text not in self._known:
            self._known[text] = unit(self._embed([text]) - self._mean)[0]
        return [int(i) for i in np.argsort(-(self._vectors @ self._known[text]), kind="stable")[:k]]


def unit(vectors: np.ndarray) -> np.ndarray:
    """The rows at length 1; a row of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: np.ndarray = vectors / np.where(lengths == 0, 1, lengths)
    return scaled


class Library:
    """Passages and how they are found. Without `documents` the passages are the training rows.

    `words` a passage holds at most and `overlap` of a long paragraph's pieces are in words; `passages` are looked up
    for a case. `retrieval` is `bm25`, `dense` (needs `embed`, texts to vectors) or `hybrid`, which fuses the two by
    reciprocal rank. Raises `DataError` for documents that cannot be read, `RecipeError` for settings that cannot be.
    """

    def __init__(
        self,
        train: Sequence[Example],
        documents: Path | None = None,
        *,
        retrieval: Way = "bm25",
        passages: int = 4,
        words: int = 120,
        overlap: int = 20,
        embed: Embed | None = None,
    ) -> None:
        if overlap >= words:
            raise RecipeError("`overlap` must be smaller than `words`.", where="arms.rag")
        if retrieval != "bm25" and embed is None:
            raise RecipeError(f"`{retrieval}` needs something that embeds.", where="arms.rag")
        self.retrieval, self.passages = retrieval, passages
        self.texts = rows_as_passages(train) if documents is None else read_documents(documents, words, overlap)
        self._embed = embed

    @cached_property
    def _words(self) -> Nearest:
        return Nearest(self.texts)

    @cached_property
    def _meaning(self) -> Dense:
        assert self._embed is not None
        return Dense(self.texts, self._embed)

    def find(self, text: str, way: Way | None = None) -> list[str]:
        """The passages for `text`, the best first."""
        way = way or self.retrieval
        if way == "hybrid":
            orders = [finder.best(text, len(self.texts)) for finder in (self._words, self._meaning)]
            places = fused(orders)[: self.passages]
        else:
            places = (self._words if way == "bm25" else self._meaning).best(text, self.passages)
        return [self.texts[place] for place in places]

    def recalls(self, cases: Sequence[Case]) -> list[Recall]:
        """For each way that can be taken here: in how many cases the passages found hold the expected answer.

        Nothing is chosen by this: it tells whether a poor RAG arm is the retrieval's fault.
        """
        ways: tuple[Way, ...] = ("bm25",) if self._embed is None else ("bm25", "dense", "hybrid")
        asked = [case for case in cases if normal(case.expected)]
        found = []
        for way in ways if asked else ():
            held = sum(_found(self.find(question(c.messages), way), c) for c in asked)
            share, low, high = wilson(held, len(asked))
            found.append(
                Recall(
                    retrieval=way,
                    used=way == self.retrieval,
                    k=min(self.passages, len(self.texts)),
                    passages=len(self.texts),
                    cases=len(asked),
                    recall=share,
                    low=low,
                    high=high,
                )
            )
        return found


def _found(passages: Sequence[str], case: Case) -> bool:
    return holds("\n\n".join(passages), normal(case.expected))


def fused(orders: Sequence[Sequence[int]]) -> list[int]:
    """Several orders of the same places as one: the sum of 1 ÷ (60 + rank) decides; equal sums by place."""
    scores: dict[int, float] = {}
    for order in orders:
        for rank, place in enumerate(order, 1):
            scores[place] = scores.get(place, 0.0) + 1 / (_FUSION + rank)
    return sorted(scores, key=lambda place: (-scores[place], place))


def read_documents(path: Path, words: int, overlap: int) -> list[str]:
    """Passages of a text file, or of all text files below a folder, each headed by its file's name.

    Reads .txt, .md and .rst. Raises `DataError` where there is nothing to read.
    """
    files = [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.suffix.lower() in READABLE)
    passages = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"cannot be read: {error}", where=str(file), remedy="Give UTF-8 text files.") from None
        passages += [f"{file.stem}: {passage}" for passage in cut(text, words, overlap)]
    if not passages:
        raise DataError(
            "there are no documents to look things up in.",
            where=str(path),
            remedy=f"Name a file or a folder with {', '.join(READABLE)} files.",
        )
    return passages


def cut(text: str, most: int, overlap: int) -> list[str]:
    """Passages of whole paragraphs up to `most` words; a longer paragraph is cut with `overlap` words of overlap."""
    passages: list[str] = []
    held: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        words = paragraph.split()
        if held and len(held) + len(words) > most:
            passages.append(" ".join(held))
            held = []
        while len(words) > most:
            passages.append(" ".join(words[:most]))
            words = words[most - overlap :]
        held += words
    if held:
        passages.append(" ".join(held))
    return passages


def rows_as_passages(train: Sequence[Example]) -> list[str]:
    """Training rows as a library, where the recipe names no documents."""
    return [f"{question([m.as_dict() for m in e.prompt])}\n→ {expected_text(e.answer)}" for e in train]
