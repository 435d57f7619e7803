"""K12: what trains is what was asked, said in the events and asserted; an adapter that changes nothing is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.train.families import model_of, rows, seeing
from tunewright.errors import ModelError, TrainingError
from tunewright.models import quantised
from tunewright.records import Rendered
from tunewright.train import Settings, fit
from tunewright.train.adapters import assert_alive, not_adapted, prepare, targets, trainable
from tunewright.train.plain import gradients


def _fit(folder: Path, told: list[Any], **changes: Any) -> Any:
    settings = Settings.model_validate(
        {"rank": 4, "alpha": 8, "effective_batch_size": 4, "steps": 3, "learning_rate": 5e-3, **changes}
    )
    return fit(model_of("llama"), rows(8), [], settings, directory=folder, on_event=told.append)


def test_said_and_true_for_lora(tmp_path: Path) -> None:
    told: list[Any] = []
    base = {name: p.clone() for name, p in model_of("llama").named_parameters()}
    result = _fit(tmp_path, told)
    start = told[0]
    assert start["type"] == "start"
    # Per layer: q, o 32→32; k, v 32→16; gate, up 32→48; down 48→32; rank 4 on both sides.
    expected = 3 * 4 * (2 * (32 + 32) + 2 * (32 + 16) + 3 * (32 + 48))
    assert start["trainable_parameters"] == result.trainable_parameters == expected
    assert (start["weights_dtype"], start["trainable_dtype"], start["optimizer_dtype"]) == ("float32",) * 3
    # Said before there are any moments; what was kept of them is of that type.
    moments = load_file(result.last / "optimizer.safetensors")
    assert {str(t.dtype) for name, t in moments.items() if name.startswith("exp_avg")} == {"torch.float32"}
    assert {str(p.dtype) for p in result.model.parameters()} == {"torch.float32"}
    outer = [p for name, p in result.model.named_parameters() if "lora_B" in name]
    assert outer
    assert all(float(p.norm()) > 0 for p in outer)
    for name, parameter in result.model.get_base_model().named_parameters():
        if "lora_" not in name:
            assert torch.equal(parameter, base[name.replace(".base_layer", "")]), f"{name} moved"


@pytest.mark.parametrize("dequantise", ["once", "each_pass"])
def test_said_and_true_for_a_base_in_4_bits(dequantise: str, tmp_path: Path) -> None:
    told: list[Any] = []
    base = quantised.quantise(model_of("llama"))
    result = _fit(tmp_path, told, method="qlora", dequantise=dequantise)
    start = told[0]
    weights = 3 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48)
    expected = 3 * 4 * (2 * (32 + 32) + 2 * (32 + 16) + 3 * (32 + 48))
    assert start["trainable_parameters"] == result.trainable_parameters == expected
    assert start["parameters"] == sum(p.numel() for p in model_of("llama").parameters()) + expected
    assert (start["weights_dtype"], start["trainable_dtype"], start["optimizer_dtype"]) == ("nf4", "float32", "float32")
    said = start["quantisation"]
    assert (said["weights"], said["other_weights_dtype"], said["dequantised"]) == (weights, "float32", dequantise)
    # Layers this small hardly share the outer magnitudes: 32 bits for some 20 blocks.
    assert 4.125 < said["bits_per_weight"] < 4.16
    after = result.model.get_base_model()
    for name, parameter in after.named_parameters():
        if "lora_" not in name:
            assert torch.equal(parameter, base.get_parameter(name.replace(".base_layer", ""))), f"{name} moved"
    assert all(bool(p.any()) for name, p in after.named_parameters() if "lora_B" in name)


def test_a_layer_that_is_not_in_4_bits_is_named() -> None:
    model = quantised.quantise(model_of("llama"))
    whole = torch.nn.Linear(32, 48, bias=False)
    model.set_submodule("model.layers.1.mlp.up_proj", whole)
    with pytest.raises(TrainingError, match=r"layers\.1\.mlp\.up_proj"):
        prepare(model, Settings(method="qlora"))


def test_without_bitsandbytes_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantised, "_bnb", lambda: None)
    with pytest.raises(ModelError, match="bitsandbytes") as error:
        prepare(model_of("llama"), Settings(method="qlora"))
    assert "pip install 'tunewright[qlora]'" in error.value.remedy
    assert error.value.exit_code == 2


def test_full_tuning_moves_every_weight(tmp_path: Path) -> None:
    before = {name: p.clone() for name, p in model_of("llama").named_parameters()}
    result = _fit(tmp_path, [], method="full")
    still = [name for name, p in result.model.named_parameters() if torch.equal(p, before[name])]
    assert not still


def test_a_dead_adapter_is_an_error() -> None:
    model = prepare(model_of("llama"), Settings())
    with pytest.raises(TrainingError, match="still zero"):
        assert_alive(model)


@pytest.mark.parametrize(
    ("family", "preset", "last_names"),
    [
        ("llama", "minimal", {"q_proj", "v_proj"}),
        ("llama", "standard", {"q_proj", "k_proj", "v_proj", "o_proj"}),
        ("phi3", "minimal", {"qkv_proj"}),
        ("phi3", "standard", {"qkv_proj", "o_proj"}),
        ("gpt-neox", "standard", {"query_key_value", "dense"}),
        ("bloom", "minimal", {"query_key_value"}),
        ("bloom", "standard", {"query_key_value", "dense"}),
        ("llama", "all-linear", {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}),
    ],
)
def test_presets_resolve_per_family(family: str, preset: str, last_names: set[str]) -> None:
    chosen = targets(model_of(family), preset)
    assert {name.rsplit(".", 1)[-1] for name in chosen} == last_names
    assert len(chosen) == 3 * len(last_names)
    model = prepare(model_of(family), Settings(target_modules=preset))
    assert len(trainable(model)) == 2 * len(chosen)


@pytest.mark.parametrize(("preset", "kinds"), [("minimal", 2), ("standard", 4), ("all-linear", 7)])
def test_of_a_model_that_sees_only_what_text_goes_through_is_adapted(preset: str, kinds: int) -> None:
    model = prepare(seeing(), Settings(target_modules=preset))
    gradients(model, rows(2))
    assert len(trainable(model)) == 2 * 3 * kinds
    assert all(parameter.grad is not None for parameter in trainable(model).values())
    assert not not_adapted(model)
    # Named, they get one.
    assert any("vision_tower" in name for name in targets(seeing(), ("q_proj",)))


def test_a_layer_that_does_not_exist_is_named() -> None:
    with pytest.raises(TrainingError, match="`w_query`") as error:
        targets(model_of("llama"), ("q_proj", "w_query"))
    assert "q_proj" in error.value.remedy


def test_nothing_supervised_is_refused(tmp_path: Path) -> None:
    empty = [Rendered(row.ids, (0.0,) * len(row.ids), len(row.ids)) for row in rows(3)]
    with pytest.raises(TrainingError, match="supervised"):
        fit(model_of("llama"), empty, [], Settings(), directory=tmp_path)


def test_experts_that_no_adapter_reaches_are_named(tmp_path: Path) -> None:
    told: list[Any] = []
    settings = Settings(rank=4, alpha=8.0, effective_batch_size=4, steps=1, learning_rate=5e-3)
    result = fit(model_of("mixtral"), rows(4), [], settings, directory=tmp_path, on_event=told.append)
    # Three layers of four experts: gate and up 32→96 together, down 48→32; the router 32→4.
    want = {"experts.gate_up_proj": 3 * 4 * 96 * 32, "experts.down_proj": 3 * 4 * 32 * 48, "gate.weight": 3 * 4 * 32}
    assert told[0]["not_adapted"] == want
    reached = {name.split(".lora_")[0].rsplit(".", 1)[-1] for name in trainable(result.model)}
    assert not reached & {"experts", "gate_up_proj", "down_proj", "gate"}
    told.clear()
    _fit(tmp_path / "dense", told)
    assert told[0]["not_adapted"] == {}
    told.clear()
    _fit(tmp_path / "full", told, method="full")
    assert told[0]["not_adapted"] == {}
