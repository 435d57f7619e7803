"""Parts of the train rows for a learning curve: nested, in proportion, another chain for each seed."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

from tunewright.data import load

from .helpers import jsonl, run


def test_smaller_parts_lie_within_larger_ones_and_a_seed_draws_others(tmp_path: Path) -> None:
    rows = [{"text": f"{w} case {i}", "label": w} for w, n in (("a", 300), ("b", 90), ("c", 30)) for i in range(n)]
    jsonl(tmp_path / "train.jsonl", rows)
    path = run(tmp_path).path
    chains = {}
    for seed in (0, 1):
        parts = [{e.row for e in load(path, "train", share=s, seed=seed)} for s in (0.1, 0.25, 0.5, 1.0)]
        assert all(small < large for small, large in pairwise(parts))
        assert [len(p) for p in parts] == [round(s * len(parts[-1])) for s in (0.1, 0.25, 0.5, 1.0)]
        chains[seed] = parts
    assert chains[0][-1] == chains[1][-1] and chains[0][1] != chains[1][1]
    labels = Counter(e.label for e in load(path, "train", share=0.25, seed=1))
    assert abs(labels["a"] - 60) <= 2 and abs(labels["b"] - 18) <= 2
