"""What `auto` becomes, and what the plan says about it."""

import pytest

from tunewright.plan import Circumstances, make_plan, resolve
from tunewright.plan.facts import DataFacts, Machine, Measuring, ModelFacts, StepWork
from tunewright.plan.resolve import learning_rate
from tunewright.recipe import TrainSpec
from tunewright.records import ArmScore, Evaluation, Footprint, Verdict


def spec(**values):
    return TrainSpec.model_validate(values)


def test_the_rate_follows_the_size_of_the_model():
    assert learning_rate("lora", 7_000_000_000) == 2e-4
    assert learning_rate("lora", 3_400_000) == 3e-3
    assert learning_rate("lora", 135_000_000) == pytest.approx(8.1e-4)
    assert learning_rate("full", 7_000_000_000) == pytest.approx(2e-5)


def test_what_is_given_stays():
    values = resolve(
        spec(epochs=2, effective_batch_size=32, learning_rate=1e-4, alpha=7),
        rows=320,
        parameters=10**9,
        precision="float32",
    )
    assert (values["epochs"], values["learning_rate"], values["alpha"], values["steps"]) == (2, 1e-4, 7, 20)


def test_few_rows_get_more_passes_and_many_get_three():
    few = resolve(spec(), rows=330, parameters=3_400_000, precision="float32")
    many = resolve(spec(), rows=100_000, parameters=7_000_000_000, precision="float32")
    assert (few["epochs"], few["effective_batch_size"]) == (8, 8)
    assert few["steps"] > 300
    assert (many["epochs"], many["effective_batch_size"]) == (3, 32)
    assert (few["rank"], few["alpha"], many["rank"], many["alpha"]) == (64, 128, 16, 32)
    full = resolve(spec(method="full"), rows=330, parameters=3_400_000, precision="float32")
    given = resolve(spec(learning_rate=1e-3), rows=330, parameters=3_400_000, precision="float32")
    assert [each["loraplus_lr_ratio"] for each in (few, many, full, given)] == [4, 1, 1, 1]
    assert [each["adam_beta2"] for each in (few, many, full, given)] == [0.95, 0.999, 0.999, 0.999]
    assert resolve(spec(adam_beta2=0.98), rows=330, parameters=3_400_000, precision="float32")["adam_beta2"] == 0.98
    assert (few["learning_rate"], given["learning_rate"]) == (1.8e-3, 1e-3)


SEEDLING = {"parameters": 3_443_136, "trainable": 300_000, "hidden": 192, "layers": 6, "intermediate": 512}
SEEDLING |= {"body": 2_654_208, "head": 786_432, "features": 192}


def base(**values):
    """Facts about a base of the seedling's shape, but for what is given; its weights take four bytes each."""
    shape = {**SEEDLING, **values}
    size = 4 * shape["parameters"]
    return ModelFacts(**{"weight_bytes": size, "whole_bytes": size, **shape})


def step(rows, tokens=80, predicted=40):
    """What a step on `rows` of so many tokens computes, each of its own."""
    return StepWork(rows * tokens, rows * tokens * (tokens + 1) / 2, rows * predicted)


def facts(rows=330, memory=24.0, method="lora", device="cpu", measuring=None, **known):
    choice = resolve(spec(method=method), rows=rows, parameters=SEEDLING["parameters"], precision="float32")
    data = DataFacts(rows, 200, step(choice["effective_batch_size"]), measuring)
    machine = Machine(device, memory, 200.0)
    return make_plan(choice, data, base(), machine, circumstances(rows=rows, **known))


def circumstances(**known):
    usual = {"task": "t", "privacy": "local", "rows": 330, "train": 330, "read": 330, "shapes": ("messages",)}
    return Circumstances(**{**usual, "cases": 40, **known})


def test_the_parts_of_memory_add_up_inside_their_interval():
    memory = facts().memory_gb
    parts = sum(v for k, v in memory.items() if k not in ("total", "low", "high"))
    assert memory["total"] == pytest.approx(parts, abs=1e-3)
    assert memory["low"] < memory["total"] < memory["high"]


def test_more_rows_take_longer():
    assert facts(33_000).hours["expected"] > 5 * facts(330).hours["expected"]


def test_what_a_step_shares_is_computed_once_and_takes_no_longer():
    """Behind a prompt of 663 tokens, in rows of 694 and batches of 32, a step computes 1,655 tokens and not 22,208."""
    choice = resolve(spec(effective_batch_size=32), rows=3200, parameters=25_000_000, precision="float32")
    machine = Machine("cpu", 8.0, 100.0)
    model = base(parameters=25_000_000, hidden=384, layers=12, intermediate=1024, body=19_000_000, features=384)
    works = {tokens: StepWork(tokens, 0.0, 100.0) for tokens in (22_208, 1_655)}
    apart, shared = (
        make_plan(choice, DataFacts(3200, 700, work), model, machine, circumstances()) for work in works.values()
    )
    assert apart.hours["expected"] / shared.hours["expected"] == pytest.approx(22_208 / 1_655, rel=0.5)
    held = circumstances(hours=1.2 * shared.hours["high"])
    for work, outcome in zip(works.values(), ("postpone", "tune"), strict=True):
        assert make_plan(choice, DataFacts(3200, 700, work), model, machine, held).advice.outcome == outcome


def test_of_a_mixture_of_experts_those_that_a_token_passes_take_time():
    choice = resolve(spec(), rows=330, parameters=10**9, precision="float32")
    data, machine = DataFacts(330, 200, step(32)), Machine("cpu", 64.0, 100.0)
    models = [base(parameters=10**9, body=body, trainable=1, head=0) for body in (10**9, 2 * 10**8)]
    hours = [make_plan(choice, data, model, machine, circumstances()).hours["expected"] for model in models]
    assert hours[1] == pytest.approx(hours[0] / 5, rel=0.1)


def test_time_grows_with_what_is_looked_back_at_predicted_and_computed_again():
    choice = resolve(spec(), rows=330, parameters=10**8, precision="float32")
    works = [StepWork(4096, 4096 * 100, 100), StepWork(4096, 4096 * 2000, 100), StepWork(4096, 4096 * 100, 4096)]
    machine, model = Machine("cpu", 64.0, 100.0), base(parameters=10**8, body=90_000_000, head=10_000_000)
    usual, long, answers = (
        make_plan(choice, DataFacts(330, 4096, work), model, machine, circumstances()).hours["expected"]
        for work in works
    )
    again = make_plan(
        choice | {"activation_checkpointing": True}, DataFacts(330, 4096, works[0]), model, machine, circumstances()
    )
    assert min(long, answers) > 1.05 * usual
    assert again.hours["expected"] == pytest.approx(1.5 * usual, rel=0.05)


def test_checkpoints_take_time_that_validation_rows_and_their_answers_take():
    plain, short, long = (
        facts(33_000, measuring=m).hours["expected"]
        for m in (None, Measuring(step(512), 64, 20), Measuring(step(512), 64, 200))
    )
    assert plain < short < long
    # Five times the loss of 512 rows: half of what as many rows take to train, of 33,000 in four passes.
    assert short - plain < 0.05 * plain


def test_a_base_that_was_not_put_in_4_bits_is_told_at_its_own_size():
    data, machine = DataFacts(330, 200, step(32)), Machine("cuda", 80.0, 100.0)
    sizes = {"weight_bytes": 16 * 10**9, "whole_bytes": 16 * 10**9}
    for method, held in (("lora", 16 * 10**9), ("qlora", 5 * 10**9)):
        choice = resolve(spec(method=method), rows=330, parameters=8 * 10**9, precision="bfloat16")
        model = base(parameters=8 * 10**9, **(sizes | {"weight_bytes": held}))
        assert "16 GB" in make_plan(choice, data, model, machine, circumstances()).rejected[0]["why"]


def test_a_run_that_needs_exactly_what_is_free_fits():
    """Such is one whose micro-batches are as large as what is free."""
    plan, free = facts(), 23.64000004
    told = Footprint(moment="step", parts={"weights": 9e9}, low=8e9, high=1e9 * free, trained=1, room=512)
    data, machine = DataFacts(330, 200, step(32)), Machine("cuda", free, 200.0)
    assert make_plan(plan.choice, data, base(), machine, circumstances(), told).fits


def test_on_a_gpu_kernels_are_compiled_first_and_no_step_is_shorter_than_its_calls():
    """The demo on an H100: 330 steps in 13 s, and 46 s in all."""
    few = facts(330, device="cuda")
    assert 3600 * few.hours["low"] < 13.3 + 30 < 3600 * few.hours["high"]
    many = facts(33_000, device="cuda")
    assert 3600 * many.hours["expected"] > 30 + 0.04 * many.choice["steps"]


def test_the_price_is_the_hours_at_what_an_hour_costs():
    free, rented = facts(33_000), facts(33_000, machine_hour=2.5, currency="USD")
    assert (free.price["expected"], free.price["high"], free.price["currency"]) == (0.0, 0.0, "EUR")
    assert rented.price["currency"] == "USD"
    for name in ("low", "expected", "high"):
        assert rented.price[name] == pytest.approx(2.5 * rented.hours[name], abs=1e-6)
    assert 0 < rented.price["low"] < rented.price["expected"] < rented.price["high"]


def test_what_was_not_chosen_is_told_with_the_reason():
    for method, others in (("lora", {"qlora", "full"}), ("qlora", {"lora", "full"}), ("full", {"lora", "qlora"})):
        plan = facts(method=method)
        assert {r["option"] for r in plan.rejected} == others and all(r["why"] for r in plan.rejected)
        assert all(s["ok"] in (True, None, False) and s["engine"] and s["why"] for s in plan.serves)


def test_a_base_too_large_for_the_machine_does_not_fit():
    plan = facts()
    data, machine = DataFacts(1000, 200, step(32)), Machine("cpu", 8.0, 200.0)
    large = base(parameters=7_000_000_000, trainable=40_000_000, hidden=4096, layers=32, intermediate=11008)
    made = make_plan(plan.choice, data, large, machine, circumstances())
    assert not made.fits
    assert (made.advice.outcome, made.advice.step) == ("postpone", "smaller")
    assert "8 GB are free" in made.advice.reasons[0]


def test_a_base_that_may_not_fit_is_no_reason_to_wait_but_is_said():
    need = facts().memory_gb
    made = facts(memory=(need["low"] + need["high"]) / 2)
    assert not made.fits and made.advice.outcome == "tune"
    assert any("may not fit" in reason for reason in made.advice.reasons)
    assert next(p for p in made.advice.prerequisites if p.name == "hardware and budget").ok is None


def test_volume_is_weighed_against_what_an_hour_here_costs():
    base = ArmScore(name="base", score=0.1, low=0.0, high=0.2, cases=40, seconds=0.36)
    verdict = Verdict(decision="cannot_tell", against="base", difference=0, low=-1, high=1, p=1)
    done = Evaluation(arms=(base,), verdict=verdict, gates=())
    asked = {"requests": 10_000, "cost": 1.0, "measured": done, "run": "r1"}
    cheap = " ".join(facts(33_000, machine_hour=2.0, **asked).advice.reasons)
    # 0.36 s a case are 0.1 h a thousand, so 0.2; the training is paid back by 0.8 a thousand.
    training = facts(33_000, machine_hour=2.0).price["expected"]
    assert "1,000 cost 0.2 here" in cheap and f"after {training / 0.8 * 1000:,.0f} requests" in cheap
    assert "nothing is saved" in " ".join(facts(machine_hour=20.0, **asked).advice.reasons)
    assert "`decide.machine_hour`" in " ".join(facts(**asked).advice.reasons)
