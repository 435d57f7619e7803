"""K19: the judge is asked in both orders, flips are reported, and an uncalibrated judge cannot gate."""

import json
import random
from pathlib import Path

import pytest

from tunewright.records import Calibration
from tunewright.review import Judgement, Pair, calibrate, judge_gate, judge_pairs

LLMBAR = Path(__file__).resolve().parents[3] / "shared/data/llmbar"


def pairs(n, human="first"):
    return [Pair(f"q{i}", f"good {i}", f"bad {i}", human) for i in range(n)]


def test_both_orders_are_asked_and_a_judge_that_likes_the_first_flips_always():
    asked = []

    def first_is_better(prompts):
        asked.extend(prompts)
        return ["(a)"] * len(prompts)

    found = judge_pairs(pairs(40), first_is_better, "be right")
    assert len(asked) == 80
    assert asked[0].index("good 0") < asked[0].index("bad 0")
    assert asked[1].index("bad 0") < asked[1].index("good 0")
    assert all(j.flipped and j.winner is None for j in found)
    measured = calibrate(pairs(40), found)
    assert (measured.accuracy, measured.flip_rate, measured.first_share) == (0.5, 1.0, 1.0)
    assert judge_gate(found, measured).ok is None


def test_verdicts_are_read_strictly():
    said = ["(A) is better", "b", "both (a) and (b)", "no idea", "Output (b)", "(a)", "**A**: it is right", "[[B]]\n"]
    words = iter([*said, "A good answer would say why.", "a better one is hard to find"])
    found = judge_pairs(pairs(5), lambda prompts: [next(words) for _ in prompts], "r")
    first, second, none = Judgement("first", "first"), Judgement("second", "second"), Judgement(None, None)
    assert found == [first, none, second, first, none]


def perfect(n):
    rng = random.Random(0)
    rows = [Pair("q", "x", "y", rng.choice(["first", "second"])) for _ in range(n)]
    return rows, [Judgement(p.human, p.human) for p in rows]


def test_an_uncalibrated_judge_cannot_gate_whatever_it_says():
    unanimous = [Judgement("first", "first")] * 100
    assert judge_gate(unanimous, None).ok is None
    few = calibrate(*perfect(20))
    assert few.accuracy == 1.0
    assert judge_gate(unanimous, few).ok is None
    weak = Calibration(pairs=200, accuracy=0.6, low=0.5, high=0.7, kappa=0.2, kappa_low=0.1, kappa_high=0.3,
                       flip_rate=0.3, first_share=0.6)  # fmt: skip
    assert judge_gate(unanimous, weak).ok is None
    assert judge_gate(unanimous, calibrate(*perfect(60))).ok is True
    assert judge_gate([Judgement("second", "second")] * 100, calibrate(*perfect(60))).ok is False
    mixed = [Judgement("first", "first"), Judgement("second", "second")] * 20
    assert judge_gate(mixed, calibrate(*perfect(60))).ok is None
    # A hundred cases of four sources are four witnesses: too few to tell, whichever way they all go.
    for way in ("first", "second"):
        told = judge_gate([Judgement(way, way)] * 100, calibrate(*perfect(60)), clusters=[i % 4 for i in range(100)])
        assert (
            told.ok is None and told.message != judge_gate([Judgement(way, way)] * 100, calibrate(*perfect(60))).message
        )


def test_kappa_is_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = random.Random(1)
    rows = [Pair("q", "x", "y", rng.choice(["first", "second"])) for _ in range(200)]
    found = [
        Judgement(*(p.human if rng.random() < 0.8 else rng.choice(["first", "second"]) for _ in range(2))) for p in rows
    ]
    measured = calibrate(rows, found)
    said = [v for j in found for v in (j.as_given, j.swapped)]
    assert measured.kappa == pytest.approx(metrics.cohen_kappa_score(said, [p.human for p in rows for _ in range(2)]))
    assert measured.kappa_low < measured.kappa < measured.kappa_high


@pytest.mark.skipif(not LLMBAR.is_dir(), reason="needs the shared data")
def test_recorded_judges_on_llmbar():
    """Two real judges: the strong one is near the published 95 % on Natural, the weak one flips with the order."""
    measured = {}
    for judge in ("GPT-4", "LLaMA2"):
        rows, verdicts = [], []
        for one in json.loads((LLMBAR / f"judged_Natural_{judge}_Vanilla.json").read_text()):
            sides = {"1": "first", "2": "second"}
            rows.append(Pair(one["input"], one["output_1"], one["output_2"], sides[str(one["label"])]))
            result = one["results"][0]
            verdicts.append(Judgement(*(sides.get(result[f"swap = {s}"]["winner"]) for s in (False, True))))
        measured[judge] = (calibrate(rows, verdicts), verdicts)
    strong, weak = measured["GPT-4"][0], measured["LLaMA2"][0]
    assert strong.pairs == weak.pairs == 100
    assert strong.accuracy > 0.9 and strong.kappa_low > 0.7 and strong.flip_rate < 0.1
    assert weak.accuracy < strong.low and weak.flip_rate > 2 * strong.flip_rate
    # Checked by hand from the recorded verdicts: accuracy is the mean over both orders.
    assert (strong.accuracy, weak.accuracy, weak.flip_rate) == pytest.approx((0.955, 0.805, 0.21))
    assert judge_gate(measured["GPT-4"][1], None).ok is None
