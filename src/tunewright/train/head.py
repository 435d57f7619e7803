"""Vocabulary head and cross-entropy together, in chunks: no states × vocabulary matrix is ever whole."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F

from tunewright.train.products import times

# Targets per chunk; a chunk of logits should stay in the processor's cache.
_CHUNK = 192
# Logits per chunk of a model's own head. About three times as many numbers are alive while a chunk goes back.
_MOST = 1 << 25
MOST_ON_GPU = 1 << 27
# What a model raises that is not made as was thought.
REFUSALS = (RuntimeError, TypeError, ValueError, AttributeError, LookupError, NotImplementedError)


def loss_and_grad(
    states: torch.Tensor, head: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor, backward: bool
) -> tuple[float, torch.Tensor | None]:
    """Weighted sum of cross-entropies, and its gradient with respect to `states`.

    `states` [targets, width] and `head` [vocabulary, width] share a type; `labels` and `weights` are [targets].
    """
    total = 0.0
    grads = torch.empty_like(states) if backward else None
    # Alike in size: a product of few rows runs at half of the rate.
    size = -(-states.shape[0] // max(1, -(-states.shape[0] // _CHUNK)))
    for first in range(0, states.shape[0], size):
        part = slice(first, first + size)
        weight, label = weights[part, None], labels[part, None]
        shares = times(states[part], head).float()
        chosen, highest = shares.gather(1, label), shares.amax(1, keepdim=True)
        # In one room from here on: logits, then shares of `sums`, then their gradient.
        sums = shares.sub_(highest).exp_().sum(1, keepdim=True)
        total += float(((sums.log() + highest - chosen) * weight).sum())
        if grads is not None:
            shares.scatter_add_(1, label, -sums)
            # Divided and weighed after the product, where a row is no longer as wide as the vocabulary.
            torch.mm(shares.to(states.dtype), head, out=grads[part]).mul_(weight / sums)
    return total, grads


class Cut:
    """A model of transformers cut where its body ends, so that its own head is asked piece by piece.

    What the family does behind the body – an adapted or tied head, caps, scales – is done by its own code: while a
    piece is asked, the body gives back that piece's states instead of computing.
    """

    def __init__(self, model: Any) -> None:
        """Raises `AttributeError` where the model does not say which part of it is the body."""
        self.causal = model.get_base_model() if hasattr(model, "get_base_model") else model
        self.body = getattr(self.causal, self.causal.base_model_prefix)
        most = MOST_ON_GPU if next(self.causal.parameters()).is_cuda else _MOST
        self.most = max(1, most // int(self.causal.config.get_text_config().vocab_size))
        self.kind: Any = None

    def states(self, **inputs: Any) -> torch.Tensor:
        """The body's last states, [rows, tokens, width]."""
        outputs = self.body(**inputs, use_cache=False)
        self.kind = type(outputs)
        states: torch.Tensor = outputs.last_hidden_state
        return states

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """The head's logits [targets, vocabulary] of the body's `states` [targets, width]."""
        with self._given(self.kind(last_hidden_state=states[None])):
            asked = torch.zeros(1, states.shape[0], dtype=torch.long, device=states.device)
            logits: torch.Tensor = self.causal(input_ids=asked, use_cache=False).logits[0]
            return logits

    @contextlib.contextmanager
    def _given(self, outputs: Any) -> Iterator[None]:
        # Some wrap a module's forward pass in just this way (accelerate): theirs is put back.
        before = self.body.__dict__.get("forward")
        self.body.forward = lambda *_, **__: outputs
        try:
            yield
        finally:
            del self.body.forward
            if before is not None:
                self.body.forward = before

    def loss(
        self,
        states: torch.Tensor,
        labels: torch.Tensor,
        weights: torch.Tensor,
        casting: contextlib.AbstractContextManager[Any],
        backward: bool,
    ) -> torch.Tensor:
        """Weighted sum of the cross-entropies of `labels` after the body's `states`, [targets] each.

        With `backward` its gradients go all the way. `casting` is entered for every forward pass of the head.
        """
        through = backward and states.requires_grad
        grad, total = torch.empty_like(states) if through else None, weights.new_zeros((), dtype=torch.float64)
        for first in range(0, len(labels), self.most):
            part = slice(first, first + self.most)
            piece = states[part].detach().requires_grad_(through)
            with casting:
                logits = self.logits(piece)
            loss = (F.cross_entropy(logits.float(), labels[part], reduction="none") * weights[part]).sum()
            if backward:
                loss.backward()  # type: ignore[no-untyped-call]
            if grad is not None:
                grad[part] = piece.grad
            total += loss.detach()
        if grad is not None:
            states.backward(grad)  # type: ignore[no-untyped-call]
        return total


def cut(model: Any, ids: tuple[int, ...]) -> Cut | None:
    """`model` cut before its head, proved on one row of `ids`; None where that would not give its own logits."""
    row = torch.tensor([ids], device=next(model.parameters()).device)
    try:
        found = Cut(model)
        with torch.no_grad():
            got = found.logits(found.states(input_ids=row)[0])
            want = model(input_ids=row, use_cache=False).logits[0]
    except REFUSALS:
        return None
    return found if got.shape == want.shape and torch.allclose(got, want, rtol=1e-5, atol=1e-5) else None
