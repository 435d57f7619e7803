"""The widest way: padded batches through the model's own `generate` and cache. Slower, and true for every family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tunewright.engine.sampling import Chooser, Sampling


class _OurChoice:
    """Leaves only the token that our sampling chooses, so that every family draws by the same rules and streams."""

    def __init__(self, chooser: Chooser) -> None:
        self.chooser = chooser

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        chosen = torch.tensor(self.chooser(scores, range(scores.shape[0])), device=scores.device)
        return torch.full_like(scores, float("-inf")).scatter_(-1, chosen[:, None], 0.0)


def generate(
    model: Any,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    stop_ids: frozenset[int],
    pad_id: int,
    chooser: Chooser,
) -> list[list[int]]:
    """Continue each prompt; outputs include the stop token."""
    from transformers import GenerationConfig, LogitsProcessorList

    device = model.get_input_embeddings().weight.device
    width = max(map(len, prompts))
    config = GenerationConfig(
        max_new_tokens=sampling.max_new_tokens,
        do_sample=False,
        eos_token_id=sorted(stop_ids) or None,
        pad_token_id=pad_id,
    )
    # The model's own defaults (a repetition penalty, a temperature) are not what was asked for.
    kept, model.generation_config = model.generation_config, config
    try:
        out = model.generate(
            torch.tensor([[pad_id] * (width - len(p)) + list(p) for p in prompts], device=device),
            attention_mask=torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=device),
            logits_processor=LogitsProcessorList([_OurChoice(chooser)]),
        )
    finally:
        model.generation_config = kept
    return [_until_stop(row, stop_ids) for row in out[:, width:].tolist()]


def _until_stop(ids: list[int], stop_ids: frozenset[int]) -> list[int]:
    end = next((place for place, token in enumerate(ids) if token in stop_ids), len(ids) - 1)
    return ids[: end + 1]


def logprobs(model: Any, wanted: Sequence[tuple[Sequence[int], int]], pad_id: int) -> list[list[float]]:
    """Log-probability of each sequence's tokens from its start on; padded on the right, where nothing can see it."""
    device = model.get_input_embeddings().weight.device
    width = max(len(ids) for ids, _ in wanted)
    found: list[list[float]] = []
    # A few rows at a time: here the logits of all positions are whole.
    for at in range(0, len(wanted), 8):
        part = wanted[at : at + 8]
        ids = torch.tensor([list(r) + [pad_id] * (width - len(r)) for r, _ in part], device=device)
        mask = torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r, _ in part], device=device)
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1].float()
        values = (logits.gather(-1, ids[:, 1:, None])[..., 0] - logits.logsumexp(dim=-1)).tolist()
        found += [row[start - 1 : len(r) - 1] for row, (r, start) in zip(values, part, strict=True)]
    return found
