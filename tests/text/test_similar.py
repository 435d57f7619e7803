"""Near texts: what is alike, and that the sketches propose it."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tunewright.text.similar import alike, candidates, sketch


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


def _pairs(texts: list[str]) -> set[tuple[int, int]]:
    lengths = np.array([len(t) for t in texts])
    return {tuple(p) for p in candidates(sketch(texts), lengths, np.arange(len(texts))).tolist()}


def test_what_is_cheap_to_see_never_loses_a_pair() -> None:
    draw = random.Random(3)
    lost, seen = [], 0
    for length in (*range(10, 200, 3), 4_990, 5_003, 6_000):
        text = "".join(draw.choices("etaoin shrdlu 07é字", k=length))
        for _ in range(6):
            # Up to a tenth of the characters go or come, as `alike` allows.
            other = [*text]
            for _ in range(draw.randint(0, max(1, length // 6))):
                if draw.random() < 0.5:
                    other.pop(draw.randrange(len(other)))
                else:
                    other.insert(draw.randrange(len(other) + 1), draw.choice("etaoin shrdlu é字"))
            # What stands in one alone counts most, so half of them grow at the end as well.
            changed = "".join(other) + "z" * draw.choice((0, length // 10, length // 8, length // 5))
            shared = (sketch([text])[0, :32] == sketch([changed])[0, :32]).any()
            if shared and alike([text], [changed])[0]:
                seen += 1
                lost += [(text, changed)] * ((0, 1) not in _pairs([text, changed]))
    assert seen > 100 and not lost


def test_texts_with_other_letters_or_numbers_are_not_proposed() -> None:
    asked = "please tell me the whole truth about order number 5317 and its late delivery"
    assert _pairs([asked, asked + " now"]) == {(0, 1)}
    assert _pairs([asked, asked.replace("5317", "5318")]) == set()
    assert _pairs([asked, asked + " " + "z" * 20]) == set()


def _crowd(rows: int, kinds: int) -> np.ndarray:
    """Sketches in which each band has few values, as when a million rows speak alike."""
    sketches = np.zeros((rows, 41), np.uint32)
    sketches[:, :32] = np.random.default_rng(5).integers(0, kinds, (rows, 32))
    return sketches


def test_near_texts_find_each_other_in_a_crowd() -> None:
    """Fifty rows share each band; those that share the next band too stand side by side."""
    sketches = _crowd(3000, 60)
    sketches[1500:1600] = sketches[:100]
    found = {tuple(p) for p in candidates(sketches, np.full(3000, 50), np.arange(3000)).tolist()}
    assert sum((i, 1500 + i) in found for i in range(100)) == 100


def test_in_a_crowd_pairs_grow_with_rows() -> None:
    """Every row could be paired with four others in each of 32 bands; what has plenty looks for no more."""
    for rows in (2000, 4000):
        assert len(candidates(_crowd(rows, 10), np.full(rows, 50), np.arange(rows))) <= 40 * rows
