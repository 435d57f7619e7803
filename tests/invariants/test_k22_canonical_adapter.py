"""K22: an exported adapter has its scale in its weights, so that an engine which reads alpha alone scales it right."""

import copy
import math

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file

from tests.command_line import colours
from tunewright import models
from tunewright.errors import RunError
from tunewright.export import check_manifest, write_adapter
from tunewright.store import read_json, read_lines

FORMS = {
    "alpha is the rank": {"lora_alpha": 8},
    "alpha is twice the rank": {"lora_alpha": 16},
    "alpha is one and a half": {"lora_alpha": 12},
    "rank-stabilised": {"lora_alpha": 16, "use_rslora": True},
    "a pattern of alphas": {"lora_alpha": 16, "alpha_pattern": {"v_proj": 5, "layers.1.mlp.down_proj": 40}},
    "a pattern of ranks": {"lora_alpha": 16, "rank_pattern": {"q_proj": 4, "layers.0.mlp.up_proj": 11}},
    "both": {"lora_alpha": 16, "rank_pattern": {"q_proj": 4}, "alpha_pattern": {"q_proj": 6, "k_proj": 3}},
    "with a magnitude": {"lora_alpha": 12, "use_dora": True},
    "with a bias": {"lora_alpha": 12, "lora_bias": True},
}


def adapted(folder, **more):
    """A seedling with an adapter that does something, and the adapter as PEFT saves it."""
    torch.manual_seed(1)
    model = models.load("seedling").model
    tuned = get_peft_model(model, LoraConfig(r=8, **({"target_modules": "all-linear"} | more))).eval()
    for name, weight in tuned.named_parameters():
        if "lora_B" in name or "lora_embedding_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    tuned.save_pretrained(folder, save_embedding_layers=False)
    return tuned


def logits(model):
    # Summed in float64: what is measured is the scale, not the order in which fp32 products are added.
    ids = torch.randint(3, 4000, (2, 24), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        return copy.deepcopy(model).double()(input_ids=ids).logits


def exported(source, into):
    return write_adapter(source, into, {"base": {}}, models.load("seedling").tokenizer)


@pytest.mark.parametrize("form", FORMS)
def test_the_exported_adapter_is_canonical_and_the_same_function(tmp_path, form):
    want = logits(adapted(tmp_path / "trained", **FORMS[form]))
    folder = exported(tmp_path / "trained", tmp_path / "exported")
    config = read_json(folder / "adapter_config.json")
    assert config["lora_alpha"] == config["r"]
    assert not config["use_rslora"] and not config["alpha_pattern"] and not config["rank_pattern"]
    again = models.adapter_onto(models.load("seedling").model, folder)
    assert {m.scaling["default"] for m in again.modules() if isinstance(m, LoraLayer)} == {1.0}
    assert torch.allclose(logits(again), want, rtol=1e-5, atol=1e-5)
    assert (logits(models.load("seedling").model) - want).abs().max() > 0.05


@pytest.mark.parametrize("form", ["alpha is one and a half", "rank-stabilised", "both", "with a magnitude"])
def test_merged_it_is_what_the_trained_one_is(tmp_path, form):
    want = logits(adapted(tmp_path / "trained", **FORMS[form])).log_softmax(-1)
    folder = exported(tmp_path / "trained", tmp_path / "exported")
    merged = models.adapter_onto(models.load("seedling").model, folder).merge_and_unload(safe_merge=True)
    assert torch.allclose(logits(merged).log_softmax(-1), want, rtol=1e-5, atol=1e-5)


def test_an_adapter_of_an_embedding_is_scaled_too(tmp_path):
    want = logits(adapted(tmp_path / "trained", lora_alpha=12, target_modules=["embed_tokens", "q_proj"]))
    folder = exported(tmp_path / "trained", tmp_path / "exported")
    again = models.adapter_onto(models.load("seedling").model, folder)
    assert torch.allclose(logits(again), want, rtol=1e-5, atol=1e-5)


def as_others_do(folder):
    """The base with the adapter added by hand, by an engine that reads alpha alone and sees the rank in the tensors."""
    alpha = read_json(folder / "adapter_config.json")["lora_alpha"]
    tensors = load_file(folder / "adapter_model.safetensors")
    model = models.load("seedling").model.double()
    for name, inner in tensors.items():
        if "lora_A" in name:
            outer = tensors[name.replace("lora_A", "lora_B")]
            layer = model.get_submodule(name.removeprefix("base_model.model.").split(".lora_A")[0])
            layer.weight.data += alpha / len(inner) * outer.double() @ inner.double()
    return model


@pytest.mark.parametrize("form", ["rank-stabilised", "a pattern of alphas", "both"])
def test_an_engine_that_reads_alpha_alone_gets_it_right(tmp_path, form):
    want = logits(adapted(tmp_path / "trained", **FORMS[form]))
    folder = exported(tmp_path / "trained", tmp_path / "exported")
    assert torch.allclose(logits(as_others_do(folder)), want, rtol=1e-5, atol=1e-5)
    # As PEFT wrote it, such an engine makes another model of it.
    assert (logits(as_others_do(tmp_path / "trained")) - want).abs().max() > 0.05


def test_a_scale_that_is_a_power_of_two_moves_without_a_rounding(tmp_path):
    adapted(tmp_path / "trained", lora_alpha=16)
    exported(tmp_path / "trained", tmp_path / "exported")
    before, after = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("trained", "exported"))
    assert before.keys() == after.keys()
    assert all(torch.equal(after[n], t * 2 if "lora_B" in n else t) for n, t in before.items())


def test_the_manifest_has_the_hashes_of_what_is_written_and_what_it_was_made_from(tmp_path):
    adapted(tmp_path / "trained", lora_alpha=12)
    facts = {"base": {"sha256": "b"}, "renderer": "r"}
    folder = write_adapter(tmp_path / "trained", tmp_path / "exported", facts, models.load("seedling").tokenizer)
    assert check_manifest(folder, "b", "r")["trained_sha256"] != read_json(folder / "manifest.json")["weights_sha256"]
    twice = exported(folder, tmp_path / "twice")  # what is canonical stays as it is
    assert read_json(twice / "manifest.json")["weights_sha256"] == read_json(twice / "manifest.json")["trained_sha256"]


def test_broken_weights_are_told_and_nothing_is_left(tmp_path):
    adapted(tmp_path / "trained", lora_alpha=12)
    (tmp_path / "trained" / "adapter_model.safetensors").write_bytes(b"not weights")
    with pytest.raises(RunError, match="cannot be read"):
        exported(tmp_path / "trained", tmp_path / "exported")
    assert not (tmp_path / "exported").exists()


@pytest.mark.parametrize("alpha", [16, 24])
def test_a_run_exports_it_and_keeps_its_own_answers(cli, project, alpha):
    folder = project(colours(60), "arms: [base, tuned]\ngates: {suite_size: 4}\n")
    assert cli("train", folder, "--set", f"train.alpha={alpha}", "--set", "train.rank=8").code == 0
    assert cli("evaluate", "--project", folder).code in (0, 3)
    run = next((folder / ".tunewright" / "runs").iterdir())
    before = list(read_lines(run / "predictions.jsonl"))
    said = cli("export", "--project", folder, "--json").document
    proof = said["certificate"]
    assert proof["ok"] and proof["suite_score"] == pytest.approx(proof["suite_score_trained"])
    # Twice the rank moves exactly; three times it is rounded, and so the exported adapter is asked anew.
    assert (proof["logprob_gap"] == 0) or not math.log2(alpha / 8).is_integer()
    assert list(read_lines(run / "predictions.jsonl")) == before
    config = read_json(run.parent.parent / "artifacts" / said["artifact"] / "adapter_config.json")
    assert config["lora_alpha"] == config["r"] == 8
    assert read_json(run / "adapter" / "adapter_config.json")["lora_alpha"] == alpha
