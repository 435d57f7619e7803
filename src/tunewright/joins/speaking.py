"""A tuned model to talk to: of a run in its project, or of an exported adapter, which says itself what it is for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tunewright import models
from tunewright.engine import Sampling, TorchEngine
from tunewright.errors import RunError
from tunewright.export import check_manifest
from tunewright.joins import tuned
from tunewright.joins.workshop import Project
from tunewright.project import RECIPE, ProjectFolder
from tunewright.recipe import Recipe, read_spec
from tunewright.records import Message, RunRecord
from tunewright.store import read_json


@dataclass(frozen=True)
class Speaker:
    """A tuned model to talk to; `opening` is the system prompt it was trained behind."""

    name: str
    opening: tuple[Message, ...]
    project: Project
    engine: TorchEngine

    def answer(self, messages: Sequence[Message], max_new_tokens: int = 256) -> Message:
        """What it says next, with what it thought first; no words where its thought took all tokens."""
        prompt = self.project.renderer.prompt(messages)
        output = self.engine.generate([prompt], Sampling(max_new_tokens=max_new_tokens))[0]
        said = self.project.renderer.said(output.output_ids)
        return Message("assistant", said.answer, thought=said.thought)


def of_run(project: Project, name: str | None) -> Speaker:
    """The tuned model of a run, the newest by default. Raises `RunError` when it was tuned on another base."""
    run = project.folder.trained(name)
    record = read_json(run.record, RunRecord)
    if record.base_sha256 != project.base.sha256 or record.renderer != project.renderer.fingerprint:
        raise RunError("the recipe's base is not the one this run was tuned on.", where=run.id)
    return Speaker(run.id, _opening(project), project, project.tuned_engine(run.weights))


def is_adapter(folder: Path) -> bool:
    """Whether `folder` holds an adapter that we exported."""
    return all((folder / name).is_file() for name in ("adapter_config.json", "manifest.json"))


def of_adapter(folder: Path) -> Speaker:
    """The exported adapter in `folder` on the base that its manifest names, of which it needs nothing else.

    A base that is a path is looked for beside the recipe of the project `folder` lies in, else from `folder`. Raises
    `RunError` when base or template are not those it was made for, or its files have changed.
    """
    facts = read_json(folder / "manifest.json")
    recipe, given = read_spec(Recipe, facts["recipe"])
    root = next((above for above in folder.resolve().parents if (above / RECIPE).is_file()), folder)
    project = Project(ProjectFolder(root), recipe, given, bare=True)
    check_manifest(folder, project.base.sha256, project.renderer.fingerprint, project.base.quantisation)
    model = models.adapter_onto(project.fresh().model, folder)
    engine = project.engine(model, tuned.identity(project.base, folder))
    return Speaker(facts["run"], _opening(project), project, engine)


def _opening(project: Project) -> tuple[Message, ...]:
    system = project.recipe.data.system
    return (Message("system", system),) if system else ()
