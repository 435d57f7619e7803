"""Where things lie in a project folder: a recipe, and `.tunewright/` with datasets, runs and artifacts below it."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tunewright.errors import RunError
from tunewright.store import read_json

RECIPE = "tunewright.yaml"


@dataclass(frozen=True)
class RunFolder:
    """One run's directory. What has happened is read from the files in it, never kept beside them."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def record(self) -> Path:
        return self.path / "run.json"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def trained(self) -> Path:
        """Written when training has ended."""
        return self.path / "train.json"

    @property
    def weights(self) -> Path:
        """The best checkpoint: a PEFT adapter, or a whole model after full tuning."""
        return self.path / "adapter"

    @property
    def probes(self) -> Path:
        """What the trained model answers to golden prompts: any later form of it must answer the same."""
        return self.path / "probes.json"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions.jsonl"

    @property
    def outcome(self) -> Path:
        """Scores and verdict, written when evaluation has ended."""
        return self.path / "outcome.json"

    @property
    def trials(self) -> Path:
        """What was tried beyond the suite, once it was."""
        return self.path / "trials.json"

    @property
    def judged(self) -> Path:
        """What a judge model said of it, once asked."""
        return self.path / "judge.json"

    @property
    def prompts(self) -> Path:
        """Which of several prompts validation chose, where several were tried."""
        return self.path / "prompts.json"

    @property
    def recalls(self) -> Path:
        """How often each way of looking things up found the answer."""
        return self.path / "recalls.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def in_training(self) -> bool:
        """Whether training has begun, if only in one fold."""
        return self.events.is_file() or any(self.path.glob("folds/*/events.jsonl"))

    @property
    def finished(self) -> bool:
        """Whether the journey was walked to its end: the proof of the export is among its gates."""
        return self.outcome.is_file() and any(gate["name"] == "parity" for gate in read_json(self.outcome)["gates"])

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the run while it trains. Raises `RunError` where another process holds it."""
        held = FileLock(self.path / "train.lock")
        try:
            held.acquire(timeout=0)
        except Timeout:
            raise RunError(
                "this run is being trained by another process.",
                where=self.id,
                remedy="Wait until it has ended or stop it; a run of its own begins without --resume.",
            ) from None
        try:
            yield
        finally:
            held.release()

    def status(self) -> str:
        """`evaluated`, `trained`, `training`, `baseline` or `new`."""
        if self.outcome.is_file():
            done = read_json(self.outcome)
            return "evaluated" if any(a["name"] == "tuned" for a in done["arms"]) else "baseline"
        if self.trained.is_file():
            return "trained"
        return "training" if self.events.is_file() else "new"


@dataclass(frozen=True)
class ProjectFolder:
    """A folder with a recipe in it, called `name`. Paths in the recipe are relative to it."""

    root: Path
    name: str = RECIPE

    @property
    def recipe(self) -> Path:
        return self.root / self.name

    @property
    def store(self) -> Path:
        return self.root / ".tunewright"

    @property
    def runs(self) -> Path:
        return self.store / "runs"

    @property
    def artifacts(self) -> Path:
        return self.store / "artifacts"

    @property
    def report(self) -> Path:
        """The newest report, beside the recipe."""
        return self.root / "report.html"

    def existing(self) -> ProjectFolder:
        """Itself. Raises `RunError` where there is neither a recipe nor anything that was made."""
        if not self.recipe.is_file() and not self.store.is_dir():
            raise RunError(
                "there is no project here.",
                where=str(self.root),
                remedy="Name its folder with --project, or make one: tunewright init DIR --data FILE",
            )
        return self

    def new_run(self) -> RunFolder:
        """A fresh run directory. Its name is the time to a fraction of a second, so that names sort by age."""
        while True:
            now = time.time()
            path = self.runs / (time.strftime("%Y%m%d-%H%M%S-", time.localtime(now)) + f"{int(now % 1 * 65536):04x}")
            with contextlib.suppress(FileExistsError):  # another process began in the same moment
                path.mkdir(parents=True)
                return RunFolder(path)

    def all_runs(self) -> list[RunFolder]:
        """Every run with a record, oldest first."""
        if not self.runs.is_dir():
            return []
        return [RunFolder(p) for p in sorted(self.runs.iterdir()) if (p / "run.json").is_file()]

    def trained(self, name: str | None = None) -> RunFolder:
        """The run called `name`, or the newest that was trained. Raises `RunError` when it has no trained weights."""
        done = [r for r in self.all_runs() if r.trained.is_file()]
        run = self.run(name) if name is not None or not done else done[-1]
        if not run.trained.is_file():
            remedy = f"Go on: tunewright run {shlex.quote(str(self.root))} --resume --run {run.id}"
            raise RunError("this run has no trained weights yet.", where=run.id, remedy=remedy)
        return run

    def unfinished(self, name: str | None = None) -> RunFolder:
        """The run called `name`, or the newest that is not finished: one in training before others. Raises `RunError`.

        What training has done takes longest to do again, and a baseline measured since is no reason to.
        """
        left = [run for run in ([self.run(name)] if name is not None else self.all_runs()) if not run.finished]
        if not left:
            what = "the newest run is finished" if name is None else "this run is finished"
            raise RunError(f"{what}.", where=self.run(name).id, remedy="Start a new one without --resume.")
        return ([run for run in left if run.in_training] or left)[-1]

    def run(self, name: str | None = None) -> RunFolder:
        """The run called `name` (a unique beginning or end is enough), or the newest. Raises `RunError`."""
        runs = self.all_runs()
        if name is None:
            if not runs:
                raise RunError("there is no run yet.", where=str(self.root), remedy="Start one: tunewright run")
            return runs[-1]
        found = [r for r in runs if r.id == name] or [r for r in runs if r.id.startswith(name) or r.id.endswith(name)]
        if len(found) != 1:
            known = ", ".join(r.id for r in runs[-5:]) or "none"
            what = "there is no such run" if not found else f"{len(found)} runs are called so"
            raise RunError(f"{what}.", where=name, remedy=f"Newest runs: {known}. See: tunewright runs")
        return found[0]


def outcome_of(folder: RunFolder) -> dict[str, Any] | None:
    """The run's scores and verdict as written, or None before evaluation."""
    return dict(read_json(folder.outcome)) if folder.outcome.is_file() else None
