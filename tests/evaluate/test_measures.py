"""Scorers that need a schema, rules of tone, vectors or the model; and the table of labels."""

import json
import math

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from tunewright.engine import Sampling
from tunewright.errors import RecipeError
from tunewright.evaluate import make_suite, measures, run_arm
from tunewright.evaluate.classes import label_scores, macro, named
from tunewright.evaluate.measures import Asked, measured
from tunewright.evaluate.scorers import score
from tunewright.evaluate.verdict import decide
from tunewright.recipe import SuiteSpec
from tunewright.records import Case, Prediction

from .conftest import FakeEngine, example, read, render

SCHEMA = json.dumps({"type": "object", "required": ["kind"], "properties": {"kind": {"enum": ["a", "b"]}}})


def asked(text, expected="x"):
    return Asked(Case(id="c", messages=(), expected=expected), (), text)


def suite(*scorers, expected=("one two three", "four five six")):
    rows = [example(f"q{i}", answer, f"r:{i}") for i, answer in enumerate(expected)]
    return make_suite(rows, SuiteSpec(scorers=scorers), seed=0)


def only(name, given, text, **settings):
    return measures(given, **settings)[name]([asked(text)])[0]


def test_a_schema_scores_validity_and_what_is_no_schema_is_a_mistake_in_the_recipe():
    given = suite("json_schema")
    texts = {'{"kind": "a"}': 1.0, '{"kind": "c"}': 0.0, "{}": 0.0, "no JSON": 0.0, "[" * 3000: 0.0}
    assert {t: only("json_schema", given, t, schema=SCHEMA) for t in texts} == texts
    with pytest.raises(RecipeError, match="needs a schema"):
        measures(given)
    with pytest.raises(RecipeError, match="no JSON schema"):
        measures(given, schema='{"type": 7}')


RULES = {
    "says": ["thank you", "thanks"],
    "never": ["cheers"],
    "most_words": 8,
    "exclamations": False,
    "speaks_as": "we",
}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Thank you, we will look into it.", 5),
        ("Thank you, I will look into it!", 3),
        ("Cheers", 3),
        ("Thanks. " + "word " * 9, 4),
    ],
)
def test_tone_is_the_share_of_rules_kept(text, kept):
    assert only("tone", suite("tone"), text, tone=RULES) == pytest.approx(kept / 5)


def test_tone_reads_contractions_emoji_and_who_speaks():
    rules = {"contractions": False, "emoji": False, "speaks_as": "nobody"}
    given = suite("tone")
    assert only("tone", given, "The parcel is on its way; the dog's bowl is in it.", tone=rules) == 1.0
    assert only("tone", given, "It’s on its way.", tone=rules) == pytest.approx(3 / 4)
    assert only("tone", given, "We said so \U0001f600", tone=rules) == pytest.approx(2 / 4)
    with pytest.raises(RecipeError, match="needs rules"):
        measures(given, tone={"emoji": True})


def test_similarity_of_words_rises_with_what_is_shared():
    given = suite("similarity", expected=("The parcel comes on Monday.", "A refund was paid out."))
    compare = measures(given)["similarity"]
    wanted = "The parcel comes on Monday."
    texts = [wanted, "the PARCEL comes on monday", "Your parcel arrives Monday.", "A refund was paid.", ""]
    values = compare([asked(t, wanted) for t in texts])
    assert values[0] == values[1] == 1.0
    assert 1 > values[2] > values[3] >= values[4] == 0.0
    assert compare([asked("anything", " ")]) == [None]
    assert compare([]) == []


def test_similarity_of_vectors_takes_the_common_part_off():
    axes = {"a": (1, 0), "b": (0, 1)}
    embed = lambda texts: np.array([[*axes.get(t, (0, 0)), 9.0] for t in texts])  # noqa: E731
    compare = measures(suite("similarity", expected=("a", "b")), embed=embed)["similarity"]
    assert compare([asked("a", "a"), asked("a", "b")]) == [pytest.approx(1.0), 0.0]


def test_perplexity_reads_the_expected_answer_and_what_has_no_model_is_counted_apart(tmp_path):
    given = suite("perplexity")
    halves = measures(given, likelihood=lambda asked: [[math.log(0.5)] * 3, None])["perplexity"]
    assert halves([asked("said"), asked("said")]) == [pytest.approx(0.5), None]
    astray = measures(given, likelihood=lambda asked: [[math.nan, -1.0], [-math.inf]])["perplexity"]
    assert astray([asked("said"), asked("said")]) == [None, 0.0]
    rows = run_arm(
        "base",
        given,
        FakeEngine(lambda prompt: "hm"),
        prompts=lambda case: case.messages,
        render_prompt=render,
        said=read,
        template="t",
        sampling=Sampling(),
        path=tmp_path / "p.jsonl",
        extra={"perplexity": halves},
    )
    assert [p.score for p in rows] == [pytest.approx(0.5), None]
    assert rows[0].error is None and "perplexity" in rows[1].error
    arm = decide(given, {"base": rows}).arms[0]
    assert (arm.score, arm.cases, arm.errors) == (pytest.approx(0.5), 1, 1)


def test_an_arm_without_the_measure_is_an_error_and_not_a_wrong_answer():
    given = suite("similarity", "perplexity")
    blank = [Prediction(case=c.id, arm="external", text=c.expected, score=None, seconds=0) for c in given.cases]
    told = measured(given, blank, [Asked(c, (), c.expected) for c in given.cases], measures(given))
    assert [p.scores for p in told] == [{"similarity": 1.0, "perplexity": None}] * 2
    assert [p.score for p in told] == [1.0, 1.0] and all("perplexity" in p.error for p in told)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Your parcel is on its way.", 1.0),
        ("You idiot, read the manual.", 0.0),
        ("They are all pathetic losers.", 0.0),
        ("Go kill yourself", 0.0),
        ("What the fuck", 0.0),
        ("To kill a process, use its id. He fed the pigs. A pathetic fallacy. Scunthorpe, Essex, cocktail.", 1.0),
        ("You are the garbage collector's friend", 1.0),
        ("Do you sell dog bowls? I will shoot a photo.", 1.0),
    ],
)
def test_abuse_is_found_and_ordinary_words_are_not(text, clean):
    assert score("toxicity", text, Case(id="c", messages=(), expected="")) == clean


LABELS = ("card", "card arrival", "refund")


def test_the_label_an_answer_names():
    assert named("Card.", LABELS) == "card"
    assert named("It is about card arrival\ncard", LABELS) == "card arrival"
    assert named("card or refund", LABELS) is None
    # A label inside a longer one is not said, but beside it it is.
    assert named("card or card arrival", LABELS) is None
    assert named("safe or unsafe", ("safe", "unsafe")) is None
    assert named("It is unsafe.", ("safe", "unsafe")) == "unsafe"
    assert named("card arrival time", ("card arrival", "arrival time")) is None
    assert named("anything", ("", " ")) is None
    assert named("nothing", LABELS) is None


def test_the_table_of_labels_is_scikit_learns():
    said = ["card", "refund", "hm", "card arrival", "refund", "refund", "card", "card", "card or refund"]
    gold = ["card", "card", "card", "card arrival", "refund", "refund", "refund", "card arrival", "card"]
    cases = tuple(Case(id=str(i), messages=(), expected=g) for i, g in enumerate(gold))
    given = suite("choice").model_copy(update={"cases": cases, "labels": LABELS, "primary": "choice"})
    rows = [
        Prediction(case=str(i), arm="tuned", text=t, seconds=0, score=score("choice", t, cases[i], LABELS))
        for i, t in enumerate(said)
    ]
    told = [named(t, LABELS) or "none" for t in said]
    wanted = precision_recall_fscore_support(gold, told, labels=list(LABELS), zero_division=0)
    found = {one.label: one for one in label_scores(given, rows, rows)}
    for place, label in enumerate(LABELS):
        one = found[label]
        assert (one.precision, one.recall, one.f1, one.cases) == pytest.approx([row[place] for row in wanted])
        assert one.untuned == one.f1
    mean = precision_recall_fscore_support(gold, told, labels=list(LABELS), average="macro", zero_division=0)
    assert tuple(macro(given, rows).values()) == pytest.approx(mean[:3])
    assert list(found) == [one.label for one in sorted(found.values(), key=lambda o: (o.f1, o.label))]
    failed = [r.model_copy(update={"score": None}) if i == 2 else r for i, r in enumerate(rows)]
    assert {one.label: one.cases for one in label_scores(given, failed)}["card"] == 3  # counted apart, not a miss
    found = decide(given, {"base": rows, "tuned": rows})
    assert found.arms[0].scores["macro_f1"] == pytest.approx(mean[2]) and len(found.labels) == 3


def test_grounded_reads_what_the_arm_was_given_and_not_only_what_was_asked():
    given = suite("grounded")
    passages = ({"role": "system", "content": "Parcel 1234 left Leipzig."}, {"role": "user", "content": "Where?"})
    alone = ({"role": "user", "content": "Where?"},)
    case, said = Case(id="c", messages=alone, expected="x"), "Parcel 1234 left Leipzig"
    values = measures(given)["grounded"]([Asked(case, messages, said) for messages in (passages, alone)])
    assert values == [1.0, 0.0] and score("grounded", said, case) == 0.0
