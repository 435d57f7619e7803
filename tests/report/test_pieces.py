"""Marks in answers, words for numbers, and the geometry of figures."""

from __future__ import annotations

import itertools
import re

import pytest

from tunewright.records import ArmScore
from tunewright.report import Training, figures
from tunewright.report.answers import examples_of, side_by_side
from tunewright.report.words import count, percent, points


def marks(html: str, kind: str) -> list[str]:
    found = re.findall(rf'<mark class="{kind}"><span class="ear">\w+: </span>(.*?)</mark>', html)
    return [f.replace("&#34;", '"') for f in found]


def test_fields_are_marked_where_they_differ_from_what_was_wanted() -> None:
    untuned, tuned, _ = side_by_side('{"a": 1, "b": "x"}', '{"a": 1, "b": "y"}', '{"a": 1, "b": "y"}', (0, 0))
    assert marks(untuned, "bad") == ['"x"']
    assert marks(tuned, "good") == ['"y"']
    assert marks(untuned, "good") == marks(tuned, "bad") == []


def test_wrong_in_both_is_marked_in_both_and_missing_and_extra_fields_are_named() -> None:
    untuned, tuned, wanted = side_by_side('{"a": 2}', '{"a": 2, "b": 3, "c": 4}', '{"a": 1, "b": 3}', (0, 0))
    assert marks(untuned, "bad") == ["2", "b is missing"]
    assert marks(tuned, "bad") == ["2", "4"]
    assert marks(tuned, "good") == ["3"]
    assert "mark" not in wanted


def test_numbers_compare_by_value_and_strings_after_white_space_but_true_is_not_one() -> None:
    untuned, tuned, _ = side_by_side(
        '{"a": 1.0, "b": "x  y"}', '{"a": true, "b": "x z"}', '{"a": 1, "b": "x y"}', (0, 0)
    )
    assert marks(untuned, "bad") == []
    assert marks(tuned, "bad") == ["true", '"x z"']


def test_what_is_not_json_is_marked_whole_and_as_it_was_scored() -> None:
    untuned, _, _ = side_by_side("I am sorry {", '{"a": 1}', '{"a": 1}', (0, 1))
    assert marks(untuned, "bad") == ["I am sorry {"]
    untuned, tuned, wanted = side_by_side("10 + 10 = 20", "6 + 6 = 12, so 12", "3 * 4 = 12", (0.0, 1.0))
    assert marks(untuned, "bad") == ["10 + 10 = 20"]
    assert marks(tuned, "good") == ["6 + 6 = 12, so 12"]
    assert wanted == "3 * 4 = 12"
    partly, unscored, _ = side_by_side("a fever", "a cough", "fever and cough", (0.4, None))
    assert (partly, unscored) == ("a fever", "a cough")
    nothing, _, _ = side_by_side("  ", "a", "a", (0, 1))
    assert marks(nothing, "bad") == ["(nothing)"]


def test_deeply_nested_text_does_not_break_the_page() -> None:
    untuned, _, _ = side_by_side("[" * 100_000, '{"a": 1}', '{"a": 1}', (0, 0))
    assert len(untuned) < 1_000


@pytest.mark.parametrize(
    ("value", "words"), [(0.217, "+21.7"), (-0.006, "−0.6"), (0.0, "0.0"), (-0.0001, "0.0"), (1.0, "+100.0")]
)
def test_points_have_a_real_sign_and_nothing_has_none(value: float, words: str) -> None:
    assert points(value) == words


def test_counts_and_percentages() -> None:
    assert count(1, "case") == "1\u00a0case"
    assert count(12345, "case") == "12,345\u00a0cases"
    assert percent(0.9306) == "93.1\u00a0%"
    assert percent(1.0, 0) == "100\u00a0%"


def test_dots_lie_where_the_scores_are() -> None:
    arm = ArmScore(name="tuned", score=0.25, low=0.0, high=1.0, cases=10, seconds=0)
    svg = figures.arms([("tuned", arm)]).split("</svg>")[0]
    ticks = [float(x) for x in re.findall(r'<line x1="([\d.]+)" y1="2.0"', svg)]
    dot = float(re.search(r'<circle cx="([\d.]+)"', svg).group(1))
    assert dot == pytest.approx(ticks[0] + 0.25 * (ticks[-1] - ticks[0]), abs=0.1)
    span = re.search(r'<line x1="([\d.]+)" y1="[\d.]+" x2="([\d.]+)" y2="[\d.]+" class="span', svg)
    assert [float(g) for g in span.groups()] == pytest.approx([ticks[0], ticks[-1]], abs=0.1)


def test_low_scores_are_drawn_large_and_the_axis_says_where_it_ends() -> None:
    low = ArmScore(name="base", score=0.015, low=0.005, high=0.043, cases=200, seconds=0)
    svg = figures.arms([("base", low)]).split("</svg>")[0]
    ticks = [float(x) for x in re.findall(r'<line x1="([\d.]+)" y1="2.0"', svg)]
    dot = float(re.search(r'<circle cx="([\d.]+)"', svg).group(1))
    assert dot == pytest.approx(ticks[0] + 0.015 / 0.05 * (ticks[-1] - ticks[0]), abs=0.1)
    assert re.findall(r'"tick" text-anchor="middle">([\d.]+)', svg) == ["0", "1", "2", "3", "4", "5"]
    high = low.model_copy(update={"high": 0.97})
    assert (figures.axis_end([low]), figures.axis_end([low, high]), figures.axis_end([])) == (0.05, 1.0, 1.0)


def test_nothing_is_drawn_outside_the_figure() -> None:
    arms = [ArmScore(name="base", score=s, low=s, high=s, cases=1, seconds=0) for s in (0.0, 1.0)]
    record = Training(1000, 8, tuple((s, 9.0 / s) for s in range(1, 1001)), ((500, 1.0, 0.4), (1000, 2.0, 1.0)), 500)
    for drawing in (figures.arms([("a", a) for a in arms]), figures.training(record)):
        for svg in re.findall(r"<svg.*?</svg>", drawing, re.DOTALL):
            width, height = (float(v) for v in re.search(r'viewBox="0 0 (\d+) ([\d.]+)"', svg).groups())
            for x in re.findall(r'(?:x|x1|x2|cx)="([\d.-]+)"', svg):
                assert 0 <= float(x) <= width
            for y in re.findall(r'(?:y|y1|y2|cy)="([\d.-]+)"', svg):
                assert 0 <= float(y) <= height
            for x, y in re.findall(r"[ML]([\d.-]+),([\d.-]+)", svg):
                assert 0 <= float(x) <= width
                assert 0 <= float(y) <= height


def test_long_training_is_thinned_but_keeps_its_ends() -> None:
    record = Training(100_000, 8, tuple((s, 1.0) for s in range(1, 100_001)))
    svg = figures.training(record)
    assert len(svg) < 20_000
    first, last = re.search(r'd="M([\d.]+),[^"]*L([\d.]+),', svg).groups()
    assert (float(first), float(last)) == pytest.approx((44.0, 686.0), abs=0.1)


def test_losses_that_fall_far_are_drawn_by_powers_of_ten() -> None:
    record = Training(4, 1, ((1, 4.0), (2, 0.4), (3, 0.04), (4, 0.004)))
    svg = figures.training(record).split("</svg>")[0]
    assert "loss, tenfold from line to line" in svg
    assert re.findall(r'class="tick num" text-anchor="end">([\d.e-]+)<', svg) == ["0.001", "0.01", "0.1", "1", "10"]
    heights = [float(y) for _, y in re.findall(r"[ML]([\d.]+),([\d.]+)", svg[svg.index("curve other") - 200 :])]
    steps = [b - a for a, b in itertools.pairwise(heights)]
    assert steps == pytest.approx([steps[0]] * 3, abs=0.2), "equal factors, equal distances"
    assert "tenfold" not in figures.training(Training(2, 1, ((1, 3.0), (2, 0.4))))
    assert "tenfold" not in figures.training(Training(2, 1, ((1, 3.0), (2, 0.0))))


@pytest.mark.parametrize("top", [1e-6, 0.003, 0.4, 1.0, 3.0, 12.0, 700.0])
def test_grid_steps_are_round_and_few(top: float) -> None:
    svg = figures.training(Training(10, 1, ((1, top), (10, top / 2)))).split("</svg>")[0]
    values = [float(v) for v in re.findall(r'class="tick num" text-anchor="end">([\d.e-]+)<', svg)]
    assert 2 <= len(values) <= 7
    assert values[0] == 0
    assert values[-1] >= top


def test_the_ledger_bar_is_full_even_with_slivers() -> None:
    parts = [
        figures.Part("train", 1_000_000, "own"),
        figures.Part("leaks", 1, "wrong"),
        figures.Part("bad", 2, "amber"),
    ]
    svg = figures.ledger(parts)
    rects = [(float(x), float(w)) for x, w in re.findall(r'<rect x="([\d.]+)%" width="([\d.]+)%"', svg)]
    assert rects[-1][0] + rects[-1][1] == pytest.approx(100, abs=0.5)
    assert all(width >= 0.4 for _, width in rects)
    assert "1,000,003 rows read: train 1,000,000, leaks 1, bad 2" in svg


def test_examples_are_found_in_whatever_shape_an_auditor_groups_them() -> None:
    one = {"row": "f:1", "input": "q", "output": "a"}
    two = {"row": "f:2", "input": "q", "output": "b"}
    shapes = [one, [one, two], {"train": [one], "test": [two]}, {"rows": ["f:1", "f:3", "f:5", "f:7"], **one}]
    found = examples_of({"examples": shapes}, most=9)
    assert [[x["row"] for x in group] for group in found] == [
        ["f:1"],
        ["f:1", "f:2"],
        ["f:1", "f:2"],
        ["f:1, f:3, f:5 and 1 more"],
    ]
    assert found[0] == [{"row": "f:1", "asked": "q", "answered": "a", "more": ""}]
    assert examples_of({"examples": [{**one, "likelier": "c"}]})[0][0]["more"] == "likelier: c"
    assert examples_of({"examples": [{**one, "fits": "f:8"}]})[0][0]["more"] == "fits f:8"
    assert examples_of({"examples": [{"row": "f:9", "reason": "not JSON"}]})[0][0]["asked"] == "not JSON"
    same = [{"row": f"f:{i}", "reason": "not JSON"} for i in range(3)]
    assert examples_of({"examples": same}) == [], "one reason for all stands in the message"
    assert len(examples_of({"examples": [*same[:2], {**same[2], "reason": "empty"}]})) == 3
    assert examples_of({}) == examples_of({"examples": [7, "x"]}) == []
