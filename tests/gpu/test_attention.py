"""Attention as a GPU computes it in bfloat16, by kernels that are told how, is that of a dense matrix in float32."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from tests.gpu.dense import DEVICE, dense
from tunewright.layout import Flexed, MicroBatch, pack
from tunewright.records import Rendered
from tunewright.train.step import place

SIZES = 64, 128


def forest() -> MicroBatch:
    """Two trees whose rows share 300 tokens each, and rows of their own: blocks of siblings that see each other not."""
    draw = random.Random(0)
    starts = [[draw.randint(3, 99) for _ in range(300)] for _ in range(2)]
    ids = [start + [draw.randint(3, 99) for _ in range(length)] for start in starts for length in (70, 200, 150)]
    ids += [[draw.randint(3, 99) for _ in range(length)] for length in (40, 333)]
    rows = [Rendered(tuple(each), (1.0,) * len(each), 0) for each in ids]
    (batch,) = pack(rows, budget=10_000, share=True)
    assert isinstance(batch, MicroBatch)
    placed = place(batch, torch.device(DEVICE))
    assert isinstance(placed, MicroBatch)
    return placed


@pytest.mark.parametrize("window", [None, 100])
@pytest.mark.parametrize("size", SIZES)
def test_in_bfloat16_it_is_the_dense_matrix(size: int, window: int | None) -> None:
    torch.manual_seed(0)
    batch = forest()
    spare = -batch.tokens % Flexed.BLOCK
    plan = Flexed(batch, spare, window, size**-0.5)
    rows = batch.tokens + spare
    query, grad = (torch.randn(rows, 4, size, device=DEVICE).bfloat16() for _ in range(2))
    key, value = (torch.randn(rows, 2, size, device=DEVICE).bfloat16() for _ in range(2))

    def computed() -> list[torch.Tensor]:
        out, kept = plan.forward(query, key, value, True)
        assert torch.equal(plan.mixed(kept), out)
        return [out, *plan.backward(grad, kept)]

    wide: Any = [each.float().transpose(0, 1)[None].requires_grad_() for each in (query, key, value)]
    exact = dense(*wide, score_mod=None, block_mask=plan.mask, enable_gqa=True)
    want = [exact.detach(), *torch.autograd.grad(exact, wide, grad.float().transpose(0, 1)[None])]
    got, again = computed(), computed()
    for one, other, right in zip(got, again, want, strict=True):
        assert torch.equal(one, other), "the same numbers give the same sums"
        gap = one.float() - right[0].transpose(0, 1)
        assert float(gap.norm()) <= 1e-2 * float(right.norm())
