"""What the journey asks of a tuned run beyond its suite: forgetting, careless wording, memorised text, refusals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunewright.engine import Sampling
from tunewright.errors import RunError
from tunewright.evaluate import prompting, run_arm
from tunewright.project import RunFolder
from tunewright.records import Finding, Forgetting, Gate, Prediction, Record, Refusals, Robustness, Suite
from tunewright.store import read_lines, write_json
from tunewright.trials import (
    CHANGES,
    forgetting,
    forgetting_gate,
    memorisation,
    perturbed,
    refusals,
    robustness,
    safety_suite,
)
from tunewright.workshop import Project, identity, tuned_model

_SAFETY_TOKENS = 48


class Trials(Record):
    """Everything found beyond the suite. Lists are empty where nothing was asked."""

    run: str
    forgetting: Forgetting
    robustness: tuple[Robustness, ...]
    memorisation: tuple[Finding, ...]
    refusals: tuple[Refusals, ...] = ()


def forgotten(project: Project, run: RunFolder, model: Any | None = None) -> Forgetting:
    """How much harder general text became for the tuned model (loaded from the run unless given)."""
    tokenizer = project.base.tokenizer
    base = project.engine(project.base.model, identity(project.base, None))
    tuned = project.engine(model or tuned_model(project, run.weights), identity(project.base, run.weights))
    return forgetting(base, tuned, lambda text: tokenizer(text, add_special_tokens=False)["input_ids"])


def gates(project: Project, run: RunFolder) -> tuple[Gate, ...]:
    """Gates of the recipe that look beyond the suite."""
    limit = project.recipe.gates.forgetting
    return () if limit is None else (forgetting_gate(forgotten(project, run), limit),)


def trials(project: Project, run: RunFolder, *, cases: int, safety: Path | None = None) -> Trials:
    """Put the run's tuned model to all trials; answers are kept in the run, so that asking again is quick.

    `cases` bounds the suite's cases per change. Raises `RunError` for a run with no tuned answers yet.
    """
    stored = [p for p in map(Prediction.model_validate, _lines(run.predictions)) if p.arm == "tuned"]
    if not stored or not run.trained.is_file():
        raise RunError("this run has no answers of a tuned model yet.", where=run.id, remedy="tunewright evaluate")
    model = tuned_model(project, run.weights)
    suite = project.suite.model_copy(update={"cases": project.suite.cases[:cases]})
    with project.tell.stage("forgetting") as found:
        general = forgotten(project, run, model)
        found.append(f"general text {100 * general.rise:+.1f} % [{100 * general.low:+.1f}, {100 * general.high:+.1f}]")
    changed = {}
    with project.tell.stage("wording") as found:
        for change in CHANGES:
            altered = perturbed(suite, change)
            changed[change] = _answer(project, run, altered, model, f"wording-{change}", change)
        wordings = robustness(stored, changed)
        worst = wordings[0]
        found.append(f"{len(CHANGES)} changes of wording; worst {worst.change}: {100 * worst.difference:+.1f} points")
    with project.tell.stage("memory") as found:
        expected = {c.id: c.expected for c in project.suite.cases}
        memory = memorisation(stored, project.train_examples, expected)
        found.append(memory[0].message)
    declined = _refusals(project, run, model, safety) if safety else []
    made = Trials(
        run=run.id,
        forgetting=general,
        robustness=tuple(wordings),
        memorisation=tuple(memory),
        refusals=tuple(declined),
    )
    write_json(run.trials, made.model_dump(mode="json"))
    return made


def _refusals(project: Project, run: RunFolder, model: Any, path: Path) -> list[Refusals]:
    suite = safety_suite(path)
    with project.tell.stage("refusals") as found:
        before = _answer(project, run, suite, None, "safety", "base", _SAFETY_TOKENS)
        after = _answer(project, run, suite, model, "safety", "tuned", _SAFETY_TOKENS)
        told = refusals(suite, before, after)
        found += [f"{r.kind}: {100 * r.before:.0f} % → {100 * r.after:.0f} % refused" for r in told]
    return told


def _answer(
    project: Project, run: RunFolder, suite: Suite, model: Any | None, file: str, note: str, longest: int | None = None
) -> Sequence[Prediction]:
    """Answers of the tuned model (or the base, where `model` is None), kept under the run."""
    folder = run.path / "trials"
    folder.mkdir(exist_ok=True)
    arm = "base" if model is None else "tuned"
    who = identity(project.base, None if model is None else run.weights)
    return run_arm(
        arm,
        suite,
        project.engine(project.base.model if model is None else model, who),
        prompts=prompting(arm, suite, train=(), task=None, count=lambda messages, tools: 0, budget=0),
        render_prompt=project.render_prompt,
        decode=project.renderer.decode,
        template=project.renderer.fingerprint,
        sampling=Sampling(max_new_tokens=longest) if longest else project.sampling,
        path=folder / f"{file}.jsonl",
        progress=lambda done, total: project.progress("trials", done, total, note.replace("_", " ")),
    )


def _lines(path: Path) -> list[Mapping[str, Any]]:
    return list(read_lines(path)) if path.is_file() else []
