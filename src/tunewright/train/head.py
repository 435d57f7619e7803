"""Vocabulary head and cross-entropy together, in chunks: no states × vocabulary matrix is ever whole."""

from __future__ import annotations

import torch

# Targets per chunk; a chunk of logits should stay in the processor's cache.
_CHUNK = 256


def loss_and_grad(
    states: torch.Tensor, head: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor, backward: bool
) -> tuple[float, torch.Tensor | None]:
    """Weighted sum of cross-entropies, and its gradient with respect to `states`.

    `states` [targets, width] and `head` [vocabulary, width] share a type; `labels` and `weights` are [targets].
    """
    total = 0.0
    grads = torch.empty_like(states) if backward else None
    for first in range(0, states.shape[0], _CHUNK):
        part = slice(first, first + _CHUNK)
        weight, label = weights[part, None], labels[part, None]
        logits = torch.mm(states[part], head.t())
        chosen = logits.gather(1, label).float()
        highest = logits.amax(1, keepdim=True).float()
        shares = torch.softmax(logits, 1, dtype=torch.float32)
        # The share of the highest logit is never tiny, so its logarithm gives the normaliser without loss.
        normaliser = highest - shares.amax(1, keepdim=True).log()
        total += float(((normaliser - chosen) * weight).sum())
        if grads is not None:
            shares.scatter_add_(1, label, torch.full_like(chosen, -1.0))
            # Weighed after the product, where a row is as narrow as a state and not as wide as the vocabulary.
            torch.mm(shares.to(states.dtype), head, out=grads[part]).mul_(weight)
    return total, grads
