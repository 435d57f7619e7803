"""What `auto` becomes, and what the plan says about it."""

import pytest

from tunewright.plan import Circumstances, DataFacts, Machine, ModelFacts, advise, make_plan, resolve
from tunewright.plan.resolve import learning_rate
from tunewright.recipe import TrainSpec


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
    assert few["alpha"] == 32


def facts(rows=330):
    data = DataFacts(rows, 40, 40, 80.0, 200, 40)
    model = ModelFacts("m", 3_443_136, 300_000, 192, 6, 512, 4096)
    machine = Machine("cpu", 2, 24.0, {"float32": 200.0, "bfloat16": 800.0})
    choice = resolve(spec(), rows=rows, parameters=model.parameters, precision="float32")
    advice = advise(
        Circumstances(
            task="t",
            shape="messages",
            train_rows=rows,
            suite_cases=40,
            least_cases=30,
            fits=True,
            bad_share=0.0,
            privacy="local",
        )
    )
    return make_plan(choice, data, model, machine, lambda fits: advice)


def test_the_parts_of_memory_add_up_inside_their_interval():
    memory = facts().memory_gb
    parts = sum(v for k, v in memory.items() if k not in ("total", "low", "high"))
    assert memory["total"] == pytest.approx(parts, abs=1e-3)
    assert memory["low"] < memory["total"] < memory["high"]


def test_more_rows_take_longer():
    assert facts(33_000).hours["expected"] > 5 * facts(330).hours["expected"]


def test_a_base_too_large_for_the_machine_does_not_fit():
    plan = facts()
    data, machine = DataFacts(1000, 40, 40, 80.0, 200, 40), Machine("cpu", 2, 8.0, {"float32": 200.0})
    large = ModelFacts("m", 7_000_000_000, 40_000_000, 4096, 32, 11008, 32000)
    asked = []
    assert not make_plan(plan.choice, data, large, machine, lambda fits: asked.append(fits) or plan.advice).fits
    assert asked == [False]


@pytest.mark.parametrize(("rows", "cases", "outcome"), [(400, 40, "tune"), (60, 40, "few_shot"), (400, 10, "postpone")])
def test_advice_comes_from_what_was_counted(rows, cases, outcome):
    said = advise(
        Circumstances(
            task=None,
            shape="messages",
            train_rows=rows,
            suite_cases=cases,
            least_cases=30,
            fits=True,
            bad_share=0.0,
            privacy="local",
        )
    )
    assert said.outcome == outcome
    assert said.reasons
    assert next(p for p in said.prerequisites if p.name == "one clear use case").ok is None


@pytest.mark.parametrize(("privacy", "ok"), [("local", True), ("any", True), (None, None)])
def test_a_privacy_posture_counts_as_stated_only_when_it_was(privacy, ok):
    said = advise(
        Circumstances(
            task="t",
            shape="m",
            train_rows=400,
            suite_cases=40,
            least_cases=30,
            fits=True,
            bad_share=0.0,
            privacy=privacy,
        )
    )
    assert next(p for p in said.prerequisites if p.name == "privacy stated").ok is ok
