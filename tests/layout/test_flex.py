"""FlexAttention's mask and forward pass equal the dense oracle (a CPU has no backward for it)."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from tests.train.families import rows
from tunewright.layout import attention, flex, pack
from tunewright.layout.flex import BLOCK, block_mask, flexed
from tunewright.layout.oracle import allowed


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("window", [None, 16])
def test_the_mask_is_the_oracles(share: bool, window: int | None) -> None:
    (batch,) = pack(rows(9), budget=10_000, share=share)
    index = torch.arange(batch.tokens)
    got = block_mask(batch, window).mask_mod(torch.tensor(0), torch.tensor(0), index[:, None], index[None, :])
    assert torch.equal(got, allowed(batch, window))


def test_on_a_gpu_queries_and_keys_take_the_type_of_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under autocast rotary positions leave them in float32, and a kernel wants one type."""
    batch = SimpleNamespace(ids=SimpleNamespace(is_cuda=True))
    monkeypatch.setattr(attention, "_in_flight", [SimpleNamespace(batch=batch, masks={None: None})])
    given: list[torch.dtype] = []

    def flexed(*tensors: torch.Tensor) -> torch.Tensor:
        given.extend(tensor.dtype for tensor in tensors[:3])
        return tensors[2]

    monkeypatch.setattr(attention, "flexed", flexed)
    heads = torch.randn(3, 1, 2, 8, 16)
    attention.forest_attention(torch.nn.Identity(), heads[0], heads[1], heads[2].bfloat16(), None)
    assert set(given) == {torch.bfloat16}


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


@pytest.mark.parametrize("window", [None, 16, 300])
@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("spare", [0, 37])
def test_no_block_leaves_out_or_takes_in_what_the_mask_does_not(share: bool, window: int | None, spare: int) -> None:
    for batch in pack(rows(60, prefix=150), budget=1500, share=share):
        mask = block_mask(batch, window, spare)
        size = batch.tokens + spare
        index = torch.arange(size)
        wanted = mask.mask_mod(torch.tensor(0), torch.tensor(0), index[:, None], index[None, :])
        assert torch.equal(wanted[: batch.tokens, : batch.tokens], allowed(batch, window))
        assert wanted.any(1).all(), "every row sees something, itself at least"
        assert not wanted[: batch.tokens, batch.tokens :].any()
        blocks = -(-size // BLOCK)
        padded = torch.zeros(blocks * BLOCK, blocks * BLOCK, dtype=torch.bool)
        padded[:size, :size] = wanted
        tiles = padded.view(blocks, BLOCK, blocks, BLOCK).transpose(1, 2).flatten(2)
        some, whole = (torch.zeros(blocks, blocks, dtype=torch.bool) for _ in range(2))
        for kept, counts, indices in (
            (some, mask.kv_num_blocks, mask.kv_indices),
            (whole, mask.full_kv_num_blocks, mask.full_kv_indices),
        ):
            for row in range(blocks):
                kept[row, indices[0, 0, row, : counts[0, 0, row]].long()] = True
        assert not (some & whole).any()
        assert torch.equal(whole & tiles.all(2), whole), "a whole block holds no pair that does not see"
        assert not (tiles.any(2) & ~(some | whole)).any(), "no pair that sees is left out"
        if window is None:
            assert torch.equal(whole, tiles.all(2))
            assert torch.equal(some | whole, tiles.any(2))


def test_kernels_are_told_what_is_known_of_their_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))

    def told(tokens: int, size: int, dtype: torch.dtype) -> set[str]:
        return set(flex._options(torch.empty(1, 4, tokens, size, dtype=dtype))) - {"BACKEND"}

    assert told(2 * flex.BLOCK, 96, torch.bfloat16) == {"IS_DIVISIBLE"}
    assert told(2 * flex.BLOCK + 1, 96, torch.bfloat16) == set()
    chosen = told(flex.BLOCK, 64, torch.bfloat16)
    assert "bwd_BLOCK_M1" in chosen
    assert all(name.startswith("bwd_") for name in chosen - {"IS_DIVISIBLE"})
    assert told(flex.BLOCK, 64, torch.float32) == {"IS_DIVISIBLE"}
