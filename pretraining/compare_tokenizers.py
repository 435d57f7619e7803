"""Which vocabulary? Equal seconds of training per size, then bits per byte on every held-out source.

python -m pretraining.compare_tokenizers --corpus DIR --seconds 170
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path

import numpy as np
import torch

from . import corpus as corpora
from . import tokenizer as pieces
from .measure import bits_per_byte
from .network import Seedling, Shape, parameters
from .optimizer import Optimizers


def compare(corpus: Path, vocabulary: int, seconds: float, share: float) -> dict:
    """Trains on a `share` of the documents for so many seconds; the rate falls to nothing over the second half."""
    torch.manual_seed(0)
    pick = random.Random(0)
    train, held = {}, {}
    for source in corpora.SOURCES:
        training, held[source] = corpora.split(corpus, source)
        train[source] = [row for row in training if pick.random() < share]
    texts = (corpora.plain(row) for source in corpora.SOURCES for row in train[source])
    tokenizer = pieces.train(texts, vocabulary)
    ids = np.concatenate([corpora.encode(tokenizer, train[source]).ids for source in corpora.SOURCES])
    windows = ids[: len(ids) // 257 * 257].reshape(-1, 257).astype(np.int64)
    model = Seedling(Shape(vocabulary=vocabulary))
    optimizers, loss = Optimizers(model, torch.bfloat16), torch.compile(model.loss, dynamic=False)
    weights = torch.ones(8, 256)
    order = np.random.default_rng(0).permutation(len(windows))
    loss(torch.from_numpy(windows[:8]), weights).backward()  # compiles
    model.zero_grad()
    began, step = time.perf_counter(), 0
    while (done := (time.perf_counter() - began) / seconds) < 1:
        for part in range(4):
            at = (step * 32 + part * 8) % (len(windows) - 8)
            (loss(torch.from_numpy(windows[order[at : at + 8]]), weights) / 8192).backward()
        step += 1
        optimizers.step(min(1.0, step / 40) * min(1.0, max(0.02, 2 - 2 * done)))
    streams = {source: corpora.encode(tokenizer, held[source]) for source in corpora.SOURCES}
    return {
        "vocabulary": vocabulary,
        "parameters": parameters(model),
        "seconds": seconds,
        "steps": step,
        "tokens_per_second": round(step * 8192 / seconds),
        "bytes_per_token": {s: round(streams[s].bytes_per_token, 3) for s in streams},
        "bits_per_byte": {s: round(bits_per_byte(model, streams[s]), 4) for s in streams},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/corpus"))
    parser.add_argument("--seconds", type=float, default=170)
    parser.add_argument("--share", type=float, default=0.2)
    parser.add_argument("--vocabularies", type=int, nargs="+", default=[2048, 4096, 8192])
    options = parser.parse_args()
    torch.set_num_threads(1)
    for vocabulary in options.vocabularies:
        print(json.dumps(compare(options.corpus, vocabulary, options.seconds, options.share)), flush=True)


if __name__ == "__main__":
    main()
