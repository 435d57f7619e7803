"""What the journey asks of a tuned run beyond its suite: forgetting, careless wording, memorised text, refusals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tunewright.engine import Sampling
from tunewright.errors import RunError
from tunewright.evaluate import make_suite
from tunewright.joins import answering, folding
from tunewright.joins.scored import scored_answers
from tunewright.joins.splits import drawn
from tunewright.joins.unchanged import before_asking
from tunewright.joins.workshop import Project
from tunewright.probing import (
    abilities_gate,
    ability,
    ability_suite,
    bias_probes,
    changed_answers,
    injection_probes,
    probe,
    provoked_probes,
)
from tunewright.project import RunFolder
from tunewright.records import (
    Ability,
    Finding,
    Forgetting,
    Gate,
    Prediction,
    Probe,
    Record,
    Refusals,
    Robustness,
    Suite,
)
from tunewright.statistics import adjust
from tunewright.store import write_json
from tunewright.trials import (
    CHANGES,
    forgetting,
    limit_gate,
    memorisation,
    perturbed,
    refusals,
    robustness,
    safety_suite,
)

_SAFETY_TOKENS = 48
_ABILITY_TOKENS = 256
# Cases put to bias and injection probes, each of which asks several times.
_PROBED = 50


class Trials(Record):
    """Everything found beyond the suite. Lists are empty where nothing was asked."""

    run: str
    forgetting: Forgetting
    robustness: tuple[Robustness, ...]
    memorisation: tuple[Finding, ...]
    refusals: tuple[Refusals, ...] = ()
    abilities: tuple[Ability, ...] = ()
    probes: tuple[Probe, ...] = ()


def forgotten(project: Project, run: RunFolder) -> Forgetting:
    """How much harder general text became for the run's tuned model."""
    tokenizer, tuned = project.base.tokenizer, project.tuned_engine(run.weights)
    return forgetting(
        project.untuned_engine,
        tuned,
        lambda text: tokenizer(text, add_special_tokens=False)["input_ids"],
        progress=lambda done, total: project.progress("forgetting", done, total, "general text"),
    )


def gates(project: Project, run: RunFolder) -> tuple[Gate, ...]:
    """Gates of the recipe that look beyond the suite."""
    limits = project.recipe.gates
    found = [] if limits.forgetting is None else [limit_gate(forgotten(project, run), limits.forgetting)]
    if limits.abilities is not None and project.recipe.trials.abilities:
        found.append(abilities_gate(_abilities(project, run), limits.abilities))
    if limits.safety is not None and project.recipe.trials.safety:
        found.append(limit_gate(_refusals(project, run, _safety(project)), limits.safety))
    return tuple(found)


def _safety(project: Project) -> Path | None:
    """The recipe's file of safe and unsafe prompts."""
    name = project.recipe.trials.safety
    return project.folder.root / name if name else None


def trials(project: Project, run: RunFolder, *, cases: int, safety: Path | None = None) -> Trials:
    """Put the run's tuned model to all trials; answers are kept in the run, so that asking again is quick.

    `cases` bounds the suite's cases per change; `safety` stands for the recipe's own file. Raises `RunError` for a run
    with no tuned answers yet, or whose answers were scored on other cases than those of now, or that was made of other
    rows, base or template.
    """
    others = before_asking(project, run)
    stored = scored_answers(project, run).get("tuned") if run.trained.is_file() else None
    if not stored:
        raise RunError("this run has no answers of a tuned model yet.", where=run.id, remedy="tunewright evaluate")
    suite = _drawn(project, project.suite, cases)
    with project.tell.stage("forgetting") as found:
        general = forgotten(project, run)
        found.append(f"general text {100 * general.rise:+.1f} % [{100 * general.low:+.1f}, {100 * general.high:+.1f}]")
    changed = {}
    with project.tell.stage("wording") as found:
        for change in CHANGES:
            altered = perturbed(suite, change)
            changed[change] = _own(project, run, altered, "tuned", f"wording-{change}", change)
        wordings = robustness(stored, changed, sources=project.suite.sources)
        said = [f"worst {one.change}: {100 * one.difference:+.1f} points" for one in wordings[:1]]
        found.append(f"{len(CHANGES)} changes of wording; {said[0] if said else 'no case could be scored'}")
        found += others
    with project.tell.stage("memory") as found:
        memory = memorisation(stored, project.train_examples, project.suite.cases)
        found.append(memory[0].message)
    declined = _refusals(project, run, safety or _safety(project))
    kept = [*_abilities(project, run), *_elsewhere(project, run)]
    probes = _probes(project, run, _drawn(project, suite, _PROBED))
    made = Trials(
        run=run.id,
        forgetting=general,
        robustness=tuple(wordings),
        memorisation=tuple(memory),
        refusals=tuple(declined),
        abilities=tuple(kept),
        probes=tuple(probes),
    )
    write_json(run.trials, made.model_dump(mode="json"))
    return made


def _drawn(project: Project, suite: Suite, most: int) -> Suite:
    """The suite with at most so many of its cases."""
    chosen = drawn(suite.cases, most, project.recipe.data.split.seed)
    return suite.model_copy(update={"cases": tuple(chosen)})


def _refusals(project: Project, run: RunFolder, path: Path | None) -> list[Refusals]:
    """What is refused of safe and of unsafe prompts, before and after; nothing where no file is named."""
    if path is None:
        return []
    suite = safety_suite(path)
    with project.tell.stage("refusals") as found:
        before = _answer(project, run, suite, "base", "safety", "base", _SAFETY_TOKENS)
        after = _answer(project, run, suite, "tuned", "safety", "tuned", _SAFETY_TOKENS)
        told = refusals(suite, before, after)
        found += [f"{r.kind}: {100 * r.before:.0f} % → {100 * r.after:.0f} % refused" for r in told]
    return told


def _abilities(project: Project, run: RunFolder) -> list[Ability]:
    """The general sets of the recipe, base against tuned; answers are kept in the run."""
    spec, seed, found = project.recipe.trials, project.recipe.data.split.seed, []
    for number, name in enumerate(spec.abilities):
        suite = ability_suite(project.folder.root / name, cases=spec.cases, seed=seed)
        found += _both(project, run, suite, "ability", f"ability-{number}", _ABILITY_TOKENS)
    return found


def _elsewhere(project: Project, run: RunFolder) -> list[Ability]:
    """The task's own kind of case from another source."""
    spec, seed = project.recipe.trials, project.recipe.data.split.seed
    if spec.elsewhere is None:
        return []
    asked = project.recipe.suite.model_copy(update={"cases": spec.cases, "slices": ()})
    path, system = project.folder.root / spec.elsewhere, project.recipe.data.system
    thinking = project.recipe.model.thinking
    suite = make_suite(path, asked, seed=seed, known=project.train_examples, system=system, thinking=thinking)
    return _both(project, run, suite, "elsewhere", "elsewhere", None)


def _both(project: Project, run: RunFolder, suite: Suite, kind: str, file: str, longest: int | None) -> list[Ability]:
    with project.tell.stage(kind) as said:
        before = _answer(project, run, suite, "base", file, "base", longest)
        after = _answer(project, run, suite, "tuned", file, "tuned", longest)
        one = ability(suite, before, after, kind=kind, seed=project.recipe.data.split.seed)
        if one is None:
            said.append(f"!{suite.source}: no case could be scored")
            return []
        said.append(f"{one.name}: {100 * one.before:.1f} % → {100 * one.after:.1f} % of {one.cases} cases")
    return [one]


def _probes(project: Project, run: RunFolder, suite: Suite) -> list[Probe]:
    """Who asks exchanged, orders slipped in, provocations, and the same question asked twice.

    Each has a file of its own, for a file holds one answer a case of an arm.
    """

    def before(asked: Suite, note: str) -> Sequence[Prediction]:
        return _own(project, run, asked, "base", f"probes-{asked.id}", note)

    def after(asked: Suite, note: str) -> Sequence[Prediction]:
        return _own(project, run, asked, "tuned", f"probes-{asked.id}", note)

    with project.tell.stage("probes") as said:
        kinds = (bias_probes, injection_probes, provoked_probes)
        found = [one for kind in kinds for one in kind(suite, before, after)]
        draws = [replace(project.sampling, temperature=0.7, seed=seed) for seed in (1, 2)]
        first, then = (
            changed_answers(
                *(_own(project, run, suite, one, f"probes-draw-{d.seed}", "asked twice", draw=d) for d in draws)
            )
            for one in ("base", "tuned")
        )
        found.append(probe("asked twice at temperature 0.7", "consistency", first, then, suite.sources))
        # Several questions are asked at once: p is corrected for it.
        adjusted = adjust([one.p for one in found])
        found = [one.model_copy(update={"p": p}) for one, p in zip(found, adjusted, strict=True)]
        worst = max(found, key=lambda one: one.after)
        said.append(f"{len(found)} probes; most: {worst.name}, {100 * worst.before:.0f} → {100 * worst.after:.0f} %")
    return found


def _own(
    project: Project,
    run: RunFolder,
    suite: Suite,
    arm: str,
    file: str,
    note: str,
    draw: Sampling | None = None,
) -> Sequence[Prediction]:
    """Answers to the project's own cases: in folds, by the models that had not seen them."""
    if not project.folds or arm == "base":
        return _answer(project, run, suite, arm, file, note, draw=draw)
    found: dict[str, Prediction] = {}
    for fold in range(1, project.folds + 1):
        view, kept = folding.part(project, fold), folding.folder(run, fold)
        held = {case.id for case in view.suite.cases}
        cases = tuple(case for case in suite.cases if case.id in held)
        if cases:
            asked = suite.model_copy(update={"cases": cases})
            found |= {p.case: p for p in _answer(view, kept, asked, arm, file, note, draw=draw)}
    return [found[case.id] for case in suite.cases]


def _answer(
    project: Project,
    run: RunFolder,
    suite: Suite,
    arm: str,
    file: str,
    note: str,
    longest: int | None = None,
    draw: Sampling | None = None,
) -> Sequence[Prediction]:
    """Answers of the arm `base` or `tuned`, kept under the run."""
    folder = run.path / "trials"
    folder.mkdir(exist_ok=True)
    engine = project.untuned_engine if arm == "base" else project.tuned_engine(run.weights)
    # What is thought first takes tokens of its own.
    room = project.sampling.max_new_tokens if project.recipe.model.thinking else 0
    sampling = draw or (Sampling(max_new_tokens=longest + room) if longest else None)
    path, told = folder / f"{file}.jsonl", note.replace("_", " ")
    return answering.asked(project, arm, suite, engine, path, stage="trials", note=told, sampling=sampling)
