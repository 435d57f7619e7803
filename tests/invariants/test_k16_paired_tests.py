"""K16: paired tests on paired data; A/A experiments are called a difference at no more than the nominal rate."""

import numpy as np
import pytest
from scipy.stats import binomtest

from tunewright.evaluate.verdict import compare
from tunewright.records import Prediction
from tunewright.statistics import mcnemar


def rows(arm, scores):
    return [Prediction(case=str(i), arm=arm, text="", score=float(s), seconds=0) for i, s in enumerate(scores)]


@pytest.mark.parametrize("kind", ["right_or_wrong", "graded"])
@pytest.mark.parametrize("cases", [30, 120])
def test_a_a_experiments_reject_at_no_more_than_alpha(kind, cases):
    rng = np.random.default_rng(cases)
    calls = 0
    trials = 300
    for trial in range(trials):
        hard = rng.random(cases)
        draw = [hard + rng.normal(0, 0.3, cases) for _ in range(2)]
        if kind == "right_or_wrong":
            a, b = ((x > 0.5).astype(float) for x in draw)
        else:
            a, b = (np.clip(x, 0, 1) for x in draw)
        verdict = compare(rows("tuned", a), rows("base", b), "base", seed=trial)
        calls += verdict.decision == "ship" or (verdict.decision == "do_not_ship" and verdict.p < 0.05)
    # Nominal 5 %; the 99.9 % bound of a binomial of 300 trials at 5 % is 29.
    assert calls <= 29


def test_power_a_real_gain_is_found_and_pairing_is_what_finds_it():
    rng = np.random.default_rng(0)
    found = 0
    for trial in range(100):
        hard = rng.random(200)
        base = (hard > 0.5).astype(float)
        tuned = (hard > 0.4).astype(float)  # right on all that base gets right, and a tenth more
        found += compare(rows("tuned", tuned), rows("base", base), "base", seed=trial).decision == "ship"
    assert found == 100
    # Unpaired, 100 against 120 of 200 is p = 0.056: the pairing carries the evidence.


def test_mcnemar_is_scipys_exact_test():
    for b in range(12):
        for c in range(12):
            expected = binomtest(b, b + c).pvalue if b + c else 1.0
            assert mcnemar(b, c) == pytest.approx(expected)
