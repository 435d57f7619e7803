"""A model's own head in chunks: its own logits, adapted, tied, capped and scaled, and never all of them at once."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.train.families import CONFIGS, model_of, rows
from tunewright.errors import TrainingError
from tunewright.train import Settings, head
from tunewright.train.adapters import prepare, targets, trainable
from tunewright.train.choice import choose
from tunewright.train.head import cut
from tunewright.train.plain import gradients
from tunewright.train.step import Computer

SETTINGS = Settings(rank=4, alpha=8.0, effective_batch_size=8)
PIECE = 7


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "_MOST", PIECE * 96)


def _tuned(family: str, **more: Any) -> Any:
    model = prepare(model_of(family), SETTINGS.model_copy(update=more))
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.1)
    return model.eval()


def _taken(model: Any) -> dict[str, torch.Tensor]:
    found = {name: p.grad.clone() for name, p in trainable(model).items() if p.grad is not None}
    model.zero_grad()
    return found


def _same(got: dict[str, torch.Tensor], want: dict[str, torch.Tensor]) -> None:
    assert got.keys() == want.keys()
    largest = max(float(grad.norm()) for grad in want.values())
    for name, grad in want.items():
        assert float((got[name] - grad).norm() / grad.norm().clamp(min=1e-4 * largest)) <= 1e-5, name


def _asked(model: Any) -> list[int]:
    """How many states each call of the head gets from now on."""
    sizes: list[int] = []
    model.get_output_embeddings().register_forward_hook(lambda _, __, out: sizes.append(out[..., 0].numel()))
    return sizes


@pytest.mark.parametrize("layout", ["forest", "padded"])
@pytest.mark.parametrize("family", CONFIGS)
def test_every_familys_head_in_pieces(family: str, layout: Any) -> None:
    model, examples = _tuned(family), rows()
    found = cut(model, examples[0].ids)
    assert found is not None
    if layout == "forest" and family in ("bloom", "bamba", "gpt-oss"):
        pytest.skip("no forest for this family")
    computer = Computer(model, "float32", layout, fused=False, share=True, cut=found)
    sizes = _asked(model)
    batches = computer.lay_out(examples, 10_000)
    loss = computer.accumulate(batches, sum(batch.weight for batch in batches))
    got = _taken(model)
    assert sum(sizes) == sum(row.supervised for row in examples)
    assert max(sizes) == PIECE
    value, weight = computer.summed_loss(batches)
    assert value / weight == pytest.approx(loss, rel=1e-6)
    assert loss == pytest.approx(gradients(model, examples), rel=1e-6)
    _same(got, _taken(model))


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_heads_that_are_tuned_too(family: str) -> None:
    """All weights, with a head that is the embeddings (llama) and one of its own."""
    model, examples = prepare(model_of(family), SETTINGS.model_copy(update={"method": "full"})).eval(), rows()
    choice = choose(model, examples, SETTINGS.model_copy(update={"method": "full"}))
    assert choice.how == "forest by modules"
    assert choice.computer.cut is not None
    batches = choice.computer.lay_out(examples, 10_000)
    choice.computer.accumulate(batches, sum(batch.weight for batch in batches))
    got = _taken(model)
    gradients(model, examples)
    _same(got, _taken(model))


@pytest.mark.parametrize("names", [("lm_head",), ("q_proj", "down_proj", "lm_head")])
def test_an_adapted_head(names: tuple[str, ...]) -> None:
    model, examples = _tuned("qwen2", target_modules=names), rows()
    assert any("lm_head.lora_B" in name for name in trainable(model))
    choice = choose(model, examples, SETTINGS)
    assert choice.how == "forest by modules"
    batches = choice.computer.lay_out(examples, 150)
    loss = choice.computer.accumulate(batches, sum(batch.weight for batch in batches))
    got = _taken(model)
    assert loss == pytest.approx(gradients(model, examples), rel=1e-6)
    _same(got, _taken(model))


def test_a_head_that_is_the_embeddings_gets_no_adapter() -> None:
    with pytest.raises(TrainingError, match="weights of the embeddings") as error:
        targets(model_of("llama"), ("lm_head",))
    assert "Leave `lm_head` out" in error.value.remedy


def test_a_model_that_cannot_be_cut_is_asked_whole() -> None:
    model, examples = _tuned("qwen3"), rows()
    model.get_base_model().base_model_prefix = "nothing_here"
    assert cut(model, examples[0].ids) is None
    choice = choose(model, examples, SETTINGS)
    assert choice.computer.cut is None
    assert choice.how == "forest by modules"


def test_a_cut_that_would_give_other_logits_is_not_made() -> None:
    model, examples = _tuned("qwen3"), rows()
    causal = model.get_base_model()
    really = type(causal).forward

    def shifted(*given: Any, **more: Any) -> Any:
        out = really(causal, *given, **more)
        # What it adds depends on the row as a whole, so a piece of it gets another.
        out.logits = out.logits + more["input_ids"].float().mean()
        return out

    causal.forward = shifted
    assert cut(model, examples[0].ids) is None
