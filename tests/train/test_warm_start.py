"""A warm start is the earlier adapter's function, whatever alpha and form it was saved in; training goes on from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.train.families import model_of, rows
from tunewright.errors import RunError
from tunewright.models import adapter_onto
from tunewright.train import Settings, fit
from tunewright.train.adapters import prepare

FIRST = Settings(rank=4, alpha=8.0, effective_batch_size=4, steps=30, learning_rate=1e-2, checkpoints=1)
IDS = torch.randint(3, 96, (2, 30), generator=torch.Generator().manual_seed(4))


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit(model_of("llama"), rows(8), (), FIRST, directory=tmp_path_factory.mktemp("earlier")).best


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits


@pytest.mark.parametrize("alpha", [8.0, 4.0, 6.0])
def test_it_begins_as_the_earlier_model(earlier: Path, alpha: float) -> None:
    want = logits(adapter_onto(model_of("llama"), earlier))
    settings = FIRST.model_copy(update={"alpha": alpha, "init_from": str(earlier)})
    assert (logits(prepare(model_of("llama"), settings)) - want).abs().max() <= 1e-5
    assert (logits(model_of("llama")) - want).abs().max() > 0.05


def test_a_rank_stabilised_one_is_scaled_as_it_says(earlier: Path, tmp_path: Path) -> None:
    config = json.loads((earlier / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps({**config, "use_rslora": True}))
    (tmp_path / "adapter_model.safetensors").write_bytes((earlier / "adapter_model.safetensors").read_bytes())
    want = logits(adapter_onto(model_of("llama"), tmp_path))
    got = logits(prepare(model_of("llama"), FIRST.model_copy(update={"init_from": str(tmp_path)})))
    assert (got - want).abs().max() <= 1e-5


def test_training_goes_on_where_the_earlier_one_ended(earlier: Path, tmp_path: Path) -> None:
    def losses(settings: Settings, name: str) -> list[float]:
        fit(model_of("llama"), rows(8), (), settings, directory=tmp_path / name)
        events = map(json.loads, (tmp_path / name / "events.jsonl").read_text().splitlines())
        return [event["loss"] for event in events if event["type"] == "step"]

    cold = losses(FIRST.model_copy(update={"steps": 4}), "cold")
    warm = losses(FIRST.model_copy(update={"steps": 4, "init_from": str(earlier)}), "warm")
    assert max(warm) < min(cold) - 0.1


def test_which_adapter_is_in_the_state_and_where_it_lies_is_not(earlier: Path, tmp_path: Path) -> None:
    settings = FIRST.model_copy(update={"steps": 2, "init_from": str(earlier), "init_sha256": "one"})
    fit(model_of("llama"), rows(8), (), settings, directory=tmp_path)
    assert str(earlier) not in next(tmp_path.glob("checkpoints/step-*/state.json")).read_text()
    with pytest.raises(RunError, match="other settings"):
        other = settings.model_copy(update={"init_sha256": "two"})
        fit(model_of("llama"), rows(8), (), other, directory=tmp_path, resume=True)


@pytest.mark.parametrize(
    "change",
    [{"target_modules": ("q_proj",)}, {"target_modules": "minimal"}, {"rank": 8}],
    ids=["fewer layers", "others", "another rank"],
)
def test_one_that_does_not_fit_is_refused(earlier: Path, change: dict[str, object]) -> None:
    with pytest.raises(RunError, match="to start from"):
        prepare(model_of("llama"), FIRST.model_copy(update={**change, "init_from": str(earlier)}))


def test_broken_weights_are_told(earlier: Path, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_bytes((earlier / "adapter_config.json").read_bytes())
    (tmp_path / "adapter_model.safetensors").write_bytes(b"no weights")
    with pytest.raises(RunError, match="to start from"):
        prepare(model_of("llama"), FIRST.model_copy(update={"init_from": str(tmp_path)}))
