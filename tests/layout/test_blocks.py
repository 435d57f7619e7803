"""Block attention equals attention under the dense oracle mask, forward and backward."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from tunewright.layout import Attention, MicroBatch, pack
from tunewright.layout.oracle import allowed
from tunewright.records import Rendered


def _examples(kind: str) -> list[Rendered]:
    draw = random.Random(kind)

    def tokens(count: int) -> list[int]:
        return [draw.randrange(50) for _ in range(count)]

    system, shots = tokens(60), [tokens(40), tokens(50)]
    if kind == "long":
        system = tokens(700)
    made = []
    for index in range(9):
        prefix = {"flat": [], "one": system, "long": system, "levels": system + shots[index % 2]}[kind]
        ids = prefix + tokens(draw.randint(3, 90))
        made.append(Rendered(tuple(ids), tuple([0.0] * (len(ids) - 2) + [1.0, 1.0]), len(ids) - 2))
    return made


def _batch(kind: str) -> MicroBatch:
    (batch,) = pack(_examples(kind), budget=100_000, share=True)
    return batch


@pytest.mark.parametrize("kind", ["flat", "one", "long", "levels"])
@pytest.mark.parametrize("subset", [False, True])
@pytest.mark.parametrize(
    ("window", "softcap"), [(None, None), (1, None), (7, None), (64, None), (300, 1.5), (None, 1.5)]
)
def test_equals_dense_attention(kind: str, subset: bool, window: int | None, softcap: float | None) -> None:
    batch = _batch(kind)
    wanted = np.unique(batch.states.numpy()) if subset else None
    torch.manual_seed(0)
    heads, group, size = 2, 3, 8
    query = torch.randn(heads, batch.tokens, group, size, dtype=torch.float64, requires_grad=True)
    key = torch.randn(heads, batch.tokens, size, dtype=torch.float64, requires_grad=True)
    value = torch.randn(heads, batch.tokens, size, dtype=torch.float64, requires_grad=True)
    asked = query if wanted is None else query[:, torch.from_numpy(wanted)]
    mask = allowed(batch, window)
    if wanted is not None:
        mask = mask[torch.from_numpy(wanted)]
    scores = torch.einsum("htgd,hsd->htgs", asked, key)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    shares = scores.masked_fill(~mask[None, :, None], float("-inf")).softmax(-1)
    dense = torch.einsum("htgs,hsd->htgd", shares, value)
    weight = torch.randn_like(dense)
    (dense * weight).sum().backward()

    how = Attention(batch, wanted, window=window, softcap=softcap)
    with torch.no_grad():
        out, kept = how.forward(asked.contiguous(), key, value)
        grads = how.backward(weight, asked.contiguous(), key, value, kept)
    torch.testing.assert_close(out, dense.detach())
    expected = query.grad if wanted is None else query.grad[:, torch.from_numpy(wanted)]
    for ours, theirs in zip(grads, (expected, key.grad, value.grad), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("softcap", [None, 1.5])
@pytest.mark.parametrize("kind", ["flat", "long", "levels"])
def test_nothing_is_read_that_was_not_written(
    kind: str, softcap: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Spare columns of scores are memory as it was found.
    how = Attention(batch := _batch(kind), softcap=softcap)
    assert any(block.columns > block.above_length + block.keys for block in how.plan)
    query, key, value = torch.randn(2, batch.tokens, 3, 8), *torch.randn(2, 2, batch.tokens, 8)
    for name in ("new_empty", "empty_like"):
        of = torch.Tensor if name == "new_empty" else torch
        real = getattr(of, name)
        monkeypatch.setattr(of, name, lambda *a, real=real, **k: real(*a, **k).fill_(float("nan")))
    out, kept = how.forward(query, key, value)
    for found in (out, *how.backward(torch.ones_like(out), query, key, value, kept)):
        assert torch.isfinite(found).all()


def test_ancestors_out_of_reach_are_not_computed() -> None:
    batch = _batch("long")
    assert max(block.above_length for block in Attention(batch).plan) >= 700
    assert max(block.above_length for block in Attention(batch, window=64).plan) == 63
