"""K18: a scorer's failure is not a wrong answer: it lowers no score and is counted apart."""

from tunewright.evaluate.arms import rescored
from tunewright.evaluate.verdict import decide
from tunewright.records import Case, Prediction, Suite


def test_failures_are_counted_and_left_out_of_scores_and_pairs():
    cases = tuple(
        Case(id=str(i), messages=({"role": "user", "content": "q"},), expected="#### 7" if i % 2 else "unknown")
        for i in range(40)
    )
    suite = Suite(id="s", cases=cases, scorers=("numeric",), primary="numeric")
    tuned = [rescored(suite, c, Prediction(case=c.id, arm="tuned", text="7", score=None, seconds=0)) for c in cases]
    base = [rescored(suite, c, Prediction(case=c.id, arm="base", text="8", score=None, seconds=0)) for c in cases]
    assert [p.score for p in tuned[:2]] == [None, 1.0]
    assert "no number" in tuned[0].error
    found = decide(suite, {"base": base, "tuned": tuned})
    arm = next(a for a in found.arms if a.name == "tuned")
    assert (arm.score, arm.cases, arm.errors) == (1.0, 20, 20)
    assert found.verdict.difference == 1.0
