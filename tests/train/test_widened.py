"""A base in bfloat16 is probed in float32: the same numbers, held in fewer bits, give the same loss and gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from tests.train.families import model_of, rows
from tunewright.train import Settings
from tunewright.train.adapters import prepare, trainable
from tunewright.train.choice import choose, outcome
from tunewright.train.step import Computer
from tunewright.train.widened import in_float32, narrow

SETTINGS = Settings(rank=4, alpha=8.0, effective_batch_size=8, steps=2, learning_rate=5e-3, precision="bfloat16")
# With norms of float32, with norms of PyTorch's, with experts and convolutions, which are no linear layers.
FAMILIES = ["qwen3", "gpt-neox", "bloom", "mixtral", "qwen-moe", "gpt-oss", "bamba"]


def tuned(family: str, *dtypes: torch.dtype) -> Any:
    """A model whose frozen weights went through `dtypes`, with an adapter that does something."""
    model = model_of(family)
    for parameter in model.parameters():
        for dtype in dtypes:
            parameter.data = parameter.data.to(dtype)
    model = prepare(model, SETTINGS).eval()
    torch.manual_seed(1)
    for parameter in trainable(model).values():
        parameter.data = 0.05 * torch.randn_like(parameter)
    return model


def plainly(model: Any) -> tuple[float, Sequence[torch.Tensor]]:
    return outcome(model, Computer(model, "float32", "alone", fused=False, share=False), rows())


@pytest.mark.parametrize("family", FAMILIES)
def test_it_gives_what_the_same_weights_give_in_float32(family: str) -> None:
    got = plainly(tuned(family, torch.bfloat16))
    want = plainly(tuned(family, torch.bfloat16, torch.float32))
    assert got[0] == pytest.approx(want[0], rel=1e-5)
    for one, other in zip(got[1], want[1], strict=True):
        assert float((one - other).norm()) <= 1e-4 * float(other.norm()) + 1e-7


@pytest.mark.parametrize("family", [*FAMILIES, "gemma3", "gemma3-sliding"])
def test_as_much_is_packed_as_of_the_same_base_in_float32(family: str) -> None:
    """Held to bfloat16's own differences, a base whose experts are no linear layers was trained row by row."""
    got, want = (choose(tuned(family, *dtypes), rows(), SETTINGS) for dtypes in ([torch.bfloat16], []))
    assert (got.how, got.computer.share) == (want.how, want.computer.share)
    assert got.how == ("padded by modules" if family in ("bloom", "gpt-oss", "bamba") else "forest by modules")


def test_nothing_of_it_is_left_behind() -> None:
    model = tuned("mixtral", torch.bfloat16)
    before = {name: (p, p.clone()) for name, p in model.named_parameters()}
    modules = narrow(model)
    with pytest.raises(IndexError), in_float32(modules):
        model(input_ids=torch.tensor([[10_000]]))
    plainly(model)
    for name, parameter in model.named_parameters():
        assert parameter is before[name][0] and torch.equal(parameter, before[name][1]), name
    assert not any("forward" in vars(module) for module in modules)


def test_no_wide_weight_waits_for_the_way_back() -> None:
    """Those of one layer's experts in float32 can be had; of all layers at once, they would be a second base."""
    model, kept = tuned("mixtral", torch.bfloat16), []
    experts = {p.shape for name, p in model.named_parameters() if "experts" in name}

    def seen(tensor: torch.Tensor) -> torch.Tensor:
        kept.append((tensor.shape, tensor.dtype))
        return tensor

    with saved_tensors_hooks(seen, lambda tensor: tensor):
        plainly(model)
    assert len(experts) == 2 and kept
    assert not [shape for shape, dtype in kept if shape in experts and dtype is torch.float32]


def test_what_cannot_be_probed_in_float32_is_computed_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module may read a weight of another one, and meet it in bfloat16."""

    def fails(*_: Any, **__: Any) -> Any:
        raise RuntimeError("expected scalar type Float but found BFloat16")

    monkeypatch.setattr("tunewright.train.widened._widened", fails)
    choice = choose(tuned("mixtral", torch.bfloat16), rows(), SETTINGS)
    assert choice.how == "one example at a time"
    assert choice.refused == ("forest by modules: no probe in float32, expected scalar type Float but found BFloat16",)
