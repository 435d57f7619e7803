"""What stands in for FlexAttention where there is no GPU: the same interface and mask, as one dense matrix."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def dense(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    score_mod: Any,
    block_mask: Any,
    enable_gqa: bool,
) -> torch.Tensor:
    """Attention under `block_mask`, differentiable on a CPU: pairs in its blocks only, as its function says."""
    tokens, scale = query.shape[2], query.shape[3] ** -0.5
    index = torch.arange(tokens, device=query.device)
    seen = block_mask.mask_mod(torch.tensor(0), torch.tensor(0), index[:, None], index[None, :])
    rows, columns = block_mask.BLOCK_SIZE
    kept = block_mask.to_dense()[0, 0].bool().repeat_interleave(rows, 0).repeat_interleave(columns, 1)
    seen &= kept[:tokens, :tokens]
    if score_mod is None:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=seen, scale=scale, enable_gqa=enable_gqa)
    group = query.shape[1] // key.shape[1]
    scores = score_mod(query @ key.repeat_interleave(group, 1).transpose(2, 3) * scale)
    return scores.masked_fill(~seen, float("-inf")).softmax(-1) @ value.repeat_interleave(group, 1)
