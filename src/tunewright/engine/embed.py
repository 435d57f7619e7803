"""Texts as vectors: a model's hidden states, pooled over the tokens of a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

# Tokens put through the model at once, padding included.
_TOKENS = 8_192
_LONGEST = 512


class Embedder:
    """A model of `transformers` as a function from texts to vectors of length 1, in fp32.

    The vector of a text is the mean of the last layer's states over its tokens, or with `first` the state of its first
    token (as a model's pooling settings ask). Of a text the first 512 tokens count. A causal language model was not
    made for this: its vectors tell topics apart, not fine meaning; whoever uses them centres them.
    """

    def __init__(self, model: Any, tokenizer: Any, *, identity: str, first: bool = False) -> None:
        inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        # A language model's head maps states to words: the states themselves are wanted.
        self._model = getattr(inner, inner.base_model_prefix, inner)
        self._tokenizer = tokenizer
        self._first = first
        self.identity = identity

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors (texts, width), in the order given. A text with no token has the vector 0."""
        rows = [self._ids(text) for text in texts]
        made: list[np.ndarray] = [np.zeros(self._model.config.get_text_config().hidden_size, np.float32)] * len(rows)
        order = sorted((i for i, ids in enumerate(rows) if ids), key=lambda i: len(rows[i]))
        while order:
            size = max(1, _TOKENS // len(rows[order[-1]]))
            batch, order = order[-size:], order[:-size]
            for place, vector in zip(batch, self._states([rows[i] for i in batch]), strict=True):
                made[place] = vector
        return np.stack(made) if made else np.zeros((0, 0), np.float32)

    def _ids(self, text: str) -> list[int]:
        room = getattr(self._model.config.get_text_config(), "max_position_embeddings", None) or _LONGEST
        return list(self._tokenizer(text, truncation=True, max_length=min(_LONGEST, room - 2))["input_ids"])

    def _states(self, rows: Sequence[Sequence[int]]) -> np.ndarray:
        device = next(self._model.parameters()).device
        longest = max(map(len, rows))
        ids = torch.zeros((len(rows), longest), dtype=torch.long, device=device)
        mask = torch.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row, device=device)
            mask[place, : len(row)] = 1
        with torch.inference_mode():
            states = self._model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
            pooled = states[:, 0] if self._first else (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
            vectors: np.ndarray = torch.nn.functional.normalize(pooled, dim=-1).cpu().numpy()
        return vectors
