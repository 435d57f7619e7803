"""The sentences a command ends with, whichever arms were asked."""

from tunewright.cli.words import verdict_lines
from tunewright.evaluate.verdict import decide
from tunewright.records import Case, Prediction, Suite


def told(*names: str) -> str:
    """What is said of arms by these names, of which the tuned ones are right in every case."""
    cases = tuple(Case(id=f"c{i}", messages=({"role": "user", "content": str(i)},), expected="yes") for i in range(40))
    suite = Suite(id="s", cases=cases, scorers=("exact",), primary="exact")
    answers = {
        name: [
            Prediction(case=case.id, arm=name, text="", score=float(name.startswith("tuned")), seconds=0.1)
            for case in cases
        ]
        for name in names
    }
    found = decide(suite, answers)
    return "\n".join(verdict_lines(found.verdict, found.arms, found.hurdle))


def test_any_tuned_arm_is_compared_with_the_best_untuned():
    assert told("base", "tuned").startswith("Ship it: +100.0 points over the untuned base")
    assert told("prompted", "tuned_rag").startswith("Ship it: +100.0 points over a prompt")
    assert told("base", "my_model", "tuned").startswith("Ship it: +100.0 points over ")


def test_where_nothing_is_compared_that_is_what_is_said():
    assert told("tuned").startswith("Cannot tell: tuned 100.0 %") and "points" not in told("tuned")
    assert told("base", "few_shot").startswith("Nothing tuned yet. Tuning must beat the untuned base: 0.0 %")
