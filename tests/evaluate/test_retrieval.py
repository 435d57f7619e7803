"""Looking things up: by words, by vectors, by both; and how often that found the answer."""

import numpy as np
import pytest

from tunewright.errors import RecipeError
from tunewright.evaluate import Library
from tunewright.evaluate.retrieval import Dense, cut, fused
from tunewright.records import Case

from .conftest import example

# Vectors of three texts: one axis a topic, and a large part that all of them share.
TOPICS = {"parcel": 0, "package": 0, "money": 1, "refund": 1, "hours": 2, "open": 2}


def embed(texts):
    made = np.zeros((len(texts), 4), np.float32)
    made[:, 3] = 9.0
    for row, text in zip(made, texts, strict=True):
        for word, axis in TOPICS.items():
            row[axis] += word in text.lower()
    return made / np.linalg.norm(made, axis=1, keepdims=True)


@pytest.fixture
def handbook(tmp_path):
    (tmp_path / "a.md").write_text("A package may be sent back within 30 days.")
    (tmp_path / "b.md").write_text("A refund is paid at once.")
    (tmp_path / "c.md").write_text("We open at nine.")
    return tmp_path


def case(text, expected, name="c"):
    return Case(id=name, messages=({"role": "user", "content": text},), expected=expected)


def test_vectors_find_what_shares_no_word(handbook):
    words = Library([], handbook, passages=1)
    dense = Library([], handbook, passages=1, retrieval="dense", embed=embed)
    assert dense.find("my parcel") == ["a: A package may be sent back within 30 days."]
    assert dense.find("money") == ["b: A refund is paid at once."]
    assert words.find("refund") == ["b: A refund is paid at once."]


def test_recall_is_told_for_every_way_that_can_be_taken(handbook):
    cases = [case("parcel", "30 days"), case("money", "at once", "d"), case("refund", "at once", "e")]
    hybrid = Library([], handbook, passages=1, retrieval="hybrid", embed=embed)
    found = {r.retrieval: r for r in hybrid.recalls(cases)}
    assert list(found) == ["bm25", "dense", "hybrid"]
    assert found["dense"].recall == 1.0 and found["dense"].k == 1 and found["dense"].passages == 3
    assert found["bm25"].recall == pytest.approx(2 / 3)  # no word of "money" is known: the first passage is given
    assert [r.used for r in found.values()] == [False, False, True]
    assert found["bm25"].low < found["bm25"].recall < found["bm25"].high
    assert [r.retrieval for r in Library([], handbook).recalls(cases)] == ["bm25"]
    assert Library([], handbook).recalls([case("x", " ")]) == []
    # "one" stands in "money", not as a word of what was found.
    (handbook / "a.md").write_text("Money matters.")
    assert Library([], handbook).recalls([case("money", "one")])[0].recall == 0.0


def test_the_shared_part_of_all_vectors_is_taken_off():
    texts = ["parcel", "money", "hours"]
    near = Dense(texts, embed)
    assert [near.best(text, 1) for text in ("package", "refund", "open")] == [[0], [1], [2]]


def test_two_orders_are_fused_by_reciprocal_rank():
    assert fused([[0, 1, 2], [0, 1, 2]]) == [0, 1, 2]
    assert fused([[0, 1, 2], [2, 1, 0]]) == [0, 2, 1]  # 1/61 + 1/63 is more than 2/62
    assert fused([[5, 7], [7, 5]]) == [5, 7]


def test_chunks_hold_as_many_words_as_asked(tmp_path):
    text = " ".join(str(i) for i in range(100)) + "\n\nshort one"
    made = cut(text, 30, 10)
    assert [len(p.split()) for p in made] == [30, 30, 30, 30, 22]
    assert made[0].split()[-10:] == made[1].split()[:10]
    (tmp_path / "x.txt").write_text(text)
    assert len(Library([], tmp_path / "x.txt", words=30, overlap=10).texts) == 5


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(RecipeError, match="overlap"):
        Library([example("q", "a", "r:1")], words=20, overlap=20)
    with pytest.raises(RecipeError, match="embeds"):
        Library([example("q", "a", "r:1")], retrieval="dense")
