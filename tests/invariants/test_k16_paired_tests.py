"""K16: paired tests on paired data; A/A experiments are called a difference at no more than the nominal rate."""

import numpy as np
import pytest
from scipy.stats import binomtest

from tunewright.evaluate.verdict import compare, decide
from tunewright.records import Case, Prediction, Suite
from tunewright.statistics import adjust, mcnemar


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


@pytest.mark.parametrize("kind", ["right_or_wrong", "graded"])
def test_a_a_experiments_with_cases_that_share_a_source_reject_at_no_more_than_alpha(kind):
    """Forty sources of five cases that go right or wrong together: taken as 200 cases, chance looks like evidence."""
    rng = np.random.default_rng(7)
    groups = {str(i): f"source {i // 5}" for i in range(200)}
    calls = {"grouped": 0, "plain": 0}
    for trial in range(80):
        shared = [np.repeat(rng.normal(0, 1, 40), 5) + rng.normal(0, 0.3, 200) for _ in range(2)]
        if kind == "right_or_wrong":
            a, b = ((x > 0).astype(float) for x in shared)
        else:
            a, b = (1 / (1 + np.exp(-x)) for x in shared)
        for name, given in (("grouped", groups), ("plain", None)):
            verdict = compare(rows("tuned", a), rows("base", b), "base", seed=trial, groups=given)
            calls[name] += verdict.p < 0.05
    assert calls["grouped"] <= 11  # the 99.9 % bound of a binomial of 80 trials at 5 %
    assert calls["plain"] > 16  # the test would notice


def test_several_rivals_are_corrected_for_and_swapping_grouped_arms_swaps_the_sign():
    rng = np.random.default_rng(2)
    cases = tuple(Case(id=str(i), messages=(), expected="x", group=f"g{i // 2}") for i in range(60))
    suite = Suite(id="s", cases=cases, scorers=("exact",), primary="exact")
    tuned, base, shot = (rows(n, rng.random(60)) for n in ("tuned", "base", "few_shot"))
    found = decide(suite, {"base": base, "few_shot": shot, "tuned": tuned})
    alone = [compare(tuned, other, "x", groups=suite.sources).p for other in (base, shot)]
    assert sorted(c.p for c in found.comparisons) == pytest.approx(sorted(adjust(alone)))
    assert {c.cases for c in found.comparisons} == {60}
    one, other = (compare(*arms, "x", groups=suite.sources) for arms in ((tuned, base), (base, tuned)))
    assert (one.difference, one.low, one.high, one.p) == (-other.difference, -other.high, -other.low, other.p)
    assert one.detectable == pytest.approx(other.detectable) and one.detectable > 0


def test_the_effect_said_to_be_detectable_is_found_about_four_times_in_five():
    rng = np.random.default_rng(5)
    pilot = compare(rows("t", rng.normal(0.5, 0.2, 4000)), rows("b", rng.normal(0.5, 0.2, 4000)), "b")
    effect = pilot.detectable * np.sqrt(4000 / 100)  # for a hundred cases that spread as these do
    found = 0
    for trial in range(80):
        a, b = rng.normal(0.5 + effect, 0.2, 100), rng.normal(0.5, 0.2, 100)
        found += compare(rows("t", a), rows("b", b), "b", seed=trial).p < 0.05
    assert 0.66 <= found / 80 <= 0.92
