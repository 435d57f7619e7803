"""QLoRA through the journey: trained, evaluated and exported on one base in 4 bits, against rivals on the whole one."""

import json
from pathlib import Path

import pytest

from tests.command_line import colours
from tunewright import advising, journey, models
from tunewright.errors import RunError
from tunewright.export import check_manifest
from tunewright.parity import probes
from tunewright.store import read_json, read_lines

RECIPE = """
model: seedling
data:
  train: [rows.jsonl]
  split: {test: 0.3, validation: 0.15}
arms: [base, tuned]
train: {method: qlora, rank: 16, epochs: 6, effective_batch_size: 16, checkpoints: 2}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("qlora")
    (folder / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in colours(120)))
    (folder / "tunewright.yaml").write_text(RECIPE)
    return folder


@pytest.fixture(scope="module")
def done(folder):
    project = journey.open_project(folder)
    return project, journey.run(project)


def test_it_learns_and_is_certified(done):
    project, outcome = done
    scores = {a.name: a.score for a in outcome.arms}
    assert scores["tuned"] > scores["base"] + 0.3
    assert next(g for g in outcome.gates if g.name == "parity").ok
    start = next(e for e in read_lines(project.folder.run(outcome.run).events) if e["type"] == "start")
    assert start["weights_dtype"] == "nf4"
    assert start["layout"] == "forest by fused"
    record = read_json(project.folder.run(outcome.run).record)
    assert record["quantisation"] == models.quantised.FORM
    assert "bitsandbytes" in record["versions"]


def test_untuned_arms_ask_the_whole_base_where_memory_holds_it(done, monkeypatch):
    project, _ = done
    assert project.untuned.quantisation is None
    assert project.untuned_engine.identity != project.base_engine.identity
    monkeypatch.setattr(models.quantised, "fits_beside", lambda model, dtype: False)
    small = journey.open_project(project.folder.root)
    assert small.untuned is small.base
    assert small.untuned_engine is small.base_engine


def test_the_plan_weighs_the_bits(folder):
    whole = advising.plan_of(journey.open_project(folder, ["train.method=lora"]))
    parts = advising.plan_of(journey.open_project(folder, ["train.dequantise=each_pass"])).memory_gb
    once = advising.plan_of(journey.open_project(folder, ["train.dequantise=once"])).memory_gb
    assert parts["weights"] < 0.4 * whole.memory_gb["weights"]
    # Read back in every pass, a layer's weights are among its activations.
    assert "dequantised" not in parts and once["dequantised"] > 3 * parts["weights"] / 4
    assert parts["total"] < once["total"]
    assert "dequantised" not in whole.memory_gb
    assert [r["option"] for r in whole.rejected] == ["qlora", "full"]


def test_the_adapter_says_what_it_was_made_for(done):
    project, outcome = done
    adapter = project.folder.artifacts / f"{outcome.run}-adapter"
    assert read_json(adapter / "manifest.json")["base"]["quantisation"]["type"] == "nf4"
    assert "load_in_4bit" in (adapter / "README.md").read_text()
    with pytest.raises(RunError, match="NF4"):
        check_manifest(adapter, project.base.sha256, project.renderer.fingerprint, None)
    other = journey.open_project(project.folder.root, ["train.method=lora"])
    for step in (journey.evaluate, journey.export):
        with pytest.raises(RunError, match="in 4 bits") as error:
            step(other)
        assert "qlora" in error.value.remedy


def test_merged_is_the_same_model_and_plain(done):
    project, _ = done
    artifact = journey.export(project, to="merged")
    proof = artifact.certificate
    assert proof.ok
    assert proof.tokens_equal
    assert proof.logprob_gap < 1e-4
    assert proof.suite_score == pytest.approx(proof.suite_score_trained)
    assert models.load(artifact.path).quantisation is None
    assert "library_name: transformers" in (Path(artifact.path) / "README.md").read_text()


def test_on_the_unquantised_base_it_is_offered_by_its_score_alone(done):
    project, _ = done
    artifact = journey.export(project, to="merged_unquantised")
    proof, made = artifact.certificate, Path(artifact.path)
    assert read_json(made / "manifest.json")["base"]["quantisation"] is None
    assert f"Its score on the held-out cases is {100 * proof.suite_score:.1f} %" in (made / "README.md").read_text()
    assert proof.logprob_gap > probes.TOLERANCE  # another model
    assert proof.ok == (proof.suite_score >= proof.suite_score_trained)
    run = project.folder.run()
    kept = run.outcome.read_text()
    run.outcome.unlink()
    try:
        with pytest.raises(RunError, match="held-out score"):
            journey.export(project, to="merged_unquantised")
    finally:
        run.outcome.write_text(kept)


def test_talking_to_it(cli, done):
    project, _ = done
    said = cli("chat", project.folder.root, "--say", "Item 3: what colour is a frog?", "--json")
    assert said.document["answer"] in {"red", "green", "blue"}
