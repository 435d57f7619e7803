"""The curve behind scores by rows: a known one is found again, and what does not carry a curve is refused."""

from __future__ import annotations

import numpy as np
import pytest

from tunewright.growth import Cost, PowerLaw, fit_power_law, growth, said
from tunewright.report import growth_page

SIZES = (33, 82, 165, 330)
TRUE = PowerLaw(ceiling=0.92, gap=0.15, exponent=0.6, unit=330)


def trials(law=TRUE, sizes=SIZES, *, seeds=2, cases=200, noise=0.01, seed=0):
    """Right or wrong by case: hard cases are hard for every trial, and each trial has luck of its own."""
    rng = np.random.default_rng(seed)
    hardness = rng.random(cases)
    return [
        (n, [float(h < law.at(n) + luck) for h in np.clip(hardness + rng.normal(0, 0.03, cases), 0, 1)])
        for _ in range(seeds)
        for n in sizes
        for luck in [rng.normal(0, noise)]
    ]


def twice(sizes, shares, cases=900):
    """Two trials a size that got the same share of the cases right."""
    right = [round(share * cases) for share in shares]
    return 2 * [(n, [1.0] * k + [0.0] * (cases - k)) for n, k in zip(sizes, right, strict=True)]


@pytest.mark.parametrize("exponent", [0.1, 0.3, 0.6, 1.2])
@pytest.mark.parametrize("ceiling", [0.4, 0.8, 1.0])
def test_exact_points_give_their_curve_back(exponent, ceiling):
    true = PowerLaw(ceiling, 0.1, exponent, 1000)
    sizes = (50, 125, 250, 500, 1000)
    found = fit_power_law(sizes, [true.at(n) for n in sizes])
    assert found.at(2000) == pytest.approx(true.at(2000), abs=1e-4)
    assert found.rows_for(true.at(1500)) == pytest.approx(1500, rel=0.01)


def test_noisy_points_hold_the_truth_in_their_intervals_nearly_always():
    """95 % intervals of the score and of the gain at twice the rows, over forty draws of cases and luck."""
    gain = TRUE.at(660) - TRUE.at(330)
    found = [growth(trials(seed=k), scorer="choice", resamples=300).expected for k in range(40)]
    told = [e for e in found if e is not None]
    assert len(told) >= 36
    assert np.mean([e.low <= TRUE.at(660) <= e.high for e in told]) >= 0.85
    assert np.mean([e.gain_low <= gain <= e.gain_high for e in told]) >= 0.85
    assert np.mean([e.score for e in told]) == pytest.approx(TRUE.at(660), abs=0.02)


def test_one_trial_a_size_leaves_more_open_than_three():
    one = growth(trials(seeds=1, noise=0.03), scorer="choice")
    three = growth(trials(seeds=3, noise=0.01), scorer="choice")
    assert three.expected
    if one.expected:
        assert one.expected.high - one.expected.low > three.expected.high - three.expected.low


def test_rows_for_a_wanted_score():
    points = trials(seeds=3, cases=2000, noise=0.002)
    reached = growth(points, scorer="choice", target=0.6).needed
    assert reached and reached.decision == "reached" and reached.rows and reached.rows < 330
    more = growth(points, scorer="choice", target=0.8).needed
    assert more and more.decision == "reachable" and more.low and more.rows and more.high
    assert more.low <= more.rows <= more.high and more.rows == pytest.approx(TRUE.rows_for(0.8), rel=0.25)
    never = growth(points, scorer="choice", target=0.99).needed
    assert never and never.decision == "out_of_reach" and never.rows is None


def test_worth_its_cost_or_not_or_not_to_be_told():
    points = trials(seeds=3, cases=2000, noise=0.002)
    plain = growth(points, scorer="choice", cost=Cost(2, 60)).worth
    assert plain and plain.cost == 330 * 2 / 60 * 60 and plain.decision is None
    gain = 100 * (TRUE.at(660) - TRUE.at(330))
    assert plain.per_point == pytest.approx(660 / gain, rel=0.2)
    decisions = [growth(points, scorer="choice", cost=Cost(2, 60, value)).worth for value in (1000.0, 1.0, 660 / gain)]
    assert [w.decision for w in decisions if w] == ["worth_it", "not_worth_it", "cannot_tell"]
    told = said(growth(points, scorer="choice", cost=Cost(2, 60, 1000.0)))
    assert told.decision == "Worth it." and any("330 more rows cost 660" in line for line in told.lines)


@pytest.mark.parametrize(
    ("points", "why"),
    [
        (trials(sizes=(82, 165, 330)), "3 sizes were tried"),
        (trials(sizes=(165, 330)), "2 sizes were tried"),
        ([(n, [0.0] * 50) for n in SIZES], "nothing is learnt"),
        (twice(SIZES, (0.2, 0.8, 0.85, 0.4)), "score falls"),
        (twice((20, 40, 80, 160, 320), (0.0, 0.0, 0.01, 0.33, 0.95)), "from the curve"),
        (trials(cases=12), "could be anything"),
    ],
)
def test_what_does_not_carry_a_curve_is_refused(points, why):
    found = growth(points, scorer="choice", target=0.9, cost=Cost(1, 1))
    assert any(why in reason for reason in found.refused), found.refused
    assert found.expected is None and found.needed is None and found.worth is None and not found.line
    told = said(found)
    assert told.decision == "Cannot tell." and len(told.lines) == 2
    page = growth_page(found, title="<b>", base="seedling", date="2026-11-25", **told._asdict())
    assert "Cannot tell." in page and "nothing is said beyond it" in page and "&lt;b&gt;" in page
    assert 'class="curve own beyond"' not in page


def test_failed_cases_are_left_out_and_do_not_count_as_wrong():
    points = [(n, [None, None, *of[2:]]) for n, of in trials(seeds=3)]
    found = growth(points, scorer="choice")
    known = [np.mean([s for s in of if s is not None]) for n, of in points if n == 330]
    assert found.points[-1].score == pytest.approx(np.mean(known))


def test_the_page_draws_what_was_measured_and_dashes_what_was_not():
    found = growth(trials(seeds=3), scorer="json_fields")
    page = growth_page(found, title="Tickets", base="seedling", date="2026-11-25", **said(found)._asdict())
    assert page.count('class="curve own beyond"') == 2  # wide and narrow
    assert page.count('class="hollow"') == 2
    assert "expected with 660 rows" in page and "<script" not in page and "Field-level F1" in page


def test_no_trials_and_too_few_sizes_are_said():
    with pytest.raises(ValueError, match="trials"):
        growth([], scorer="choice")
    with pytest.raises(ValueError, match="three sizes"):
        fit_power_law([10, 20], [0.1, 0.2])
