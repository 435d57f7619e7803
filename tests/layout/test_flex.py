"""FlexAttention's mask and forward pass equal the dense oracle (a CPU has no backward for it)."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tests.train.families import rows
from tunewright.layout import pack
from tunewright.layout.flex import block_mask, flexed, sees
from tunewright.layout.oracle import allowed


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("window", [None, 16])
def test_the_mask_is_the_oracles(share: bool, window: int | None) -> None:
    (batch,) = pack(rows(9), budget=10_000, share=share)
    index = torch.arange(batch.tokens)
    got = sees(batch, window)(torch.tensor(0), torch.tensor(0), index[:, None], index[None, :])
    assert torch.equal(got, allowed(batch, window))


@pytest.mark.parametrize("window", [None, 16])
@pytest.mark.parametrize("softcap", [None, 2.0])
def test_the_forward_pass_is_dense_attention(softcap: float | None, window: int | None) -> None:
    (batch,) = pack(rows(4), budget=10_000, share=True)
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, heads, batch.tokens, 16) for heads in (4, 2, 2))
    seen = allowed(batch, window)
    got = flexed(query, key, value, block_mask(batch, window), 0.25, softcap)
    if softcap is None:
        want = F.scaled_dot_product_attention(query, key, value, attn_mask=seen, scale=0.25, enable_gqa=True)
    else:
        scores = query @ key.repeat_interleave(2, 1).transpose(2, 3) * 0.25
        scores = (softcap * torch.tanh(scores / softcap)).masked_fill(~seen, float("-inf"))
        want = scores.softmax(-1) @ value.repeat_interleave(2, 1)
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)
