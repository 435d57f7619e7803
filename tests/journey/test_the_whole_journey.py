"""From a file of examples to an exported model, end to end on the seedling, with every file and figure in its place."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import colours
from tunewright import journey
from tunewright.store import read_json, read_lines

RECIPE = """
model: seedling
data:
  train: [rows.jsonl]
  split: {test: 0.3, validation: 0.15}
train: {epochs: 6, effective_batch_size: 16, checkpoints: 2}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("journey")
    (folder / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in colours(120)))
    (folder / "tunewright.yaml").write_text(RECIPE)
    return folder


@pytest.fixture(scope="module")
def done(folder):
    project = journey.open_project(folder)
    return project, journey.run(project)


def test_every_arm_met_the_same_cases(done):
    project, outcome = done
    predictions = list(read_lines(project.folder.run(outcome.run).predictions))
    arms = {p["arm"] for p in predictions}
    assert {"base", "few_shot", "classifier", "tuned"} <= arms
    for arm in arms:
        assert sorted(p["case"] for p in predictions if p["arm"] == arm) == sorted(c.id for c in project.suite.cases)


def test_training_learned_the_task(done):
    _, outcome = done
    scores = {a.name: a.score for a in outcome.arms}
    assert scores["tuned"] > scores["base"] + 0.3


def test_events_tell_of_every_step(done):
    project, outcome = done
    events = list(read_lines(project.folder.run(outcome.run).events))
    assert all(next(iter(e)) == "type" for e in events)
    steps = [e for e in events if e["type"] == "step"]
    wanted = {
        "step",
        "loss",
        "learning_rate",
        "grad_norm",
        "examples",
        "supervised_tokens",
        "tokens_per_second",
        "peak_gb",
    }
    assert [e["step"] for e in steps] == list(range(1, project.resolved["steps"] + 1))
    assert all(wanted <= set(e) for e in steps)


def test_the_record_says_what_was_given_and_what_it_became(done):
    project, outcome = done
    record = read_json(project.folder.run(outcome.run).record)
    assert record["recipe"]["train"]["epochs"] == 6
    assert (record["resolved"]["learning_rate"], record["resolved"]["loraplus_lr_ratio"]) == (1.5e-3, 4.0)
    assert record["dataset"] == project.audit.dataset.id


def test_the_report_is_beside_the_recipe_and_asks_nothing_of_the_net(done):
    project, outcome = done
    page = (project.folder.root / "report.html").read_text()
    assert outcome.report.read_text() == page
    assert "<script" not in page
    assert 'src="http' not in page


def test_the_json_has_the_keys_that_scripts_rely_on(done):
    document = done[1].as_dict({"data": 1.0})
    assert {"run", "arms", "verdict", "gates", "paths", "seconds"} <= set(document)
    assert {"base", "adapter", "merged", "report", "predictions", "events"} <= set(document["paths"])
    assert {"name", "score", "low", "high", "cases", "cost", "seconds"} <= set(document["arms"][0])
    assert {"decision", "against", "difference", "low", "high", "p", "more_cases"} <= set(document["verdict"])
    json.dumps(document)


def test_the_parity_gate_held(done):
    gate = next(g for g in done[1].gates if g.name == "parity")
    assert gate.ok is True


CLEAN = """
import json, sys
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
base, adapter, merged, predictions = sys.argv[1:]
rows = [json.loads(l) for l in open(predictions)]
rows = [r for r in rows if r["arm"] == "tuned"][:4]
plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
tuned = PeftModel.from_pretrained(plain, adapter).eval()
whole = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32).eval()
gap, same = 0.0, True
for row in rows:
    ids = torch.tensor([row["prompt_ids"] + row["output_ids"]])
    n = len(row["prompt_ids"])
    with torch.no_grad():
        left = tuned(input_ids=ids).logits[0, n - 1 : -1].log_softmax(-1)
        right = whole(input_ids=ids).logits[0, n - 1 : -1].log_softmax(-1)
    same &= left.argmax(-1).tolist() == row["output_ids"] and right.argmax(-1).tolist() == row["output_ids"]
    gap = max(gap, (left - right).abs().max().item())
print(json.dumps({"same": same, "gap": gap, "transformers_only": "tunewright" not in sys.modules}))
"""


def test_plain_transformers_and_peft_say_the_same_in_a_clean_process(done):
    project, outcome = done
    artifact = journey.export(project, outcome.run, "merged")
    assert artifact.certificate.ok
    assert artifact.certificate.suite_score == pytest.approx(artifact.certificate.suite_score_trained)
    card = (Path(artifact.path) / "README.md").read_text(encoding="utf-8")
    assert "base_model:" in card and "| tuned |" in card and project.audit.dataset.id in card
    paths = outcome.as_dict({})["paths"]
    arguments = [paths["base"], paths["adapter"], artifact.path, paths["predictions"]]
    ran = subprocess.run([sys.executable, "-c", CLEAN, *arguments], capture_output=True, text=True, check=True)
    said = json.loads(ran.stdout.splitlines()[-1])
    assert said["same"]
    assert said["transformers_only"]
    assert said["gap"] < 1e-4


def test_the_manifest_binds_the_adapter_to_its_base_and_data(done):
    project, outcome = done
    facts = read_json(project.folder.artifacts / f"{outcome.run}-adapter" / "manifest.json")
    assert facts["base"]["sha256"] == project.base.sha256
    assert facts["dataset"] == project.audit.dataset.id
    assert facts["renderer"] == project.renderer.fingerprint
    config = read_json(project.folder.artifacts / f"{outcome.run}-adapter" / "adapter_config.json")
    assert config["lora_alpha"] == config["r"] == project.resolved["rank"] < project.resolved["alpha"]


def test_it_talks(done):
    project, _ = done
    speaker = journey.speaker(project.folder.root)
    from tunewright.records import Message

    answer = speaker.answer([Message("user", "Item 1: what colour is a tomato?")], 16).content
    assert answer in {"red", "green", "blue"}


def test_an_exported_adapter_talks_wherever_it_lies(done, cli, tmp_path):
    project, outcome = done
    there = project.folder.artifacts / f"{outcome.run}-adapter"
    moved = Path(shutil.copytree(there, tmp_path / "moved"))
    asked = ("--say", "Item 1: what colour is a tomato?", "--max-new-tokens", "16", "--json")
    wanted = cli("chat", project.folder.root, *asked).document
    assert wanted["answer"] in {"red", "green", "blue"} and wanted["model"] == outcome.run
    for folder in (there, moved):
        assert cli("chat", folder, *asked).document == wanted
    config = read_json(moved / "adapter_config.json")
    (moved / "adapter_config.json").write_text(json.dumps({**config, "lora_alpha": 2 * config["lora_alpha"]}))
    changed = cli("chat", moved, *asked)
    assert changed.code == 2 and changed.document["error"]["where"] == str(moved)


def test_evaluating_again_generates_nothing(done):
    project, outcome = done
    before = {(p["case"], p["arm"]): p["seconds"] for p in read_lines(project.folder.run(outcome.run).predictions)}
    again = journey.evaluate(journey.open_project(project.folder.root), outcome.run)
    after = {(p["case"], p["arm"]): p["seconds"] for p in read_lines(project.folder.run(outcome.run).predictions)}
    engine_arms = {k for k in before if k[1] != "classifier"}
    assert {k: after[k] for k in engine_arms} == {k: before[k] for k in engine_arms}
    assert again.verdict == outcome.verdict
