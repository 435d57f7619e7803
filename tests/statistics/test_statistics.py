"""Our arithmetic against scipy's, published worked examples, and simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from tunewright.statistics import adjust, agreement, bootstrap, cases_needed, detectable, mcnemar, permutation, wilson


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_binomial_test(b, c):
    expected = binomtest(b, b + c).pvalue if b + c else 1.0
    assert math.isclose(mcnemar(b, c), expected, rel_tol=1e-9)
    assert mcnemar(b, c) == mcnemar(c, b)


@settings(deadline=None)
@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(pair):
    k, n = pair
    ours = wilson(k, n)
    theirs = binomtest(k, n).proportion_ci(method="wilson")
    assert ours.low == pytest.approx(theirs.low, abs=1e-12)
    assert ours.high == pytest.approx(theirs.high, abs=1e-12)


def test_bootstrap_covers_the_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(3)
    hits = 0
    for trial in range(200):
        found = bootstrap(rng.normal(1.0, 2.0, size=60), seed=trial, resamples=1000)
        hits += found.low <= 1.0 <= found.high
    assert 0.90 <= hits / 200 <= 0.99


def test_bootstrap_by_counts_and_by_draws_are_the_same_law():
    few = [0.0, 1.0] * 100
    many = [v + i * 1e-9 for i, v in enumerate(few)]  # all distinct: the other branch
    a, b = bootstrap(few), bootstrap(many)
    assert a.low == pytest.approx(b.low, abs=0.02) and a.high == pytest.approx(b.high, abs=0.02)


def test_clustered_bootstrap_is_wider_when_cases_of_a_source_agree():
    rng = np.random.default_rng(0)
    per_source = rng.integers(0, 2, size=20)
    values = [float(v) for v in per_source for _ in range(10)]
    clusters = [s for s in range(20) for _ in range(10)]
    plain, clustered = bootstrap(values), bootstrap(values, clusters=clusters)
    assert clustered.high - clustered.low > 2 * (plain.high - plain.low)
    assert clustered.mean == plain.mean


def test_bootstrap_refuses_nothing_and_uneven_clusters():
    with pytest.raises(ValueError):
        bootstrap([])
    with pytest.raises(ValueError):
        bootstrap([1.0], clusters=[1, 2])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40), st.integers(0, 5))
def test_negating_the_values_negates_the_interval_and_keeps_p(values, seed):
    a, b = bootstrap(values, seed=seed, resamples=500), bootstrap([-v for v in values], seed=seed, resamples=500)
    assert (a.mean, a.low, a.high) == (-b.mean, -b.high, -b.low)
    assert permutation(values, seed=seed, resamples=500) == permutation([-v for v in values], seed=seed, resamples=500)


def test_permutation_is_exact_for_few_and_close_to_it_for_many():
    # Three equal gains: of 8 sign patterns the two one-sided ones are as extreme.
    assert permutation([1.0, 1.0, 1.0]) == 0.25
    assert permutation([0.0, 0.0]) == 1.0
    # 0/1 differences: the sign-flip test is McNemar's exact test.
    assert permutation([1.0] * 12 + [-1.0] * 3) == pytest.approx(mcnemar(12, 3), abs=0.01)


def test_permutation_flips_a_source_as_a_whole():
    # Ten differences of two sources that agree within each: only four sign patterns there are.
    assert permutation([1.0] * 5 + [1.0] * 5, clusters=["a"] * 5 + ["b"] * 5) == 0.5
    assert permutation([1.0, -1.0, 1.0, -1.0], clusters=["a", "a", "b", "b"]) == 1.0
    values = [0.3, -0.1, 0.2, 0.4]
    assert permutation(values, clusters=range(4)) == permutation(values)


def test_holm_on_a_worked_example():
    # R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    p = [0.01, 0.04, 0.03, 0.005]
    assert adjust(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert adjust([]) == []


def test_power_finds_an_effect_of_the_detectable_size_about_four_times_in_five():
    rng = np.random.default_rng(1)
    effect = detectable(100, 1.0)
    assert cases_needed(effect, 1.0) == pytest.approx(100, abs=1)
    found = 0
    for _ in range(400):
        d = rng.normal(effect, 1.0, size=100)
        found += abs(d.mean()) / (d.std(ddof=1) / 10) > 1.984
    assert 0.73 <= found / 400 <= 0.87
    assert cases_needed(0.0, 1.0) is None
    assert cases_needed(1e-300, 1.0) is None
    assert cases_needed(0.5, 0.0) == 2


def test_krippendorff_on_the_published_example():
    # Krippendorff 2011, three coders, fifteen units, gaps: nominal 0.691, interval 0.811.
    x = None
    a = [x, x, x, x, x, 3, 4, 1, 2, 1, 1, 3, 3, x, 3]
    b = [1, x, 2, 1, 3, 3, 4, 3, x, x, x, x, x, x, x]
    c = [x, x, 2, 1, 3, 4, 4, x, 2, 1, 1, 3, 3, x, 4]
    rows = list(zip(a, b, c, strict=True))
    assert agreement(rows).krippendorff == pytest.approx(0.691, abs=5e-4)
    assert agreement(rows, scale="interval").krippendorff == pytest.approx(0.811, abs=5e-4)
    assert agreement(rows).fleiss is None and agreement(rows).cohen is None


def test_fleiss_on_the_published_example():
    # Fleiss 1971 as worked in the literature: 10 items, 14 raters, 5 categories, kappa 0.210.
    counts = [
        (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
        (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
    ]  # fmt: skip
    rows = [[k for k, n in enumerate(row) for _ in range(n)] for row in counts]
    assert agreement(rows).fleiss == pytest.approx(0.210, abs=5e-4)


def test_cohen_on_the_published_example():
    # 50 proposals, two readers: 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no; kappa 0.4.
    rows = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    found = agreement(rows)
    assert found.cohen == pytest.approx(0.4)
    assert found.observed == pytest.approx(0.7)


def test_agreement_needs_an_item_rated_twice():
    with pytest.raises(ValueError):
        agreement([["a", None], [None, "b"]])
