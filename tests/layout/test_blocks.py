"""Block attention equals attention under the dense oracle mask, forward and backward."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tunewright.layout import MicroBatch, allowed, pack
from tunewright.layout.blocks import attend, attend_backward, blocks
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
def test_equals_dense_attention(kind: str, subset: bool) -> None:
    batch = _batch(kind)
    wanted = np.unique(batch.states.numpy()) if subset else None
    torch.manual_seed(0)
    heads, group, size = 2, 3, 8
    query = torch.randn(heads, batch.tokens, group, size, dtype=torch.float64, requires_grad=True)
    key = torch.randn(heads, batch.tokens, size, dtype=torch.float64, requires_grad=True)
    value = torch.randn(heads, batch.tokens, size, dtype=torch.float64, requires_grad=True)
    asked = query if wanted is None else query[:, torch.from_numpy(wanted)]
    mask = allowed(batch) if wanted is None else allowed(batch)[torch.from_numpy(wanted)]
    dense = F.scaled_dot_product_attention(
        asked.transpose(1, 2), key[:, None], value[:, None], attn_mask=mask, scale=1.0
    ).transpose(1, 2)
    weight = torch.randn_like(dense)
    (dense * weight).sum().backward()

    plan = blocks(batch, wanted)
    with torch.no_grad():
        out, kept = attend(asked.contiguous(), key, value, plan)
        grads = attend_backward(weight, asked.contiguous(), key, value, plan, kept)
    torch.testing.assert_close(out, dense.detach())
    expected = query.grad if wanted is None else query.grad[:, torch.from_numpy(wanted)]
    for ours, theirs in zip(grads, (expected, key.grad, value.grad), strict=True):
        torch.testing.assert_close(ours, theirs)
