"""Near texts: what is alike, and that the sketches propose it."""

from __future__ import annotations

import numpy as np
import pytest

from tunewright.text import alike, candidates, sketch


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("what is the top up limit", "what is the auto top up limit", True),
        ("how do i verify my card", "how do i verify my new card", True),
        ("wait 2 weeks for the card", "wait 3 weeks for the card", False),
        ("where is my card", "cancel my transfer", False),
        ("a" * 6000 + " one two three", "a" * 6000 + " four five six", False),
    ],
)
def test_alike(left: str, right: str, same: bool) -> None:
    assert alike([left], [right]).tolist() == [same]


def test_sketches_propose_near_texts_and_few_others() -> None:
    random = np.random.default_rng(0)
    words = ["".join(random.choice(list("abcdefghijklmnopqrstuvwxyz"), 6)) for _ in range(800)]
    texts = [" ".join(random.choice(words, 14)) for _ in range(1500)]
    near = [t.replace(t.split()[3], t.split()[3][:-1]) for t in texts[:300]]
    everything = [*texts, *near, ""]
    bands = np.concatenate([sketch(everything[i : i + 400]) for i in range(0, len(everything), 400)])
    lengths = np.array([len(t) for t in everything])
    pairs = {tuple(p) for p in candidates(bands, lengths, np.arange(len(everything))).tolist()}
    assert sum((i, 1500 + i) in pairs for i in range(300)) >= 297
    assert len(pairs) < 10 * len(everything)
    only = candidates(bands, lengths, np.arange(1500))
    assert only.size == 0 or only.max() < 1500


def test_a_sketch_depends_on_the_text_alone() -> None:
    texts = ["one text", "", "another text of some length", "é 字"]
    together = sketch(texts)
    assert all((sketch([t])[0] == together[i]).all() for i, t in enumerate(texts))
    assert sketch([]).shape == (0, together.shape[1])
