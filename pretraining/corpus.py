"""Takes the corpus folder, gives token streams: a training and a held-out one per source, cached as `.npy`."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from tokenizers import Tokenizer

from .tokenizer import END_ID, START, STOP

SOURCES = ("books", "docs", "textbooks", "dialogue", "qa", "tasks")
# Thinned in training: persona chats (a voice of their own), questions about rare diseases (thousands of one pattern).
THINNED = {"synthetic-persona-chat": 0.5, "medquad": 0.7}

Row = dict[str, Any]


@dataclass(frozen=True)
class Stream:
    ids: np.ndarray
    size: int  # bytes of text behind the ids

    @property
    def bytes_per_token(self) -> float:
        return self.size / len(self.ids)


def rows(corpus: Path, source: str) -> Iterator[Row]:
    for path in sorted(corpus.glob(f"{source}*.jsonl.zst")):
        with path.open("rb") as file:
            for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8"):
                yield json.loads(line)


def text(row: Row) -> str:
    if "text" in row:
        return str(row["text"])
    return "".join(f"{START}{m['role']}\n{m['content']}{STOP}\n" for m in row["messages"])


def plain(row: Row) -> str:
    """The words alone, for training a tokenizer."""
    return str(row["text"]) if "text" in row else "\n".join(m["content"] for m in row["messages"])


def split(corpus: Path, source: str) -> tuple[list[Row], list[Row]]:
    """Training and held-out rows. The held-out ones are those of the starting base, so that numbers compare."""
    documents = list(rows(corpus, source))
    random.Random(1).shuffle(documents)
    cut = max(20, len(documents) // 200)
    return documents[cut:], documents[:cut]


def thin(documents: list[Row], seed: int = 2) -> list[Row]:
    pick = random.Random(seed)
    return [row for row in documents if pick.random() < THINNED.get(row["source"], 1.0)]


def encode(tokenizer: Tokenizer, documents: list[Row]) -> Stream:
    parts, size = [], 0
    for at in range(0, len(documents), 2000):
        texts = [text(row) for row in documents[at : at + 2000]]
        size += sum(len(t.encode()) for t in texts)
        encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
        parts += [np.array([*e.ids, END_ID], dtype=np.uint16) for e in encoded]
    return Stream(np.concatenate(parts), size)


def streams(corpus: Path, tokenizer: Tokenizer, work: Path) -> tuple[dict[str, Stream], dict[str, Stream]]:
    """Training (thinned) and held-out streams of every source; made once per work folder."""
    train, held = {}, {}
    for source in SOURCES:
        paths = {name: work / f"{source}.{name}.npy" for name in ("train", "held")}
        if not all(path.exists() for path in paths.values()):
            training, holdout = split(corpus, source)
            for name, documents in (("train", thin(training)), ("held", holdout)):
                stream = encode(tokenizer, documents)
                paths[name].with_suffix(".size").write_text(str(stream.size))
                np.save(paths[name], stream.ids)
        for name, part in (("train", train), ("held", held)):
            part[source] = Stream(np.load(paths[name]), int(paths[name].with_suffix(".size").read_text()))
    return train, held
