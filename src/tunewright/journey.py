"""The journey on one page: check → plan → baseline → train → evaluate → export.

Each stage reads what the stages before it left on disk, so any of them can be run again by itself; `run` walks them
all and stops where a gate says no.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tunewright.data import Audit, recognise
from tunewright.errors import RunError
from tunewright.export import without_passwords
from tunewright.joins import (
    advising,
    answering,
    exporting,
    folding,
    hurdles,
    judging,
    speaking,
    stages,
    starting,
    trained,
    trying,
)
from tunewright.joins.passing import blocks, with_strict
from tunewright.joins.resuming import as_begun, unfinished
from tunewright.joins.telling import Silent, Teller
from tunewright.joins.unchanged import before_asking
from tunewright.joins.workshop import Project, begin_run
from tunewright.plan import Plan
from tunewright.project import ProjectFolder, RunFolder
from tunewright.recipe import Recipe, read_spec
from tunewright.records import TUNED, Artifact, Evaluation, Gate, RunRecord, TrainResult, arm_label, scored, sequences
from tunewright.render import spans
from tunewright.report import DataEvidence, data_page
from tunewright.store import read_json, write_text


def open_project(
    path: str | Path = ".",
    overrides: Sequence[str] = (),
    *,
    allow: Mapping[str, str] | None = None,
    strict: bool = False,
    tell: Teller | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Project:
    """The project whose recipe is at `path` (a file or its folder). Raises `RecipeError`."""
    path = Path(path)
    recipe, given = read_spec(Recipe, path, overrides)
    folder = ProjectFolder(path.resolve()) if path.is_dir() else ProjectFolder(path.parent.resolve(), path.name)
    project = Project(folder, recipe, given, allow or {}, strict, tell or Silent(), should_stop)
    return replace(project, overrides=tuple(overrides))


def open_run(
    path: str | Path = ".",
    name: str | None = None,
    overrides: Sequence[str] = (),
    *,
    trained: bool = True,
    resume: bool = False,
    **options: Any,
) -> Project:
    """The project as one of its runs was started: what was given beside the recipe then (`--set`, `--allow`,
    `--strict`) holds, and then these.

    The newest run, if none is named; with `trained`, the newest that was; with `resume`, the newest unfinished one, to
    go on with. `options` as for `open_project`. Raises `RecipeError`, and `RunError` where there is no such run.
    """
    folder = open_project(path, overrides, **options).folder
    run = (folder.unfinished if resume else folder.trained if trained else folder.run)(name)
    kept = read_json(run.record, RunRecord).overrides
    return as_begun(open_project(path, [*kept, *overrides], **options), run, resume)


def open_files(
    train: Sequence[Path],
    test: Sequence[Path] = (),
    *,
    model: str | None = None,
    license: str | None = None,
    input: str | None = None,
    output: str | None = None,
    requests: Sequence[str] = (),
    overrides: Sequence[str] = (),
    **options: Any,
) -> Project:
    """Data files without a recipe; `overrides` and `options` as for `open_project`. Results lie in `.tunewright/` here.

    Without `model` nothing is counted in tokens. Where no `test` is given, splits of the files that judge are held out,
    as `init`'s recipe has it. Raises `RecipeError`, and `DataError` for a file of no recognisable shape.
    """
    sources = [{"path": str(p.resolve()), **({"license": license} if license else {})} for p in train]
    columns = {k: v for k, v in (("input", input), ("output", output)) if v}
    held: list[Any] = [str(p.resolve()) for p in test]
    if not test:
        splits = {p: recognise(p, input=input, output=output).test for p in train}
        held = [{"path": str(p.resolve()), "split": split} for p, split in splits.items() if split]
    held_out = {"test": held} if held else {}
    asked = {"requests": list(requests)} if requests else {}
    given = {"model": model or "seedling", "data": {"train": sources, **held_out, **columns, **asked}}
    recipe, given = read_spec(Recipe, given, overrides)
    return Project(ProjectFolder(Path.cwd()), recipe, given, bare=True, count_tokens=model is not None, **options)


@dataclass(frozen=True)
class Checked:
    """What `check` found; `gates` carry the allowances of this call."""

    audit: Audit
    gates: tuple[Gate, ...]
    report: Path
    root: Path

    def as_dict(self) -> dict[str, Any]:
        gates = [g.model_dump(mode="json") for g in self.gates]
        files = [s.model_dump(mode="json", exclude={"sha256"}) for s in self.audit.dataset.sources]
        for file in files:
            path = self.root / file["path"]
            file["path"] = str(path) if path.exists() else file["path"]
        return {**self.audit.as_dict(), "files": files, "gates": gates, "report": str(self.report)}


@dataclass(frozen=True)
class Outcome:
    """One matched experiment and where its evidence lies. `evaluation` None: a gate stopped the journey before it."""

    run: str | None
    evaluation: Evaluation | None
    gates: tuple[Gate, ...]
    report: Path
    paths: dict[str, str | None]
    tried: Mapping[str, Any] = field(default_factory=dict)

    @property
    def arms(self) -> tuple[Any, ...]:
        return self.evaluation.arms if self.evaluation else ()

    @property
    def hurdle(self) -> Any:
        return self.evaluation.hurdle if self.evaluation else None

    @property
    def folds(self) -> int:
        """How many models answered the suite, each the part it had not seen; 0: one model, all of it."""
        return self.evaluation.folds if self.evaluation else 0

    @property
    def verdict(self) -> Any:
        tuned = any(a.name == "tuned" for a in self.arms)
        return self.evaluation.verdict if self.evaluation and tuned else None

    def as_dict(self, seconds: Mapping[str, float]) -> dict[str, Any]:
        evaluation = self.evaluation.model_dump(mode="json") if self.evaluation else {"arms": [], "verdict": None}
        return {
            "run": self.run,
            **{name: self.tried[name] for name in ("prompts", "retrieval") if name in self.tried},
            **evaluation,
            "gates": [g.model_dump(mode="json") for g in self.gates],
            "paths": {**self.paths, "report": str(self.report)},
            "seconds": dict(seconds),
        }


def check(project: Project) -> Checked:
    """Audit the recipe's data, write its dataset version and the page about it."""
    with project.tell.stage("data") as found:
        audit = project.audit
        gates = with_strict(project, [*audit.gates, stages.suite_gate(project)])
        asked = stages.asked_of_held_out(project)
        found.append(("!" if blocks(gates) else "") + _data_words(audit, asked))
        page = data_page(
            DataEvidence(
                title=project.title,
                date=time.strftime("%Y-%m-%d"),
                ledger=audit.dataset.ledger,
                splits=audit.dataset.splits,
                folds=len(audit.dataset.folds),
                asked=asked,
                dataset=audit.dataset.id,
                findings=audit.findings,
                gates=gates,
                sources=audit.dataset.sources,
                tokens_per_word=(audit.fluency.data, audit.fluency.english) if audit.fluency else None,
                command="tunewright check",
                overrides=tuple(without_passwords(project.overrides)),
            )
        )
        report = project.folder.store / "reports" / f"data-{audit.dataset.id}.html"
        write_text(report, page)
        if not project.bare:
            write_text(project.folder.report, page)
    return Checked(audit, gates, report, project.folder.root)


def make_the_plan(project: Project) -> Plan:
    """What will be done, what it needs, and whether tuning is the right means at all."""
    with project.tell.stage("plan") as found:
        plan = advising.plan_of(project)
        choice = plan.choice
        methods = {"lora": f"LoRA r{choice['rank']}", "qlora": f"QLoRA r{choice['rank']}", "full": "all weights"}
        seconds = plan.hours["expected"] * 3600
        about = f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
        found.append(
            f"{methods[choice['method']]}, batch {choice['effective_batch_size']}, {choice['steps']} steps"
            f" in {choice['precision']}"
            + (f" · {project.folds} folds and all rows" if project.folds else "")
            + f" · about {about} · {plan.memory_gb['total']:.1f} GB"
        )
    return plan


def baseline(project: Project, run: RunFolder | None = None) -> Outcome:
    """Every untuned arm on the suite: what tuning has to beat."""
    begun, run = run is not None, run or begin_run(project)
    with project.tell.stage("baseline") as found:
        names = [a for a in answering.arm_names(project) if a not in TUNED]
        predictions = folding.answers(project, run, names, "baseline")
        evaluation = hurdles.with_hurdle(project, stages.decided(project, predictions))
        found.append("   ".join(f"{arm_label(a.name)} {100 * a.score:.1f} %" for a in evaluation.arms))
        found += stages.cut_thoughts(project, evaluation)
        if project.untuned.quantisation:
            found.append("they asked the base in 4 bits: memory does not hold it whole")
        if begun:
            found += [g.message for g in evaluation.gates if g.name == "cheaper_means" and g.ok is not False]
        return _finish(project, run, evaluation, predictions, project.audit.gates)


def assisted(project: Project) -> bool:
    """In a process started beside the first one: its part of the training, done. False in the one that leads."""
    if project.ranks.first:
        return False
    stages.assist(project)
    return True


def train(project: Project, *, resume: bool = False, run: RunFolder | None = None) -> tuple[TrainResult | None, Any]:
    """Tune; the result (None when a gate forbids it: faulty data, no suite, cheaper means) and the gates."""
    first = [*project.audit.gates, stages.suite_gate(project), hurdles.before_training(project)]
    gates = with_strict(project, first)
    if blocks(gates):
        project.ranks.told(None)
        return None, gates
    run = run or (unfinished(project) if resume else begin_run(project))
    with project.tell.stage("train") as found:
        result = folding.tune(project, run, resume)
        folds, kept = folding.training_words(project, result)
        found.append(
            f"{folds}{result.steps} steps · loss {trained.first_loss(run):.2f} → {result.loss['train']:.2f} · {kept}"
            f" · {result.tokens_per_second:,.0f} tokens/s"
        )
        found.extend([*starting.words(project.resolved), *trained.words(run)])
    return result, gates


def evaluate(project: Project, name: str | None = None, *, run: RunFolder | None = None) -> Outcome:
    """Every arm on the same cases; the verdict, the gates, the report.

    Raises `RunError` where the rows, base or template that made the run are others now.
    """
    run = run or project.folder.trained(name)
    with project.tell.stage("evaluate") as found:
        others = before_asking(project, run)
        predictions = folding.answers(project, run, answering.arm_names(project), "evaluate")
        evaluation = stages.decided(project, predictions)
        more = (*trying.gates(project, run), *hurdles.after_training(project, evaluation.arms))
        evaluation = stages.decided(project, predictions, more)
        judged = judging.gates(project, run, predictions, evaluation.verdict.against)
        if judged:
            evaluation = stages.decided(project, predictions, (*more, *judged))
        evaluation = evaluation.model_copy(update={"hurdle": hurdles.hurdle_of(project, evaluation.arms)})
        tuned = next(a for a in evaluation.arms if a.name == "tuned")
        found += [f"tuned {scored(tuned)}", *others]
        found += stages.cut_thoughts(project, evaluation, ("tuned",))
        return _finish(project, run, evaluation, predictions, project.audit.gates)


def export(project: Project, name: str | None = None, to: str = "adapter", *, run: RunFolder | None = None) -> Artifact:
    """The run as files that plain transformers and PEFT load, with the certificate that they answer alike."""
    run = run or project.folder.trained(name)
    if to not in exporting.FORMS:
        remedy = f"Forms: {', '.join(exporting.FORMS)}."
        raise RunError(f"`{to}` is not a form to export to.", where="--to", remedy=remedy)
    with project.tell.stage("export") as found:
        artifact = exporting.exported(project, run, to)
        proof = artifact.certificate
        found.append(
            ("" if proof.ok else "!")
            + f"{to} {artifact.bytes / 1e6:.1f} MB · {proof.probes} probes "
            + ("identical" if proof.tokens_equal else "differ")
            + f", log-probabilities within {proof.logprob_gap:.0e}"
        )
        found.extend([proof.unscored] if proof.unscored else [])
    return artifact


def run(project: Project, *, resume: bool = False) -> Outcome:
    """The whole journey; with `resume`, the run that `open_run` opened, or the newest unfinished, goes on."""
    checked = check(project)
    if blocks(checked.gates):
        project.ranks.told(None)
        return Outcome(None, None, checked.gates, checked.report, stages.paths(project, None))
    make_the_plan(project)
    folder = unfinished(project) if resume else begin_run(project)
    cheaper = baseline(project, folder)
    if blocks(cheaper.gates):
        project.ranks.told(None)
        return cheaper
    train(project, resume=resume, run=folder)
    outcome = evaluate(project, run=folder)
    full = project.recipe.train.method == "full"
    artifact = export(project, to="merged" if full else "adapter", run=folder)
    proof = artifact.certificate
    said = f"{proof.probes} probes, tokens {'identical' if proof.tokens_equal else 'differ'}, log-probabilities within"
    parity = Gate(name="parity", ok=proof.ok, message=f"{said} {proof.logprob_gap:.0e}.")
    assert outcome.evaluation is not None
    predictions = stages.stored(folder)
    return _finish(project, folder, outcome.evaluation, predictions, (*checked.gates, parity))


def headline(project: Project) -> str:
    """What is about to happen, in a line."""
    embedded = ", embedded" if project.recipe.model.id == "seedling" else ""
    size = f"{project.base.parameters / 1e6:.1f} M parameters{embedded}"
    return f"{project.title}. Base: {project.base.name} ({size}). {project.machine_words}."


def rendered(
    project: Project, *, count: int = 1, split: str = "train", row: str | None = None
) -> list[tuple[str, list[list[tuple[str, bool]]]]]:
    """Examples as the model sees them: (row, its sequences, each of them [(text, supervised)])."""
    examples = project.examples(split)
    if row is not None:
        everywhere = [e for s in ("train", "validation", "test") for e in project.examples(s)]
        examples = [e for e in everywhere if e.row == row]
        if not examples:
            raise RunError("no row of this name is used.", where=row, remedy="Rows are named file:record.")
    limit = project.recipe.train.max_length
    shown = ((e.row, list(sequences([project.renderer.render(e, limit)]))) for e in examples[:count])
    return [(name, [list(spans(project.renderer, each)) for each in whole]) for name, whole in shown]


def speaker(folder: str | Path, name: str | None = None) -> speaking.Speaker:
    """A tuned model to talk to: of a run in the project at `folder`, the newest by default; or of an adapter there.

    Raises `RunError` when it was tuned on another base than is at hand.
    """
    if name is None and speaking.is_adapter(Path(folder)):
        return speaking.of_adapter(Path(folder))
    return speaking.of_run(open_run(folder, name), name)


def _data_words(audit: Audit, asked: int) -> str:
    ledger, splits = audit.dataset.ledger, audit.dataset.splits
    aside = ", ".join(f"{n:,} {reason.replace('_', ' ')}" for reason, n in ledger.set_aside.items() if n)
    rehearsal = f" + {splits['rehearsal']:,} rehearsal" if splits.get("rehearsal") else ""
    suite = f"{splits['test']:,} held out, {asked:,} asked" if asked < splits["test"] else f"{splits['test']:,} suite"
    divided = f"{splits['train']:,} train{rehearsal} / {splits['validation']:,} validation / {suite}"
    if audit.dataset.folds:
        held, folds = sum(audit.dataset.folds), len(audit.dataset.folds)
        divided = f"{splits['train']:,} train{rehearsal}; {held:,} of them are the suite too, in {folds} folds"
    return (
        f"{ledger.used:,} of {ledger.read:,} rows used"
        + (f" ({audit.dataset.synthetic:,} synthetic)" if audit.dataset.synthetic else "")
        + (f" · set aside: {aside}" if aside else "")
        + f" · {divided}"
    )


def _finish(
    project: Project,
    run: RunFolder,
    evaluation: Evaluation,
    predictions: answering.Predictions,
    gates: tuple[Gate, ...],
) -> Outcome:
    """Put all gates together, write the outcome and its page."""
    evaluation = stages.settled(project, evaluation, gates)
    stages.write_outcome(project, run, evaluation, predictions)
    paths = stages.paths(project, run)
    return Outcome(run.id, evaluation, evaluation.gates, project.folder.report, paths, stages.tried(run))
