"""Grows a narrower Llama into a wider one of the same depth, keeping what it computes.

What is added cannot be heard at first: new units of the MLP and new heads read but do not write yet, new residual
dimensions are written only by small embeddings. The norms' scale makes up for the wider mean.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from .network import Seedling
from .tokenizer import CALL_END_ID, CALL_ID

QUIET = 0.3  # of the old embeddings' spread, in the new dimensions
WRITERS = ("o_proj.weight", "down_proj.weight")


def widened(old: Tensor, new: Tensor, name: str, hidden: int) -> Tensor:
    """`new` is the fresh parameter, `old` goes to its upper left corner."""
    if name.endswith("norm.weight"):
        out = torch.full_like(new, float(old.mean()))
        out[: len(old)] = old
        return out * (hidden / len(new)) ** 0.5
    out = new.clone() * (0.0 if name.endswith(WRITERS) else 1.0)
    if "embed" in name:
        out = torch.randn_like(new) * old.std() * QUIET
    elif not name.endswith(WRITERS):
        out *= old.std() / new.std()
    out[: old.shape[0], : old.shape[1]] = old
    return out


@torch.no_grad()
def widen(model: Seedling, folder: Path) -> None:
    """Sets `model`'s weights from the narrower model in `folder`; the tool marks' embeddings start as new ones."""
    found = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
    hidden = found["model.norm.weight"].shape[0]
    fresh = model.state_dict()
    model.load_state_dict({name: widened(found[name], fresh[name], name, hidden) for name in fresh})
    embeddings = model.model.embed_tokens.weight
    for mark in (CALL_ID, CALL_END_ID):
        embeddings[mark] = embeddings.mean(0) + torch.randn_like(embeddings[mark]) * embeddings.std() * QUIET
