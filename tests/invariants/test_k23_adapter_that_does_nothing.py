"""K23: a model that answers like the base, or not like the trained one, does not get its certificate."""

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tunewright import models
from tunewright.engine import TorchEngine
from tunewright.parity import certify, fingerprint, pick_probes
from tunewright.records import Message


@pytest.fixture(scope="module")
def made(request):
    torch.manual_seed(0)
    base, tuned = models.load("seedling"), models.load("seedling")
    adapted = get_peft_model(tuned.model, LoraConfig(r=8, target_modules="all-linear")).eval()
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    return base.model, adapted


def engine(model, renderer):
    return TorchEngine(model, stop_ids=renderer.stop_ids, pad_id=renderer.pad_id, identity="x")


def probes(renderer):
    return pick_probes([renderer.prompt([Message("user", f"Question {i}?")]) for i in range(20)], 8)


def test_the_same_model_is_certified(made, seedling_renderer):
    base, tuned = made
    trained = fingerprint(engine(tuned, seedling_renderer), probes(seedling_renderer), 8)
    proof = certify(trained, engine(tuned, seedling_renderer), engine(base, seedling_renderer))
    assert proof.ok
    assert proof.probes == 8
    assert proof.differs_from_base


def test_the_base_served_in_its_place_is_not(made, seedling_renderer):
    base, tuned = made
    trained = fingerprint(engine(tuned, seedling_renderer), probes(seedling_renderer), 8)
    proof = certify(trained, engine(base, seedling_renderer), engine(base, seedling_renderer))
    assert not proof.ok
    assert proof.logprob_gap > 1e-3


def test_an_adapter_that_changes_nothing_is_not(made, seedling_renderer):
    base, _ = made
    idle = fingerprint(engine(base, seedling_renderer), probes(seedling_renderer), 8)
    proof = certify(idle, engine(base, seedling_renderer), engine(base, seedling_renderer))
    assert proof.tokens_equal
    assert not proof.differs_from_base
    assert not proof.ok


def test_probes_are_different_and_spread():
    assert pick_probes([[1], [1], [2], [3]], 64) == [[1], [2], [3]]
    assert len(pick_probes([[i] for i in range(1000)], 64)) == 64
