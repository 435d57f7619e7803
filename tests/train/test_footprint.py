"""What a run will take of memory, counted beforehand, beside the tensors that are really alive."""

from __future__ import annotations

import copy
import random
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, BloomConfig, Gemma2Config, LlamaConfig, MixtralConfig, Qwen3Config

from tests.train.families import SHAPE
from tunewright.models import quantised
from tunewright.records import Footprint, Rendered
from tunewright.train import Settings, footprint
from tunewright.train.adapters import prepare
from tunewright.train.alive import Alive
from tunewright.train.choice import choose

SETTINGS = Settings(rank=8, alpha=16.0, effective_batch_size=8, steps=3, checkpoints=1)
LLAMA, QWEN3 = LlamaConfig(**SHAPE), Qwen3Config(**SHAPE, head_dim=16)
BLOOM = BloomConfig(vocab_size=512, hidden_size=64, n_layer=3, n_head=4)
ROOM = 1e12
MODULE = sys.modules["tunewright.train.footprint"]  # the front has a function of its name


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """With two, half of a step is computed in another thread, whose tensors `Alive` does not see."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _rows(count: int, length: int, answer: int = 12) -> list[Rendered]:
    """Random rows of about `length` tokens, the last `answer` of each supervised."""
    draw = random.Random(length)
    made = []
    for _ in range(count):
        size = draw.randint(length * 3 // 4, length * 5 // 4)
        ids = tuple(draw.randrange(3, 96) for _ in range(size))
        made.append(Rendered(ids, (0.0,) * (size - answer) + (1.0,) * answer, size - answer))
    return made


def _model(config: Any = LLAMA, device: str = "cpu") -> Any:
    torch.manual_seed(0)
    with torch.device(device):
        return AutoModelForCausalLM.from_config(config).requires_grad_(False)


def _with(**changes: Any) -> Settings:
    return SETTINGS.model_copy(update=changes)


def _of(model: Any, settings: Settings = SETTINGS, rows: Any = None, **more: Any) -> Footprint:
    rows = rows or _rows(8, 40)
    found = footprint(model, rows, settings, **{"total": len(rows), "free": ROOM, **more})
    assert found is not None
    return found


def _really(model: Any, settings: Settings, rows: list[Rendered]) -> tuple[Any, int]:
    """How a run computes, and the most bytes that are alive in one step on all `rows`, weights and optimiser apart."""
    with Alive() as alive:
        model = prepare(model, settings)
        made = alive.now
        choice = choose(model, rows, settings)
        if settings.activation_checkpointing is True:
            choice.computer.recompute()
        model.train()
        alive.peak = alive.now
        choice.computer.accumulate(choice.computer.lay_out(rows, 16_384), 1.0)
        return choice, alive.peak - made


def test_alive_counts_what_only_the_backward_pass_holds() -> None:
    with Alive() as alive:
        start = torch.ones(1_000, requires_grad=True)
        end = start.exp().exp().sum()
        assert alive.now == 3 * 4_000 + 4, "the first exponential has no name any more, and is needed"
        end.backward()
        del end
        assert alive.now == 2 * 4_000, "the start and its gradient"
        assert alive.peak > 3 * 4_000


@pytest.mark.parametrize(
    ("config", "changes"),
    [
        (LLAMA, {}),
        (LLAMA, {"activation_checkpointing": True}),
        (LLAMA, {"dropout": 0.1}),
        (LLAMA, {"method": "qlora"}),
        (QWEN3, {"method": "full"}),
        (QWEN3, {"activation_checkpointing": True}),
        (BLOOM, {}),
    ],
    ids=lambda one: getattr(one, "model_type", None) or "_".join(map(str, one.values())) or "lora",
)
def test_shapes_alone_tell_what_a_step_holds(config: Any, changes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "_BY_MODULES", 1.0)  # what is alive is told here, not what it takes
    settings, rows = _with(**changes), _rows(8, 60)
    bases = _model(config), _model(config)
    if settings.method == "qlora":
        pytest.importorskip("bitsandbytes")
        bases = tuple(map(quantised.quantise, bases))
    found = _of(bases[0], settings, rows)
    choice, held = _really(bases[1], settings, rows)
    apart = ("weights", "rows", "runtime", "optimizer")
    parts = {name: size for name, size in found.parts.items() if name not in apart}
    assert found.moment == "step"
    assert sum(parts.values()) == pytest.approx(held, rel=0.07), (choice.how, parts)
    assert found.trained == sum(p.numel() for p in choice.computer.model.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("config", "changes"),
    [
        (LLAMA, {}),
        (LLAMA, {"method": "qlora"}),
        (QWEN3, {"method": "full"}),
        (BLOOM, {"activation_checkpointing": True}),
    ],
    ids=lambda one: getattr(one, "model_type", None) or "_".join(map(str, one.values())) or "lora",
)
def test_a_few_layers_tell_of_all(config: Any, changes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    deep, settings, counted = copy.deepcopy(config), _with(**changes), []
    deep.num_hidden_layers = 5
    if hasattr(deep, "layer_types"):
        deep.layer_types = ["full_attention"] * 5
    model = _model(deep)
    if settings.method == "qlora":
        pytest.importorskip("bitsandbytes")
        model = quantised.quantise(model)
    before = MODULE._twin
    monkeypatch.setattr(MODULE, "_twin", lambda asked, layers: counted.append(layers) or before(asked, layers))
    rows = _rows(2, 20)
    few = _of(model, settings, rows)
    monkeypatch.setattr(MODULE, "_FEW", (5, 6))
    assert few == _of(model, settings, rows)
    assert counted == [2, 3, 5]


def test_layers_that_are_not_alike_are_all_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Gemma2Config(**{**SHAPE, "num_hidden_layers": 4}, head_dim=16)
    assert len(set(config.layer_types)) == 2
    before, counted = MODULE._twin, []
    monkeypatch.setattr(MODULE, "_twin", lambda asked, layers: counted.append(layers) or before(asked, layers))
    _of(_model(config, "meta"), rows=_rows(4, 20))
    assert counted == [4]


def test_layers_that_are_named_one_by_one_are_all_counted() -> None:
    config = LlamaConfig(**{**SHAPE, "num_hidden_layers": 5})
    found = _of(_model(config, "meta"), _with(target_modules=("layers.4.mlp.up_proj",)), _rows(4, 20))
    assert found.trained == 8 * (64 + 160)


def test_nothing_is_told_of_a_family_that_needs_numbers_to_compute() -> None:
    rows = _rows(4, 20)
    config = MixtralConfig(**SHAPE, num_local_experts=4)
    assert footprint(_model(config, "meta"), rows, SETTINGS, total=4, free=ROOM) is None


def test_what_goes_on_token_by_token_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunewright.train.alive._MOST", 500)
    assert footprint(_model(), _rows(16, 40), SETTINGS, total=16, free=ROOM) is None


def test_quantising_after_a_count_gives_the_same_bits() -> None:
    """bitsandbytes keeps a table for all weights to come; made on the meta device it would have no numbers."""
    bnb = pytest.importorskip("bitsandbytes")
    want = [p.clone() for p in quantised.quantise(_model()).parameters()]
    bnb.functional.name2qmap.clear()
    _of(_model(device="meta"), _with(method="qlora"))
    assert {table.device.type for table in bnb.functional.name2qmap.values()} == {"cpu"}
    model = quantised.quantise(_model())
    got = list(model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))
    restored = quantised.weight_of(quantised.layers(model)[0])
    assert restored.abs().sum() > 0 and restored.isfinite().all()


def test_a_count_leaves_attention_as_it_was() -> None:
    before = torch.nn.functional.scaled_dot_product_attention
    _of(_model(device="meta"), rows=_rows(2, 20))
    assert torch.nn.functional.scaled_dot_product_attention is before


def test_seventy_billion_weights_are_counted_without_one_of_them_in_memory() -> None:
    shape = {"vocab_size": 32_000, "hidden_size": 8_192, "intermediate_size": 28_672, "num_attention_heads": 64}
    model = _model(LlamaConfig(**shape, num_hidden_layers=3, num_key_value_heads=8), "meta")
    weights = 4 * sum(p.numel() for p in model.parameters())
    head = 4 * 32_000 * 8_192
    lora = _of(model)
    assert lora.parts["weights"] == pytest.approx(weights, rel=0.01)
    assert lora.parts["laid_out"] == pytest.approx(weights - 2 * head, rel=0.01), "layers a second time"
    full = _of(model, _with(method="full"))
    assert full.trained == weights / 4
    assert full.parts["optimizer"] == 2 * weights
    assert full.parts["gradients"] == weights


def test_the_interval_widens_where_not_all_rows_are_known() -> None:
    rows = _rows(12, 20) + _rows(8, 120)
    model = _model(QWEN3)  # by modules, a step has the activations of all its rows at once
    known, sampled = _of(model, rows=rows), _of(model, rows=rows, total=50_000)
    assert known.low < known.total < known.high
    assert known.high == pytest.approx(MODULE.HIGH * known.total)
    assert sampled.high > MODULE.HIGH * sampled.total, "the longest may meet in one step, and need not"


def test_what_spares_memory_is_counted() -> None:
    model, rows = _model(), _rows(8, 120)
    whole = _of(model, rows=rows).total
    assert _of(model, _with(activation_checkpointing=True), rows).total < whole
    assert _of(model, _with(micro_batch_size=1), rows).total < whole


def test_checkpoints_that_answer_need_copies_of_the_weights() -> None:
    model, rows, one = _model(), _rows(16, 20), _with(effective_batch_size=1)
    asked = _of(model, one, rows, cases=64, answer=200)
    assert asked.moment == "answers"
    assert asked.total > _of(model, one, rows).total
