"""Projects of the benchmarks that hold a plan beside what a training takes: made, planned, and trained by themselves.

A project is a random model with the seedling's tokenizer and real rows; what its training needs is written beside its
recipe, so that a process can tune it that has loaded nothing else.
"""

from __future__ import annotations

import importlib
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from _configurations import Configuration, model_folder

# Where the rows lie in the folder of data; the tickets of the sample project need no file.
FILES = {"banking77": "banking77/train.csv", "gsm8k": "gsm8k/train.jsonl", "snips": "snips/train.jsonl"}


def lacking(one: Configuration, data: Path) -> str:
    """What a configuration needs and the folder of `data` has not; empty where it lacks nothing."""
    file = FILES.get(one.source)
    return f"there is no {file} in {data}" if file and not (data / file).is_file() else ""


def prepare(works: Mapping[str, Configuration], beside: Path, data: Path) -> dict[str, tuple[Any, dict[str, Any]]]:
    """Make the projects of `works`, each in its folder `beside`; their plans, and the facts that they rest on."""
    from tunewright import journey
    from tunewright.joins.advising import plan_of

    conversations: dict[str, Any] = {}
    precisions: dict[str, Any] = {}
    found = {}
    for work, one in works.items():
        folder = beside / work
        folder.mkdir(exist_ok=True)
        if one.source not in conversations:
            conversations[one.source] = _conversations(one.source, data)
        _write(folder, one, conversations[one.source], model_folder(one.shape, beside))
        project = journey.open_project(folder)
        # Measured once for all works of a shape: it takes seconds.
        if one.shape in precisions:
            project.precision = precisions[one.shape]
        precisions[one.shape] = project.precision
        found[work] = (plan_of(project), _prepared(project, folder))
    return found


def _conversations(source: str, data: Path) -> list[Any]:
    from _works import _CONVERSATIONS
    from tunewright.sample import examples

    if source == "tickets":
        rows = [[(turn["role"], turn["content"]) for turn in one.row()["messages"]] for one in examples(400)]
    else:
        rows = _CONVERSATIONS[source](data)
    random.Random(0).shuffle(rows)
    return rows


def _write(folder: Path, one: Configuration, conversations: Sequence[Any], model: Path | str) -> None:
    """The project's rows and recipe."""
    count = one.batch * one.steps + one.validation
    rows = [_joined(conversations, index, one.data) for index in range(count + 4)]
    for name, some in (("rows.jsonl", rows[:count]), ("test.jsonl", rows[count:])):
        messages = [{"messages": [{"role": role, "content": text} for role, text in turns]} for turns in some]
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in messages))
    recipe = {
        "model": str(model),
        "data": {
            "train": ["rows.jsonl"],
            "test": "test.jsonl",
            "split": {"validation": one.validation / count, "folds": 0},
        },
        "train": {"epochs": 1, "checkpoints": 1, "effective_batch_size": one.batch} | one.train,
    }
    (folder / "tunewright.yaml").write_text(json.dumps(recipe))


def _joined(conversations: Sequence[Any], index: int, kind: str) -> Any:
    """A conversation; of `turns` several problems one after the other, so that rows are long."""
    if kind != "turns":
        return conversations[index % len(conversations)]
    return [turn for each in range(6) for turn in conversations[(6 * index + each) % len(conversations)]]


def _prepared(project: Any, folder: Path) -> dict[str, Any]:
    """Write what the training needs, and tell of it."""
    train, validation = project.rendered("train"), project.rendered("validation")
    prepared = {
        "model": project.recipe.model.id,
        "settings": {k: v for k, v in project.resolved.items() if k != "folds"},
        "train": [asdict(row) for row in train],
        "validation": [asdict(row) for row in validation],
        "answer": project.longest_answer,
        "stops": sorted(project.renderer.stop_ids),
        "pad": project.renderer.pad_id,
    }
    (folder / "prepared.json").write_text(json.dumps(prepared))
    lengths = [len(row.ids) for row in train]
    return {
        "parameters": project.base.parameters,
        "steps": project.resolved["steps"],
        "train_rows": len(train),
        "mean_tokens": round(sum(lengths) / len(lengths), 1),
        "longest_tokens": max(lengths),
        "validation_rows": len(validation),
    }


class Training:
    """What was prepared in a `folder`, with everything imported that it will need and nothing loaded yet."""

    def __init__(self, folder: Path) -> None:
        from tunewright.records import Rendered
        from tunewright.train import Settings

        for name in ("peft", "transformers.models.auto.modeling_auto", "transformers.modeling_utils"):
            importlib.import_module(name)
        self.folder = folder
        self._task = json.loads((folder / "prepared.json").read_text())
        given = {k: v for k, v in self._task["settings"].items() if k in Settings.model_fields}
        self.settings = Settings.model_validate(given)
        if self.settings.method == "qlora":
            importlib.import_module("bitsandbytes")
        self.train, self.validation = ([Rendered(**r) for r in self._task[split]] for split in ("train", "validation"))

    def load(self) -> Any:
        """The base, its weights read."""
        from tunewright import models

        return models.load(self._task["model"], in_4_bits=self.settings.method == "qlora").model

    def fit(self, model: Any, listen: Callable[[Any], None], measuring: Callable[[], None] = lambda: None) -> None:
        """Tune `model` by the loop of the product; `measuring` is called where a checkpoint begins to answer."""
        from tunewright.engine import Sampling, TorchEngine
        from tunewright.train import fit

        def score(tuned: Any) -> float:
            measuring()
            stops, pad = frozenset(self._task["stops"]), self._task["pad"]
            engine = TorchEngine(tuned, stop_ids=stops, pad_id=pad, identity="in training")
            rows = self.validation
            prompts = [row.ids[: row.prompt_length] for row in rows]
            made = engine.generate(prompts, Sampling(max_new_tokens=self._task["answer"]))
            right = [tuple(g.output_ids) == row.ids[row.prompt_length :] for g, row in zip(made, rows, strict=True)]
            return sum(right) / len(right)

        fit(
            model,
            self.train,
            self.validation,
            self.settings,
            directory=self.folder / "run",
            score=score if self.validation else None,
            on_event=listen,
        )
