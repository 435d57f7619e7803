"""K17: identical models are "no difference"; swapping the arms swaps the sign and nothing else."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tunewright.evaluate.verdict import compare
from tunewright.records import Prediction


def rows(scores):
    return [Prediction(case=str(i), arm="x", text="", score=s, seconds=0) for i, s in enumerate(scores)]


scores = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=60)
marks = st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=1, max_size=60)


@settings(deadline=None, max_examples=40)
@given(scores)
def test_the_same_answers_are_no_difference(pairs):
    one = rows([a for a, _ in pairs])
    verdict = compare(one, one, "base")
    assert (verdict.difference, verdict.low, verdict.high, verdict.p) == (0, 0, 0, 1)
    assert verdict.decision == "do_not_ship" and "no difference" in verdict.reason


@settings(deadline=None, max_examples=40)
@given(scores | marks)
def test_swapping_the_arms_swaps_the_sign_and_nothing_else(pairs):
    first, second = rows([a for a, _ in pairs]), rows([b for _, b in pairs])
    one, other = compare(first, second, "x"), compare(second, first, "x")
    assert (one.difference, one.low, one.high) == (-other.difference, -other.high, -other.low)
    assert one.p == other.p
    assert one.more_cases == other.more_cases
    if any(a != b for a, b in pairs):
        opposite = {"ship": "do_not_ship", "do_not_ship": "ship", "cannot_tell": "cannot_tell"}
        assert other.decision == opposite[one.decision]
