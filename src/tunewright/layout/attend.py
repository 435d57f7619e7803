"""Attention computed block by block (`blocks`) as plain matrix products, forward and backward.

Heads that share keys and values (grouped-query attention) are folded into the rows of the query matrix: queries are
[key heads, tokens, group, size], keys and values [key heads, tokens, size].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from tunewright.layout.blocks import Block, Rows, blocks
from tunewright.layout.forest import MicroBatch


class Attention:
    """Exact attention of one micro-batch; of the queries at row indices `wanted` (sorted) only, where given.

    A token sees the last `window` tokens of its path; scores are capped at ±`softcap` (Gemma 2). None: all, uncapped.
    """

    def __init__(
        self,
        batch: MicroBatch,
        wanted: np.ndarray | None = None,
        *,
        window: int | None = None,
        softcap: float | None = None,
    ) -> None:
        self.plan = blocks(batch, wanted, window if window is not None and window < batch.longest else None)
        self.softcap = softcap

    def forward(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The output, shaped as the (scaled) `query` [key heads, tokens, group, size], and what `backward` needs."""
        return attend(query, key, value, self.plan, self.softcap)

    def backward(
        self,
        grad: torch.Tensor,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        kept: list[torch.Tensor],
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Gradients of query, key and value."""
        return attend_backward(grad, query, key, value, self.plan, kept, self.softcap)


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, plan: Sequence[Block], softcap: float | None = None
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Attention output, shaped as `query`, and for `attend_backward` each block's probabilities and, where scores are
    capped at ±`softcap`, after all of these each block's capped scores over the cap.

    Queries come scaled. Rows that no block asks about are zero.
    """
    heads, _, group, size = query.shape
    out = torch.zeros_like(query)
    kept, capped = [], []
    for block in plan:
        q, k, v = _take(query, block.queries), _take(key, block.own), _take(value, block.own)
        n, rows = block.count, block.length * group
        scores = query.new_empty(heads * n, rows, block.columns)
        q_own, k_own, v_own = (t.reshape(heads * n, -1, size) for t in (q, k, v))
        if block.above is not None:
            q_wide, upper_k = q.reshape(heads, n * rows, size), _take(key, block.above)
            torch.bmm(q_wide, upper_k.transpose(1, 2), out=_upper(scores, block, heads))
        torch.bmm(q_own, k_own.transpose(1, 2), out=_own(scores, block))
        if softcap is not None:
            capped.append(scores.div_(softcap).tanh_())
            scores = scores * softcap
        _fill_spare(scores, block, float("-inf"))
        each = scores.view(heads, n, block.length, group, block.columns)
        _own(each, block).add_(_barrier(block.hidden, each))
        if block.far is not None:
            each[..., : block.above_length].add_(_barrier(block.far, each))
        scores = torch.softmax(scores, -1)
        kept.append(scores)
        result = torch.bmm(_own(scores, block), v_own)
        if block.above is not None:
            result.view(heads, n * rows, size).baddbmm_(_upper(scores, block, heads), _take(value, block.above))
        _put(out, block.valid_queries, result.view(heads, n * block.length, group, size), block.valid)
    return out, kept + capped


def attend_backward(
    grad: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    plan: Sequence[Block],
    kept: list[torch.Tensor],
    softcap: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of query, key and value. A block's own keys are written before its descendants add to them."""
    heads, _, group, size = query.shape
    d_query, d_key, d_value = torch.zeros_like(query), torch.zeros_like(key), torch.zeros_like(value)
    for index, (block, scores) in enumerate(zip(plan, kept[: len(plan)], strict=True)):
        n, rows = block.count, block.length * group
        q, k, v, g = (
            _take(query, block.queries),
            _take(key, block.own),
            _take(value, block.own),
            _take(grad, block.queries),
        )
        if block.padding is not None:
            g.index_fill_(1, block.padding, 0)
        q_own, k_own, v_own, g_own = (t.reshape(heads * n, -1, size) for t in (q, k, v, g))
        d_scores = torch.empty_like(scores)
        torch.bmm(g_own, v_own.transpose(1, 2), out=_own(d_scores, block))
        if block.above is not None:
            upper_k, upper_v = _take(key, block.above), _take(value, block.above)
            g_wide, q_wide = g.reshape(heads, n * rows, size), q.reshape(heads, n * rows, size)
            torch.bmm(g_wide, upper_v.transpose(1, 2), out=_upper(d_scores, block, heads))
        _fill_spare(d_scores, block, 0.0)
        d_scores = torch._softmax_backward_data(d_scores, scores, -1, scores.dtype)
        if softcap is not None:
            capped = kept[len(plan) + index]
            d_scores.sub_(d_scores * capped.square())
        d_q = torch.bmm(_own(d_scores, block), k_own)
        if block.above is not None:
            wide = _upper(d_scores, block, heads)
            d_q.view(heads, n * rows, size).baddbmm_(wide, upper_k)
            _add_product(d_key, block.above, wide, q_wide)
            _add_product(d_value, block.above, _upper(scores, block, heads), g_wide)
        _put(d_query, block.valid_queries, d_q.view(heads, n * block.length, group, size), block.valid)
        d_k = torch.bmm(_own(d_scores, block).transpose(1, 2), q_own).view(heads, n * block.keys, size)
        d_v = torch.bmm(_own(scores, block).transpose(1, 2), g_own).view(heads, n * block.keys, size)
        _put(d_key, block.valid_keys, d_k, block.valid_own)
        _put(d_value, block.valid_keys, d_v, block.valid_own)
    return d_query, d_key, d_value


def _own(scores: torch.Tensor, block: Block) -> torch.Tensor:
    """The columns of the runs' own keys."""
    return scores[..., block.first_own : block.first_own + block.keys]


def _upper(scores: torch.Tensor, block: Block, heads: int) -> torch.Tensor:
    """The columns of the ancestors' keys, which all runs share: [heads, runs × rows, above]."""
    return scores.view(heads, -1, block.columns)[..., : block.above_length]


def _fill_spare(scores: torch.Tensor, block: Block, number: float) -> None:
    for first, last in ((block.above_length, block.first_own), (block.first_own + block.keys, block.columns)):
        if first < last:
            scores[..., first:last] = number


def _barrier(unseen: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """-inf where a key must not be seen, else 0: to be added to the scores in one plain pass."""
    return scores.new_zeros(unseen.shape).masked_fill_(unseen, float("-inf"))


def _take(tensor: torch.Tensor, rows: Rows) -> torch.Tensor:
    return tensor[:, rows] if isinstance(rows, slice) else tensor.index_select(1, rows)


def _put(target: torch.Tensor, rows: Rows, values: torch.Tensor, valid: torch.Tensor | None) -> None:
    values = values if valid is None else values.index_select(1, valid)
    if isinstance(rows, slice):
        target[:, rows] = values
    else:
        target.index_copy_(1, rows, values)


def _add_product(target: torch.Tensor, rows: Rows, left: torch.Tensor, right: torch.Tensor) -> None:
    """target[:, rows] += leftᵀ right."""
    if isinstance(rows, slice):
        target[:, rows].baddbmm_(left.transpose(1, 2), right)
    else:
        target.index_copy_(1, rows, target.index_select(1, rows).baddbmm_(left.transpose(1, 2), right))
