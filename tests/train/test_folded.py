"""Adapters added into the weights once per update: the same losses and gradients as added to every token's output."""

from __future__ import annotations

import pytest
import torch

from tests.train.families import model_of, rows
from tunewright.layout import pack
from tunewright.models import quantised
from tunewright.train import Settings, folded
from tunewright.train.adapters import prepare, trainable
from tunewright.train.plain import gradients
from tunewright.train.step import Computer


def _computed(
    family: str, targets: str | tuple[str, ...], tokens: int, patch: pytest.MonkeyPatch
) -> tuple[set[str], float, dict[str, torch.Tensor]]:
    """Kinds of products, loss and gradients of a step after an update, narrow layers being those of `tokens`."""
    patch.setattr(folded, "_TOKENS", tokens)
    settings = Settings(rank=4, alpha=8.0, target_modules=targets)
    model = prepare(model_of(family), settings)
    computer = Computer(model, "float32", "forest", fused=True, share=True)
    torch.manual_seed(1)
    for parameter in trainable(model).values():
        parameter.data.normal_(0, 0.1)
    computer.refresh()
    batches = pack(rows(), budget=10_000, share=True)
    loss = computer.accumulate(batches, sum(batch.weight for batch in batches))
    made = {type(p).__name__ for layer in computer.decoder.layers for p in layer.products}
    found = {name: p.grad.clone() for name, p in trainable(model).items()}
    model.zero_grad()
    assert loss == pytest.approx(gradients(model, rows()), rel=1e-5)
    return made, loss, found


# Qwen's layers have biases; adapters on some layers of a stack, on all, and on those before no norm.
@pytest.mark.parametrize("family", ["llama", "qwen2"])
@pytest.mark.parametrize("targets", ["all-linear", ("q_proj", "up_proj"), ("down_proj",)], ids=str)
def test_both_ways_are_one(family: str, targets: str | tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    made, loss, found = _computed(family, targets, 10_000, monkeypatch)
    others, beside, wanted = _computed(family, targets, 0, monkeypatch)
    assert (made, others) == ({"Folded"}, {"Product"})
    assert loss == pytest.approx(beside, rel=1e-6)
    for name, grad in wanted.items():
        assert torch.allclose(found[name], grad, rtol=1e-4, atol=1e-6 * float(grad.abs().max())), name


def test_only_narrow_whole_layers_in_float32_are() -> None:
    narrow, wide = torch.nn.Linear(64, 64), torch.nn.Linear(2048, 2048)
    assert folded.folds([narrow], torch.float32)
    assert not folded.folds([narrow], torch.bfloat16)
    assert not folded.folds([narrow.bfloat16()], torch.float32)
    assert not folded.folds([wide], torch.float32)
    model = prepare(model_of("llama"), Settings(method="qlora", rank=4, alpha=8.0))
    assert not folded.folds([model.get_base_model().model.layers[0].mlp.up_proj], torch.float32)
    assert quantised.layers(model)
