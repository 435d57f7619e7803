"""K24: the manifest names base, template and weights; what does not match is refused."""

import json
import shutil

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tunewright import models
from tunewright.errors import ModelError, RunError
from tunewright.export import check_manifest, manifest, write_adapter, write_merged
from tunewright.recipe import ModelSpec
from tunewright.records import RunRecord
from tunewright.store import read_json, write_json


def _export(tmp_path, seedling_renderer, in_4_bits):
    torch.manual_seed(0)
    base = models.load("seedling", in_4_bits=in_4_bits)
    get_peft_model(base.model, LoraConfig(r=4, target_modules=["q_proj"])).save_pretrained(
        tmp_path / "w", save_embedding_layers=False
    )
    run = RunRecord(
        id="r",
        created="",
        recipe={},
        resolved={},
        dataset="d",
        base="seedling",
        base_sha256=base.sha256,
        renderer=seedling_renderer.fingerprint,
        versions={},
        quantisation=base.quantisation,
    )
    facts = manifest(run, seedling_renderer.stop_ids)
    return write_adapter(tmp_path / "w", tmp_path / "a", facts, base.tokenizer), base


@pytest.fixture
def exported(tmp_path, seedling_renderer):
    return _export(tmp_path, seedling_renderer, in_4_bits=False)


@pytest.mark.parametrize("in_4_bits", [True, False])
def test_the_base_in_another_form_is_refused_unless_told(tmp_path, seedling_renderer, in_4_bits):
    folder, base = _export(tmp_path, seedling_renderer, in_4_bits)
    other = models.load("seedling", in_4_bits=not in_4_bits)
    assert other.sha256 == base.sha256
    mark = seedling_renderer.fingerprint
    assert check_manifest(folder, base.sha256, mark, base.quantisation)["base"]["quantisation"] == base.quantisation
    with pytest.raises(RunError, match="in NF4") as error:
        check_manifest(folder, other.sha256, mark, other.quantisation)
    assert ("qlora" in error.value.remedy) == in_4_bits
    assert check_manifest(folder, other.sha256, mark, other.quantisation, any_form=True)


def test_the_right_base_is_taken(exported, seedling_renderer):
    folder, base = exported
    assert check_manifest(folder, base.sha256, seedling_renderer.fingerprint)["dataset"] == "d"


def test_another_base_is_refused(exported, seedling_renderer):
    with pytest.raises(RunError, match="base weights"):
        check_manifest(exported[0], "0" * 64, seedling_renderer.fingerprint)


def test_another_template_is_refused(exported):
    with pytest.raises(RunError, match="chat template"):
        check_manifest(exported[0], exported[1].sha256, "f" * 16)


def test_changed_weights_are_refused(exported, seedling_renderer):
    folder, base = exported
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(RunError, match="exported weights"):
        check_manifest(folder, base.sha256, seedling_renderer.fingerprint)


@pytest.mark.parametrize("setting", ["lora_alpha", "r", "use_rslora"])
def test_a_changed_adapter_config_is_refused(exported, seedling_renderer, setting):
    folder, base = exported
    config = read_json(folder / "adapter_config.json")
    write_json(folder / "adapter_config.json", {**config, setting: config[setting] + 4})
    with pytest.raises(RunError, match="exported config") as error:
        check_manifest(folder, base.sha256, seedling_renderer.fingerprint)
    assert "export the run again" in error.value.remedy


def test_a_changed_config_of_a_merged_model_is_refused(tmp_path, seedling_renderer):
    base = models.load("seedling")
    facts = {"base": {"sha256": base.sha256}, "renderer": seedling_renderer.fingerprint}
    folder = write_merged(base.model, tmp_path / "m", facts, base.tokenizer, seedling_renderer.stop_ids)
    check_manifest(folder, base.sha256, seedling_renderer.fingerprint)
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", {**config, "rms_norm_eps": 1e-2})
    with pytest.raises(RunError, match="exported config"):
        check_manifest(folder, base.sha256, seedling_renderer.fingerprint)


def test_an_adapter_of_another_shape_does_not_load(exported, tmp_path):
    folder = tmp_path / "wrong"
    shutil.copytree(exported[0], folder)
    config = read_json(folder / "adapter_config.json")
    write_json(folder / "adapter_config.json", {**config, "r": 9})
    with pytest.raises(ModelError, match="does not fit"):
        models.adapter_onto(models.load("seedling").model, folder)


def test_the_hash_of_a_base_changes_with_its_weights_and_config(tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(models.locate(ModelSpec(id="seedling", revision=None), tmp_path), copy)
    same = models.load(str(copy)).sha256
    assert same == models.load("seedling").sha256
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-5}))
    assert models.load(str(copy)).sha256 != same
