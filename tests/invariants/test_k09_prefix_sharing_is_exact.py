"""K9: what shares a prefix computes what it would alone, where the branches begin included."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.train.families import model_of
from tunewright.layout import MicroBatch, pack
from tunewright.layout.oracle import allowed
from tunewright.records import Rendered
from tunewright.train import Settings
from tunewright.train.adapters import prepare
from tunewright.train.plain import gradients
from tunewright.train.step import Computer

PREFIX = tuple(range(3, 63))


def _answered(prefix: tuple[int, ...], answer: tuple[int, ...], weight: float = 1.0) -> Rendered:
    return Rendered(prefix + answer, (0.0,) * len(prefix) + (weight,) * len(answer), len(prefix))


def test_one_state_predicts_the_first_token_of_every_branch() -> None:
    """The answers begin right where the prefix ends: the prefix's last state is asked for three different tokens."""
    examples = [_answered(PREFIX, (70, 71)), _answered(PREFIX, (80, 81), 2.0), _answered(PREFIX, (90,))]
    (batch,) = pack(examples, budget=10_000, share=True)
    assert batch.tokens == len(PREFIX) + 5
    branch = [int(label) for state, label in zip(batch.states, batch.labels, strict=True) if state == len(PREFIX) - 1]
    assert sorted(branch) == [70, 80, 90]
    for fused in (True, False):
        model = prepare(model_of("llama"), Settings(rank=4, alpha=8.0))
        computer = Computer(model, "float32", "forest", fused=fused, share=True)
        loss = computer.accumulate([batch], batch.weight)
        grads = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        model.zero_grad()
        assert loss == pytest.approx(gradients(model, examples), rel=1e-6)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                assert (grads[name] - parameter.grad).norm() <= 1e-5 * parameter.grad.norm(), name


def test_identical_examples_and_examples_that_end_inside_others() -> None:
    examples = [_answered(PREFIX, (70,)), _answered(PREFIX, (70,)), _answered(PREFIX, (70, *range(3, 40)))]
    (batch,) = pack(examples, budget=10_000, share=True)
    assert batch.examples == 3
    assert batch.weight == 1 + 1 + 38
    model = prepare(model_of("llama"), Settings(rank=4, alpha=8.0))
    loss = Computer(model, "float32", "forest", fused=True, share=True).accumulate([batch], batch.weight)
    assert loss == pytest.approx(gradients(model, examples), rel=1e-6)


@st.composite
def _forests(draw: st.DrawFn) -> list[Rendered]:
    stems = [tuple(draw(st.lists(st.integers(0, 3), min_size=0, max_size=60))) for _ in range(3)]
    rows = []
    for _ in range(draw(st.integers(1, 8))):
        ids = sum((stems[i] for i in draw(st.lists(st.integers(0, 2), max_size=3))), ())
        ids += tuple(draw(st.lists(st.integers(0, 3), min_size=2, max_size=9)))
        flags = draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids)))
        rows.append(Rendered(ids, (0.0, *(float(f) for f in flags[1:])), 1))
    return rows


def test_a_budget_is_kept_where_little_would_be_saved_by_sharing() -> None:
    """Two short examples that overlap, but not by enough: they are not shared, and do not fit together."""
    rows = [_answered((0,) * 18, (1, 1)), _answered((0,) * 18, (2, 2))]
    assert [batch.tokens for batch in pack(rows, budget=30, share=True)] == [20, 20]


@settings(max_examples=60, deadline=None)
@given(_forests(), st.integers(20, 200), st.booleans())
def test_every_target_sees_its_own_example_and_nothing_else(rows: list[Rendered], budget: int, share: bool) -> None:
    """Following the mask back from a target's state spells the example up to the token it predicts."""
    batches = pack(rows, budget=budget, share=share)
    spelled: list[tuple[tuple[int, ...], int]] = []
    for batch in batches:
        mask = allowed(batch)
        for state, label in zip(batch.states.tolist(), batch.labels.tolist(), strict=True):
            seen = torch.nonzero(mask[state]).flatten()
            seen = seen[batch.positions[seen].argsort()]
            assert batch.positions[seen].tolist() == list(range(len(seen)))
            spelled.append((tuple(batch.ids[seen].tolist()), label))
    wanted = [(row.ids[:i], row.ids[i]) for row in rows for i, w in enumerate(row.weights) if w]
    assert sorted(spelled) == sorted(wanted)
    _fits(batches, rows, budget)


def _fits(batches: list[MicroBatch], rows: list[Rendered], budget: int) -> None:
    assert all(batch.tokens <= budget or batch.examples == 1 for batch in batches)
    assert sum(batch.examples for batch in batches) == len(rows)
