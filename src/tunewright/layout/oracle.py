"""Who may see whom, as a dense matrix: the definition that every fast backend is tested against."""

from __future__ import annotations

import torch

from tunewright.layout.forest import MicroBatch


def allowed(batch: MicroBatch, window: int | None = None) -> torch.Tensor:
    """Boolean [tokens, tokens]: true where the row's token may attend to the column's.

    With a sliding `window` a token sees only the last `window` tokens of its path, itself included.
    """
    mask = torch.zeros(batch.tokens, batch.tokens, dtype=torch.bool)
    for segment in batch.segments:
        own = slice(segment.start, segment.start + segment.length)
        mask[own, own] = torch.ones(segment.length, segment.length, dtype=torch.bool).tril()
        parent = segment.parent
        while parent >= 0:
            above = batch.segments[parent]
            mask[own, above.start : above.start + above.length] = True
            parent = above.parent
    if window is not None:
        mask &= batch.positions[:, None] - batch.positions[None, :] < window
    return mask
