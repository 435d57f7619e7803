"""The meaning of a step: which examples, which rate, when it is saved."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.train import Settings, learning_rate, total_steps
from tunewright.train.order import checkpoint_steps, step_examples


@given(st.integers(1, 50), st.integers(1, 20), st.floats(0.1, 4), st.integers(0, 5))
def test_every_pass_sees_every_example_once(examples: int, batch: int, epochs: float, seed: int) -> None:
    settings = Settings(effective_batch_size=batch, epochs=epochs, seed=seed)
    stream = [i for k in range(total_steps(examples, settings)) for i in step_examples(k, examples, settings)]
    assert len(stream) == max(round(epochs * examples), 1)
    for first in range(0, len(stream), examples):
        whole = stream[first : first + examples]
        assert len(set(whole)) == len(whole)


def test_only_seed_and_effective_batch_size_decide() -> None:
    one = Settings(effective_batch_size=8, micro_batch_tokens=100, share=True, rank=4)
    two = Settings(effective_batch_size=8, micro_batch_tokens=9000, share=False, precision="bfloat16")
    other = Settings(effective_batch_size=8, seed=1)
    assert [step_examples(k, 100, one) for k in range(9)] == [step_examples(k, 100, two) for k in range(9)]
    assert step_examples(0, 100, one) != step_examples(0, 100, other)


@pytest.mark.parametrize(
    ("schedule", "middle", "last"), [("linear", 0.5, 0.02), ("cosine", 0.5, 0.001), ("constant", 1, 1)]
)
def test_the_rate_rises_then_falls(schedule: str, middle: float, last: float) -> None:
    settings = Settings.model_validate({"schedule": schedule, "warmup": 0.1, "learning_rate": 1.0})
    rates = [learning_rate(step, 110, settings) for step in range(110)]
    assert rates[0] == pytest.approx(1 / 11)
    assert rates[10] == 1.0
    assert rates[:11] == sorted(rates[:11])
    assert rates[11:] == sorted(rates[11:], reverse=True)
    assert rates[60] == pytest.approx(middle, abs=0.02)
    assert rates[-1] == pytest.approx(last, abs=0.02)
    assert min(rates) > 0


@given(st.integers(1, 500), st.integers(1, 12))
def test_checkpoints_are_spread_and_end_with_the_last_step(total: int, count: int) -> None:
    steps = checkpoint_steps(total, Settings(checkpoints=count))
    assert len(steps) == min(count, total)
    assert max(steps) == total
    assert min(steps) >= 1
