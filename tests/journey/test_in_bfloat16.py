"""A base that is held in bfloat16, as on a GPU that computes in it: tuned, judged and exported as such."""

import json
import sys

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from tests.command_line import colours
from tunewright import journey, models
from tunewright.store import read_json, read_lines

RECIPE = """
model: tiny
data:
  train: [rows.jsonl]
  split: {test: 0.4, validation: 0.15}
arms: [base, tuned]
train: {rank: 8, epochs: 4, effective_batch_size: 8, learning_rate: 2e-2, checkpoints: 1}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """As on a GPU: this processor, asked whether it has bfloat16, says yes. It may take minutes for what a GPU does in
    no time, so the base is tiny."""
    folder = tmp_path_factory.mktemp("narrow")
    seedling = models.load("seedling")
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(**{**seedling.model.config.to_dict(), **shape, "num_key_value_heads": 2, "head_dim": 8})
    torch.manual_seed(0)
    tiny = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    tiny.generation_config = seedling.model.generation_config
    tiny.save_pretrained(folder / "tiny")
    seedling.tokenizer.save_pretrained(folder / "tiny")
    (folder / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in colours(64)))
    (folder / "tunewright.yaml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["tunewright.models.load"], "computes_in_bfloat16", lambda device: True)
        yield journey.open_project(folder)


@pytest.fixture(scope="module")
def outcome(project):
    return journey.run(project)


def test_it_is_tuned_and_the_adapter_is_certified(project, outcome):
    run = project.folder.run(outcome.run)
    start, *steps = [e for e in read_lines(run.events) if e["type"] in ("start", "step")]
    assert (start["weights_dtype"], start["compute_dtype"]) == ("bfloat16", "bfloat16")
    assert steps[-1]["loss"] < steps[0]["loss"] - 0.3
    assert project.base.dtype is torch.bfloat16
    assert next(g for g in outcome.gates if g.name == "parity").ok


def test_it_is_held_once(project, outcome):
    """Tuned and untuned are answered by the same weights; only adapters come on top."""
    own = {p.data_ptr() for p in project.base.model.parameters()}
    tuned = project.tuned_engine(project.folder.run(outcome.run).weights).model
    beside = [name for name, p in tuned.named_parameters() if p.data_ptr() not in own]
    assert beside and all("lora_" in name for name in beside)


def test_merged_is_the_adapter_in_float32(project, outcome):
    """bfloat16 rounds the two apart; in float32, in which merging is done, they are one."""
    artifact = journey.export(project, to="merged")
    proof = artifact.certificate
    assert proof.ok and proof.tokens_equal and proof.logprob_gap < 1e-4 and proof.differs_from_base
    assert models.load(artifact.path).dtype is torch.float32


def test_a_run_from_a_gpu_is_exported_on_a_processor(project, outcome):
    """There the base is held in float32, and what the run wrote down of its answers is rounded otherwise."""
    assert read_json(project.folder.run(outcome.run).probes)["dtype"] == "bfloat16"
    elsewhere = journey.open_project(project.folder.root, ["train.precision=float32"])
    for form in ("adapter", "merged"):
        proof = journey.export(elsewhere, to=form).certificate
        assert proof.ok and proof.tokens_equal and proof.logprob_gap < 1e-4, form


def test_a_scale_that_is_no_power_of_two_is_certified_in_float32(project, outcome):
    """B takes the scale up and is rounded; in bfloat16 a sum here and there then falls on the other side."""
    other = journey.open_project(project.folder.root, ["train.alpha=12"])
    outcome = journey.run(other)
    run = other.folder.run(outcome.run)
    assert read_json(run.probes)["dtype"] == "bfloat16" and other.resolved["alpha"] / other.resolved["rank"] == 1.5
    assert next(g for g in outcome.gates if g.name == "parity").ok
    proof = read_json(other.folder.artifacts / f"{run.id}-adapter.json")["certificate"]
    assert proof["ok"] and proof["tokens_equal"] and proof["differs_from_base"] and 0 < proof["logprob_gap"] < 1e-4


def test_float32_is_kept_to_where_it_is_asked_for(project):
    for settings in (["train.precision=float32"], ["train.method=full"]):
        assert journey.open_project(project.folder.root, settings).base.dtype is torch.float32
    other = journey.open_project(project.folder.root, ["train.precision=float32"])
    assert other.base_engine.identity != project.base_engine.identity


def test_a_base_in_4_bits_has_the_rest_in_bfloat16(project):
    """Trained, judged and merged so; its bits are the same however the rest is held."""
    packed = journey.open_project(project.folder.root, ["train.method=qlora"])
    layers = models.quantised.layers(packed.base.model)
    exact = models.load("tiny", root=project.folder.root, in_4_bits=True)
    for one, other in zip(layers, models.quantised.layers(exact.model), strict=True):
        assert torch.equal(models.quantised.weight_of(one), models.quantised.weight_of(other))
    assert packed.base.dtype is torch.bfloat16 and {layer.compute_dtype for layer in layers} == {torch.bfloat16}
    outcome = journey.run(packed)
    start, *steps = [e for e in read_lines(packed.folder.run(outcome.run).events) if e["type"] in ("start", "step")]
    assert (start["weights_dtype"], start["quantisation"]["other_weights_dtype"]) == ("nf4", "bfloat16")
    assert steps[-1]["loss"] < steps[0]["loss"] - 0.3
    assert next(g for g in outcome.gates if g.name == "parity").ok
    assert {layer.compute_dtype for layer in layers} == {torch.bfloat16}
    proof = journey.export(packed, to="merged").certificate
    assert proof.ok and proof.tokens_equal and proof.logprob_gap < 1e-4


def test_weights_that_others_store_wider_stay_so(project, tmp_path):
    assert project.base.dtype is torch.bfloat16  # what `auto` is for those that are stored so
    models.load("seedling").model.save_pretrained(tmp_path / "wide")
    models.load("seedling").tokenizer.save_pretrained(tmp_path / "wide")
    assert models.load(str(tmp_path / "wide"), dtype="auto").dtype is torch.float32
