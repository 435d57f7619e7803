"""K7: a step's gradients equal those of one example at a time, however it is laid out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.families import CONFIGS, model_of, rows
from tunewright.train import Settings, fit
from tunewright.train.adapters import prepare, trainable
from tunewright.train.choice import choose
from tunewright.train.plain import fit_plainly, gradients
from tunewright.train.step import Computer

SETTINGS = Settings(rank=4, alpha=8.0, effective_batch_size=8)
EXPECTED = {
    "llama": "forest by fused",
    "mistral": "forest by fused",
    "qwen2": "forest by fused",
    "qwen3": "forest by modules",
    "mixtral": "forest by modules",
    "qwen-moe": "forest by modules",
    "phi3": "forest by modules",
    "gemma3": "forest by modules",
    "gpt-neox": "forest by modules",
    # What cannot be computed as a forest falls back, and says why.
    "mistral-sliding": "padded by modules",
    "gemma2": "padded by modules",
    "gemma3-sliding": "padded by modules",
    "bloom": "padded by modules",
    "bamba": "padded by modules",
}


def _tuned(family: str, settings: Settings = SETTINGS) -> Any:
    model = prepare(model_of(family), settings)
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.1)
    return model.eval()


def _gradients(model: Any) -> dict[str, torch.Tensor]:
    found = {name: p.grad.clone() for name, p in trainable(model).items() if p.grad is not None}
    model.zero_grad()
    return found


def _apart(got: dict[str, torch.Tensor], want: dict[str, torch.Tensor]) -> float:
    """The largest relative difference of any tensor that has a gradient to speak of."""
    assert got.keys() == want.keys()
    largest = max(float(grad.norm()) for grad in want.values())
    return max(float((got[n] - want[n]).norm() / want[n].norm().clamp(min=1e-4 * largest)) for n in want)


@pytest.mark.parametrize("family", CONFIGS)
def test_every_family_gets_a_layout_with_equal_gradients(family: str) -> None:
    model, examples = _tuned(family), rows()
    choice = choose(model, examples, SETTINGS)
    assert choice.how == EXPECTED[family]
    assert bool(choice.refused) == (not choice.how.startswith("forest"))
    batches = choice.computer.lay_out(examples, 10_000)
    loss = choice.computer.accumulate(batches, sum(batch.weight for batch in batches))
    got = _gradients(model)
    want_loss = gradients(model, examples)
    assert loss == pytest.approx(want_loss, rel=1e-6)
    assert _apart(got, _gradients(model)) <= 1e-5


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize(("budget", "size"), [(10_000, 8), (150, 8), (1, 8), (10_000, 3)])
def test_any_micro_batch_any_sharing(fused: bool, share: bool, budget: int, size: int) -> None:
    model, examples = _tuned("llama"), rows()
    computer = Computer(model, "float32", "forest", fused=fused, share=share)
    batches = [b for i in range(0, 8, size) for b in computer.lay_out(examples[i : i + size], budget)]
    assert sum(batch.examples for batch in batches) == 8
    loss = computer.accumulate(batches, sum(batch.weight for batch in batches))
    got = _gradients(model)
    assert loss == pytest.approx(gradients(model, examples), rel=1e-6)
    assert _apart(got, _gradients(model)) <= 1e-5


@pytest.mark.parametrize("preset", ["minimal", "standard", ("down_proj",), ("up_proj", "o_proj")])
def test_any_set_of_adapted_layers(preset: str | tuple[str, ...]) -> None:
    settings = SETTINGS.model_copy(update={"target_modules": preset})
    model, examples = _tuned("llama", settings), rows()
    choice = choose(model, examples, settings)
    assert choice.how == "forest by fused"
    batches = choice.computer.lay_out(examples, 10_000)
    choice.computer.accumulate(batches, sum(batch.weight for batch in batches))
    got = _gradients(model)
    gradients(model, examples)
    assert _apart(got, _gradients(model)) <= 1e-5


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_whole_run_has_the_losses_of_its_plain_twin(method: str, tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {
            "method": method,
            "rank": 4,
            "alpha": 8,
            "effective_batch_size": 5,
            "epochs": 2,
            "learning_rate": 5e-3 if method == "lora" else 1e-3,
            "micro_batch_tokens": 200,
            "schedule": "cosine",
            "weight_decay": 0.1,
        }
    )
    told: list[Any] = []
    fit(model_of("llama"), rows(12), [], settings, directory=tmp_path, on_event=told.append)
    losses = [event["loss"] for event in told if event["type"] == "step"]
    plain = fit_plainly(model_of("llama"), rows(12), settings)
    assert losses == pytest.approx(plain, abs=1e-5)
    assert losses[-1] < losses[0]
