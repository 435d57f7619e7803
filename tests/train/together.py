"""What each of several processes does in the tests: whole runs, one stopped and resumed, one short of memory."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

from tests.train.families import model_of, rows
from tunewright.errors import Interrupted, StorageError, TunewrightError
from tunewright.train import Ranks, Settings, checkpoint, fit
from tunewright.train.step import Computer

# Five rows a step, so that no number of processes divides them.
SETTINGS = Settings(rank=4, alpha=8.0, effective_batch_size=5, steps=6, learning_rate=5e-3, checkpoints=2)


def tune(folder: Path, settings: Settings = SETTINGS, **more: Any) -> Any:
    return fit(model_of("llama"), rows(12), rows(5, seed=9), settings, directory=folder, **more)


def _stopped_and_resumed(folder: Path, settings: Settings) -> None:
    """One process is asked to stop; all do: first before the validation rows of step 3, then after step 4."""

    def stopping(at: int) -> Any:
        seen: list[int] = []
        return lambda: seen.append(1) or (len(seen) == at and not Ranks.join().first)

    for resume, at in ((False, 4), (True, 2)):
        try:
            tune(folder, settings, resume=resume, should_stop=stopping(at))
        except Interrupted:
            continue
    tune(folder, settings, resume=True)


def _short_of_memory(folder: Path) -> None:
    real = Computer.accumulate

    def limited(self: Computer, batches: Any, total: float) -> float:
        if self.model.training and not Ranks.join().first and any(batch.examples > 1 for batch in batches):
            raise MemoryError
        return real(self, batches, total)

    Computer.accumulate = limited  # type: ignore[method-assign]
    tune(folder)
    Computer.accumulate = real  # type: ignore[method-assign]


def _disk_full(folder: Path) -> str:
    def refused(*_: Any) -> None:
        raise OSError("no space left")

    real, checkpoint.write_json = checkpoint.write_json, refused
    try:
        tune(folder)
    except StorageError:
        return "first"
    except TunewrightError as error:
        return str(error)
    finally:
        checkpoint.write_json = real
    return "nobody noticed"


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    tune(folder / "whole")
    dropping = SETTINGS.model_copy(update={"dropout": 0.1})
    tune(folder / "dropping", dropping)
    _stopped_and_resumed(folder / "resumed", dropping)
    _short_of_memory(folder / "short")
    (folder / f"disk-{Ranks.join().rank}").write_text(_disk_full(folder / "full"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
