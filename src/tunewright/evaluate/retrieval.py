"""The RAG arm's library: passages cut from documents or made of training rows, found by BM25."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import bm25s
import numpy as np

from tunewright.errors import DataError
from tunewright.evaluate.scorers import expected_text
from tunewright.records import Example

# Words a passage holds at most: a few sentences, so that several fit beside the question.
PASSAGE_WORDS = 120
OVERLAP_WORDS = 20
READABLE = (".md", ".rst", ".txt")


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


def read_documents(path: Path) -> list[str]:
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
        passages += [f"{file.stem}: {passage}" for passage in cut(text)]
    if not passages:
        raise DataError(
            "there are no documents to look things up in.",
            where=str(path),
            remedy=f"Name a file or a folder with {', '.join(READABLE)} files.",
        )
    return passages


def cut(text: str) -> list[str]:
    """Passages of whole paragraphs up to `PASSAGE_WORDS`; a longer paragraph is cut with `OVERLAP_WORDS` of overlap."""
    passages: list[str] = []
    held: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        words = paragraph.split()
        if held and len(held) + len(words) > PASSAGE_WORDS:
            passages.append(" ".join(held))
            held = []
        while len(words) > PASSAGE_WORDS:
            passages.append(" ".join(words[:PASSAGE_WORDS]))
            words = words[PASSAGE_WORDS - OVERLAP_WORDS :]
        held += words
    if held:
        passages.append(" ".join(held))
    return passages


def rows_as_passages(train: Sequence[Example]) -> list[str]:
    """Training rows as a library, where the recipe names no documents."""
    return [
        f"{question([m.as_dict() for m in e.prompt])}\n→ {expected_text(e.answer.content, e.answer.tool_calls)}"
        for e in train
    ]
