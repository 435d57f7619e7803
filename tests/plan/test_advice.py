"""Should you tune at all: each rule with what makes it hold, and with what keeps it from holding."""

import pytest

from tunewright.plan import Circumstances, advise
from tunewright.records import ArmScore, Evaluation, Finding, Gate, Verdict

GATE = "cheaper_means"


def known(**more):
    usual = {
        "task": "Route a ticket",
        "privacy": "local",
        "rows": 400,
        "train": 330,
        "read": 400,
        "shapes": ("messages",),
        "cases": 40,
        "dataset": "0123456789abcdef",
    }
    return Circumstances(**{**usual, **more})


def told(**more):
    """Nothing but a person's word."""
    return Circumstances(**{"task": None, "privacy": None, "counted": False, "project": False, **more})


def arm(name, score, seconds=0.1):
    return ArmScore(name=name, score=score, low=score - 0.05, high=score + 0.05, cases=40, seconds=seconds)


def evaluation(*arms, decision="cannot_tell", against="", difference=0.0, gates=(), **more):
    verdict = Verdict(
        decision=decision,
        against=against,
        difference=difference,
        low=difference - 0.05,
        high=difference + 0.05,
        p=0.01,
        **more,
    )
    return Evaluation(arms=arms, verdict=verdict, gates=gates)


def finding(code, count, **evidence):
    return Finding(code=code, severity="error", count=count, evidence=evidence, message=code)


def prerequisite(advice, name):
    return next(p for p in advice.prerequisites if p.name == name)


def says(advice, *words):
    text = " ".join(advice.reasons)
    for word in words:
        assert word in text, text


@pytest.mark.parametrize(
    ("more", "outcome"),
    [
        ({}, "tune"),
        ({"rows": 60, "train": 60}, "few_shot"),
        ({"rows": 99}, "few_shot"),
        ({"rows": 100}, "tune"),
        ({"cases": 10}, "postpone"),
        ({"cases": 29}, "postpone"),
        ({"rows": 60, "cases": 20}, "few_shot"),
    ],
)
def test_what_was_counted_decides(more, outcome):
    advice = advise(known(**more))
    assert advice.outcome == outcome
    assert advice.reasons and advice.prerequisites


@pytest.mark.parametrize(
    ("more", "outcome", "word"),
    [
        ({"needs": ("actions",)}, "agent", "several steps"),
        ({"needs": ("knowledge",)}, "rag", "recalled badly"),
        ({"changes": ("knowledge",)}, "rag", "out of date"),
        ({"cite": True}, "rag", "source"),
        ({"changes": ("rules",)}, "prompt", "rewritten"),
        ({"changes": ("rules",), "cite": True}, "rag", "source"),
        ({"needs": ("behaviour",)}, "tune", "400 examples"),
        ({"needs": ("behaviour", "knowledge")}, "tune_and_rag", "recalled badly"),
        ({"needs": ("behaviour",), "cite": True}, "tune_and_rag", "source"),
        ({"needs": ("behaviour", "knowledge"), "rows": 50}, "rag", "50 rows are few"),
    ],
)
def test_what_a_person_says_of_the_task_decides_first(more, outcome, word):
    advice = advise(known(**more))
    assert advice.outcome == outcome
    says(advice, word)


@pytest.mark.parametrize(
    ("more", "outcome", "step"),
    [
        ({}, "postpone", "tell"),
        ({"rows": 500}, "postpone", "tell"),
        ({"task": "Name the colour"}, "prompt", "collect"),
        ({"task": "t", "rows": 40}, "few_shot", "collect"),
        ({"task": "t", "rows": 500}, "tune", "collect"),
        ({"needs": ("behaviour",)}, "prompt", "collect"),
        ({"needs": ("knowledge", "behaviour")}, "rag", "collect"),
        ({"needs": ("knowledge", "behaviour"), "rows": 500}, "tune_and_rag", "collect"),
        ({"needs": ("actions",), "rows": 500}, "agent", "collect"),
    ],
)
def test_without_data_a_persons_word_is_enough_for_the_means_but_proves_nothing(more, outcome, step):
    advice = advise(told(**more))
    assert (advice.outcome, advice.step) == (outcome, step)
    assert all(p.ok is not True for p in advice.prerequisites), "nothing was checked"


def test_rows_of_many_steps_with_tools_are_an_agents():
    assert advise(known(tool_rows=300)).outcome == "agent"
    assert advise(known(tool_rows=30)).outcome == "tune"
    assert advise(known(tool_rows=300, needs=("behaviour",))).outcome == "tune", "a person knows better"
    says(advise(known(tool_rows=300)), "300 of 330 rows")


@pytest.mark.parametrize(
    ("best", "outcome", "instead"),
    [("base", "prompt", None), ("prompted", "prompt", None), ("few_shot", "few_shot", None), ("rag", "rag", None),
     ("classifier", "postpone", "classifier"), ("external", "prompt", None)],
)  # fmt: skip
def test_a_cheaper_means_that_is_good_enough_is_the_advice(best, outcome, instead):
    no = Gate(name=GATE, ok=False, message="It reaches 95 %, and 90 % is enough.")
    arms = [arm("base", 0.1)] if best != "base" else []
    advice = advise(known(measured=evaluation(*arms, arm(best, 0.95)), hurdle=no, run="r1"))
    assert (advice.outcome, advice.instead, advice.step) == (outcome, instead, "use")
    assert advice.reasons == (no.message,)
    yes = Gate(name=GATE, ok=True, message="Tuning must beat 95 %.")
    more = advise(known(measured=evaluation(*arms, arm(best, 0.95)), hurdle=yes, run="r1"))
    assert (more.outcome, more.step) == ("tune", "run")
    assert yes.message in more.reasons and prerequisite(more, "cheaper means measured").ok
    allowed = no.model_copy(update={"allowed_because": "it must run offline"})
    assert advise(known(measured=evaluation(*arms, arm(best, 0.95)), hurdle=allowed)).outcome == "tune"


def test_what_a_tuned_run_has_shown_is_the_advice():
    arms = (arm("few_shot", 0.1), arm("classifier", 0.8), arm("tuned", 0.9))

    def after(decision, **more):
        made = {"decision": decision, "against": "few_shot", "difference": 0.8, **more}
        return advise(known(measured=evaluation(*arms, **made), run="r1"))

    shipped = after("ship")
    assert (shipped.outcome, shipped.step) == ("tune", "export")
    says(shipped, "Run r1", "90.0 %", "+80.0 points", "few-shot")
    open_ = after("cannot_tell", more_cases=120)
    assert (open_.outcome, open_.step) == ("postpone", "more")
    says(open_, "120 more cases")
    no = after("do_not_ship", difference=-0.2, reason="the tuned model is worse")
    assert (no.outcome, no.step) == ("few_shot", "use")
    says(no, "the tuned model is worse", "gates.enough")
    cheap = Gate(name=GATE, ok=False, message="a classifier does as well")
    plain = after("do_not_ship", gates=(cheap,), reason="a cheaper means does as well")
    assert (plain.outcome, plain.instead) == ("postpone", "classifier")
    slice_ = after("do_not_ship", reason="a slice falls short")
    assert (slice_.outcome, slice_.instead) == ("postpone", None)
    says(slice_, "a slice falls short")


def test_where_nothing_reaches_what_is_enough_no_means_is_advised():
    made = evaluation(
        arm("few_shot", 0.3), arm("tuned", 0.25), decision="do_not_ship", against="few_shot", difference=-0.05
    )
    assert advise(known(measured=made, enough=0.9)).outcome == "postpone"
    assert advise(known(measured=made, enough=0.3)).outcome == "few_shot"


def test_an_experiment_without_a_rival_decides_nothing():
    assert advise(known(measured=evaluation(arm("tuned", 0.9)), run="r1")).outcome == "tune"


def test_retrieval_that_is_the_best_untuned_means_goes_with_tuning():
    made = evaluation(arm("base", 0.1), arm("few_shot", 0.2), arm("rag", 0.5))
    yes = Gate(name=GATE, ok=True, message="tuning must beat that")
    with_documents = advise(known(measured=made, hurdle=yes, documents=True))
    assert (with_documents.outcome, with_documents.step) == ("tune_and_rag", "run")
    assert advise(known(measured=made, hurdle=yes)).outcome == "tune", "what looks rows up is no knowledge"
    near = evaluation(arm("base", 0.1), arm("few_shot", 0.48), arm("rag", 0.5))
    assert advise(known(measured=near, hurdle=yes, documents=True)).outcome == "tune"


def test_what_the_journey_would_stop_at_comes_before_tuning():
    no = Gate(name="bad_rows", ok=False, message="40 of 400 rows are faulty (10.0%).")
    advice = advise(known(gates=(no,)))
    assert (advice.outcome, advice.step) == ("postpone", "check")
    says(advice, "40 of 400 rows")
    assert prerequisite(advice, "enough good data").ok is False
    passed = no.model_copy(update={"allowed_because": "known"})
    assert advise(known(gates=(passed,))).outcome == "tune"


def test_duplicates_set_aside_are_no_bad_data():
    advice = advise(known(read=700, set_aside={"exact_duplicate": 300}))
    assert advice.outcome == "tune"
    enough = prerequisite(advice, "enough good data")
    assert enough.ok and "300 exact duplicate" in enough.evidence


def test_rows_that_contradict_each_other_are_settled_first_where_one_answer_is_right():
    often, seldom = finding("contradiction", 60, groups=25), finding("contradiction", 4, groups=2)
    advice = advise(known(findings=(often,), one_answer=True))
    assert (advice.outcome, advice.step) == ("postpone", "check")
    says(advice, "60 of 400 rows (15 %)", "25 groups")
    assert prerequisite(advice, "one clear use case").ok is False
    assert advise(known(findings=(often,))).outcome == "tune", "a free answer may be given in many ways"
    few = advise(known(findings=(seldom,), one_answer=True))
    assert few.outcome == "tune" and "4 rows in 2 groups" in prerequisite(few, "one clear use case").evidence


def test_rows_that_teach_facts_want_them_looked_up():
    every, most, some = (finding("teaches_facts", n) for n in (380, 300, 60))
    only = advise(known(findings=(every,)))
    assert (only.outcome, only.step) == ("rag", "look_up")
    says(only, "380 of 400 answers (95 %)", "needs: [behaviour, knowledge]")
    assert advise(known(findings=(every,), needs=("behaviour", "knowledge"))).outcome == "tune_and_rag"
    advice = advise(known(findings=(most,)))
    assert (advice.outcome, advice.step) == ("tune_and_rag", "look_up")
    says(advice, "300 of 400 answers (75 %)")
    assert advise(known(findings=(most,), rows=50)).outcome == "rag"
    warned = advise(known(findings=(some,)))
    assert warned.outcome == "tune"
    says(warned, "60 answers (15 %)")
    assert advise(known(findings=(most,), needs=("behaviour",))).outcome == "tune", "a person knows better"


def test_unmeasured_rivals_come_before_training():
    advice = advise(known(labels=77))
    assert (advice.outcome, advice.step) == ("tune", "measure")
    says(advice, "Nothing cheaper is measured yet", "classifier")
    assert prerequisite(advice, "cheaper means measured").ok is None
    assert "classifier" not in " ".join(advise(known()).reasons)


@pytest.mark.parametrize(("rows", "ok"), [(99, False), (100, None), (299, None), (300, True)])
def test_several_hundred_rows_are_wanted_and_fewer_are_amber(rows, ok):
    assert prerequisite(advise(known(rows=rows)), "enough good data").ok is ok


@pytest.mark.parametrize(("privacy", "ok"), [("local", True), ("any", True), (None, None)])
def test_a_privacy_posture_counts_as_stated_only_when_it_was(privacy, ok):
    assert prerequisite(advise(known(privacy=privacy)), "privacy stated").ok is ok


def test_personal_rows_that_may_leave_are_amber():
    rows = (finding("pii", 12),)
    assert prerequisite(advise(known(privacy="any", findings=rows)), "privacy stated").ok is None
    at_home = prerequisite(advise(known(privacy="local", findings=rows)), "privacy stated")
    assert at_home.ok and "12 rows with personal data" in at_home.evidence


def test_a_use_case_is_clear_with_a_task_and_one_form_of_rows():
    assert prerequisite(advise(known()), "one clear use case").ok is True
    assert prerequisite(advise(known(task=None)), "one clear use case").ok is None
    assert prerequisite(advise(known(shapes=("messages", "alpaca"))), "one clear use case").ok is None


def test_volume_says_what_is_paid_today_and_brings_rows():
    advice = advise(known(requests=100_000, cost=2.5, currency="USD"))
    says(advice, "100,000 requests a month at 2.5 USD a thousand cost 250.00 USD a month today")
    says(advise(known(requests=100_000, rows=50)), "bring rows")
