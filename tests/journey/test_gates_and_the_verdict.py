"""A gate that is decided after the arms were compared says no to shipping too: the page and the numbers agree."""

from types import SimpleNamespace

import pytest

from tunewright.joins import stages
from tunewright.records import ArmScore, Comparison, Evaluation, Gate, Verdict

NO = Gate(name="parity", ok=False, message="8 probes, tokens differ")


@pytest.fixture
def evaluation():
    numbers = {"against": "base", "difference": 0.5, "low": 0.4, "high": 0.6, "p": 0.0, "cases": 40}
    arms = [ArmScore(name=n, score=s, low=s, high=s, cases=40, seconds=0.1) for n, s in (("base", 0), ("tuned", 1))]
    return Evaluation(
        arms=tuple(arms),
        verdict=Verdict(decision="ship", reason="the gain is beyond chance", **numbers),
        gates=(Gate(name="min_gain", ok=True, message="+50.0 points"),),
        comparisons=(Comparison(**numbers),),
    )


@pytest.mark.parametrize(("allow", "decision"), [({}, "do_not_ship"), ({"parity": "a known rounding"}, "ship")])
def test_a_gate_decided_last_counts(evaluation, allow, decision):
    project = SimpleNamespace(allow=allow, strict=False)
    found = stages.settled(project, evaluation, (NO,))
    assert found.verdict.decision == decision
    assert [g.name for g in found.gates] == ["parity", "min_gain"]
    # Put together twice, as evaluating and then exporting do, it says the same.
    assert stages.settled(project, found, (NO,)) == found


def test_before_anything_was_compared_no_gate_makes_a_verdict(evaluation):
    bare = evaluation.model_copy(update={"comparisons": ()})
    found = stages.settled(SimpleNamespace(allow={}, strict=False), bare, (NO,))
    assert found.verdict == bare.verdict and found.gates[0] == NO
