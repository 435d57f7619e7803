"""Checkpoints: everything needed to go on as if nothing had happened, written whole or not at all."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tunewright.errors import RunError, StorageError
from tunewright.store import directory, read_json, write_json
from tunewright.train.optimizer import trained

_STATE, _OPTIMIZER, _RANDOM = "state.json", "optimizer.safetensors", "random.safetensors"


@dataclass(frozen=True)
class Saved:
    """A checkpoint on disk: where, after which step, and how good it was (None where it was not measured)."""

    path: Path
    step: int
    validation_loss: float | None
    score: float | None
    state: dict[str, Any]

    @property
    def rank(self) -> tuple[float, float, int]:
        """Greater is better: by score, then by lower validation loss, then the earlier (it drifted less)."""
        score = self.score if self.score is not None else float("-inf")
        loss = self.validation_loss if self.validation_loss is not None else float("inf")
        return score, -loss, -self.step


def saved(folder: Path) -> list[Saved]:
    """All checkpoints in `folder`, oldest first."""
    found = []
    for path in folder.glob("step-*"):
        if (path / _STATE).is_file():
            state = read_json(path / _STATE)
            found.append(Saved(path, state["step"], state["validation_loss"], state["score"], state))
    return sorted(found, key=lambda one: one.step)


def best(checkpoints: list[Saved]) -> Saved:
    """The one to ship. Where nothing was measured at all, the last."""
    measured = [one for one in checkpoints if one.score is not None or one.validation_loss is not None]
    return max(measured, key=lambda one: one.rank) if measured else checkpoints[-1]


def save(folder: Path, model: Any, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> list[Saved]:
    """Write `step-N` and drop all but the best and the last; what remains, oldest first.

    Raises `StorageError` when the disk refuses; it says which checkpoint is kept.
    """
    path = folder / f"step-{state['step']}"
    try:
        with directory(path) as draft:
            # PEFT would otherwise ask the hub whether the vocabulary grew.
            model.save_pretrained(draft, **({"save_embedding_layers": False} if _adapted(model) else {}))
            save_file(_optimizer_tensors(optimizer), draft / _OPTIMIZER)
            save_file(_random_state(), draft / _RANDOM)
            write_json(draft / _STATE, state)
    except (OSError, RuntimeError) as error:
        kept = saved(folder)
        where = f"the checkpoint of step {kept[-1].step} is kept" if kept else "no checkpoint was saved before"
        raise StorageError(
            f"the checkpoint of step {state['step']} could not be saved ({str(error).splitlines()[0]}); {where}.",
            where=str(path),
            remedy="Free some space and resume the run: it goes on from what is kept.",
        ) from error
    found = saved(folder)
    keep = {best(found).path, found[-1].path}
    for one in found:
        if one.path not in keep:
            _drop(one.path)
    return [one for one in found if one.path in keep]


def _adapted(model: Any) -> bool:
    """Whether PEFT's adapters are what is trained."""
    return hasattr(model, "get_base_model")


def _drop(path: Path) -> None:
    # Renamed first, so that a kill in between never leaves half a checkpoint under a checkpoint's name.
    doomed = path.with_name(f".{path.name}.old")
    os.replace(path, doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def restore(checkpoint: Saved, model: Any, optimizer: torch.optim.Optimizer) -> None:
    """Put model, optimiser and random state back as they were when `checkpoint` was saved.

    AdamW has no state of what never had a gradient, so that goes on without.
    """
    restore_weights(checkpoint.path, model)
    tensors = load_file(checkpoint.path / _OPTIMIZER)
    for name, parameter in trained(optimizer).items():
        if f"step.{name}" in tensors:
            optimizer.state[parameter] = {
                key: tensors[f"{key}.{name}"].to(parameter.device) for key in ("step", "exp_avg", "exp_avg_sq")
            }
    random = load_file(checkpoint.path / _RANDOM)
    torch.set_rng_state(random["cpu"])
    if "cuda" in random:
        torch.cuda.set_rng_state(random["cuda"])


def restore_weights(path: Path, model: Any) -> None:
    """Load a checkpoint's weights into `model`. Raises `RunError` when they do not fit."""
    if _adapted(model):
        from peft import set_peft_model_state_dict

        outcome = set_peft_model_state_dict(model, load_file(path / "adapter_model.safetensors"))
        if outcome.unexpected_keys:
            raise RunError("the checkpoint belongs to another adapter.", where=str(path))
        return
    fresh = type(model).from_pretrained(path, dtype=torch.float32)
    model.load_state_dict(fresh.state_dict())


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    return {
        f"{key}.{name}": value.detach().cpu().contiguous()
        for name, parameter in trained(optimizer).items()
        for key, value in optimizer.state[parameter].items()
    }


def _random_state() -> dict[str, torch.Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state
