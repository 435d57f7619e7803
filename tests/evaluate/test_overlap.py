"""Scorers of prose, against rouge-score and sacrebleu, on made-up and hostile text."""

import importlib.util
import json
import random
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.evaluate.scorers import score
from tunewright.records import Case

WORDS = ["the", "patient", "reports", "no", "pain", "in", "left", "knee", "since", "May", "3rd", "aspirin", "81", "mg"]


def case(expected, given="?"):
    return Case(id="c", messages=({"role": "user", "content": given},), expected=expected)


ASK_ROUGE_SCORE = """
import json, sys
from rouge_score.rouge_scorer import RougeScorer
scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
found = [{k: v.fmeasure for k, v in scorer.score(a, b).items()} for a, b in json.load(sys.stdin)]
print(json.dumps(found))
"""


def test_rouge_is_rouge_scores():
    # In a process of its own: what rouge-score imports takes over the logging of the process it is in.
    if importlib.util.find_spec("rouge_score") is None:
        pytest.skip("rouge-score is not installed")
    rng = random.Random(0)
    pairs = [
        [" ".join(rng.choices(WORDS, k=rng.randrange(0, 25))) + rng.choice([".", "!", ""]) for _ in range(2)]
        for _ in range(200)
    ]
    asked = subprocess.run(
        [sys.executable, "-c", ASK_ROUGE_SCORE], input=json.dumps(pairs), capture_output=True, text=True, check=True
    )
    for (a, b), theirs in zip(pairs, json.loads(asked.stdout.splitlines()[-1]), strict=True):
        for ours, key in (("rouge_1", "rouge1"), ("rouge_2", "rouge2"), ("rouge_l", "rougeL")):
            assert score(ours, b, case(a)) == pytest.approx(theirs[key])


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_the_longest_common_subsequence_is_the_textbook_one(a, b):
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a, 1):
        for j, y in enumerate(b, 1):
            table[i][j] = table[i - 1][j - 1] + 1 if x == y else max(table[i - 1][j], table[i][j - 1])
    longest = table[-1][-1]
    expected = 2 * longest / (len(a) + len(b)) if a and b else 0.0
    assert score("rouge_l", " ".join(a), case(" ".join(b))) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "text", "expected", "wanted"),
    [
        ("precision", "a b c d", "a b", 0.5),
        ("recall", "a b c d", "a b", 1.0),
        ("f1", "a b c d", "a b", 2 / 3),
        ("f1", "", "", 1.0),
        ("f1", "", "a", 0.0),
        ("contains", "It is Paris, surely.", "Paris", 1.0),
        ("contains", "Parisian", "Paris", 0.0),
        ("contains", "It takes (30 days).", "30 days", 1.0),
        ("contains", "130 days", "30 days", 0.0),
        ("contains", "I know", "no", 0.0),
        ("contains", "答案是三十天。", "三十天", 1.0),
        ("ter", "a b c", "a b c", 1.0),
        ("ter", "x y z w", "a", 0.0),
        ("bleu", "the knee hurts a lot today", "the knee hurts a lot today", 1.0),
        ("chrf", "zzz", "aaa", 0.0),
        ("rouge_l", "Ärzte HELFEN", "ärzte helfen", 1.0),
    ],
)
def test_by_example(name, text, expected, wanted):
    assert score(name, text, case(expected)) == pytest.approx(wanted)


def test_grounded_counts_what_the_model_was_given():
    asked = case("", "The parcel 1234 left Leipzig on Monday")
    assert score("grounded", "Parcel 1234 left Leipzig", asked) == 1.0
    assert score("grounded", "Parcel 9999 left Hamburg", asked) == pytest.approx(0.5)
