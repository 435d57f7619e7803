"""The learning curve of a project: models trained on nested parts of the rows, all asked the same validation cases.

The suite has no part in it, and neither has the choice of a checkpoint: each model keeps its last step, so that the
cases which measure it have chosen nothing.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.data import load
from tunewright.errors import DataError, Interrupted, RecipeError, RunError
from tunewright.growth import Cost, growth, said
from tunewright.joins import starting, tuned
from tunewright.joins.answering import asked, validation_suite
from tunewright.joins.workshop import Project
from tunewright.plan import resolve
from tunewright.records import Growth, Rendered, Suite, Trial, scored
from tunewright.report import growth_page
from tunewright.store import append_line, digest, read_lines, write_json, write_text
from tunewright.train import Settings, fit

FRACTIONS = (0.1, 0.25, 0.5, 1.0)
_FEWEST_ROWS = 4


@dataclass(frozen=True)
class Curve:
    """What was measured and what follows; `trained` of the trials were trained by this call, the others were there."""

    growth: Growth
    trials: tuple[Trial, ...]
    trained: int
    report: Path

    def as_dict(self) -> dict[str, Any]:
        trials = [t.model_dump(mode="json", exclude={"scores"}) for t in self.trials]
        return {
            **self.growth.model_dump(mode="json"),
            "trials": trials,
            "trained": self.trained,
            "report": str(self.report),
        }


def learning_curve(
    project: Project,
    fractions: Sequence[float] = FRACTIONS,
    *,
    seeds: int = 2,
    target: float | None = None,
    cost: Cost | None = None,
) -> Curve:
    """Train on each of `fractions` of the train rows, `seeds` times each, and answer whether more rows would pay.

    Each seed draws other rows (nested: a smaller part lies within a larger one) and another start. What a trial found
    is kept in the project under the data, base and settings it is of, so that nothing is trained twice and a stopped
    call goes on in the step where it was. Raises `RecipeError` for fractions outside 0…1 and for a warm start,
    `DataError` where there are no validation rows or a part would be too small, `RunError` in one of several processes,
    `Interrupted`.
    """
    if project.ranks.count > 1:
        raise RunError("a curve is trained in one process.", remedy="Start it without torchrun.")
    if project.recipe.train.init_from:
        raise RecipeError(
            "a curve begins at the base: an adapter has learnt rows that are left out of its smaller parts.",
            where="train.init_from",
            remedy="For this once: --set train.init_from=null",
        )
    suite, parts = _cases(project), _parts(project, fractions)
    folder = project.folder.store / "curves" / _identity(project, suite)
    done = {(t.rows, t.seed): t for t in _stored(folder)}
    wanted = [(share, rows, seed) for seed in range(seeds) for share, rows in parts]
    trained = 0
    for share, rows, seed in wanted:
        if (rows, seed) not in done:
            done[rows, seed] = _trial(project, suite, folder, share, seed)
            trained += 1
    trials = tuple(done[rows, seed] for _, rows, seed in wanted)
    found = growth(
        [(t.rows, t.scores) for t in trials],
        scorer=suite.primary,
        target=target,
        cost=cost,
        seed=project.recipe.data.split.seed,
    )
    write_json(folder / "curve.json", found.model_dump(mode="json"))
    date = time.strftime("%Y-%m-%d")
    page = growth_page(found, title=project.title, base=project.base.name, date=date, **said(found)._asdict())
    report = project.folder.root / "curve.html"
    write_text(report, page)
    return Curve(found, trials, trained, report)


def words(found: Growth) -> Iterator[str]:
    """The answer as lines for a terminal: the decision, what it rests on, and what was asked besides."""
    told = said(found)
    yield f"{told.decision} {told.sentence}"
    if found.expected:
        yield f"    expected with {found.expected.rows:,} rows: {scored(found.expected)}"
    yield from (f"    {why}" for why in found.refused[1:])
    yield from (f"    {line}" for line in told.lines)


def _cases(project: Project) -> Suite:
    if not project.audit.dataset.splits["validation"]:
        why = "all rows are held out in folds" if project.folds else "`data.split.validation` holds out none"
        raise DataError(
            f"there are no validation rows to measure a curve by: {why}.",
            where=str(project.folder.recipe),
            remedy="A curve needs some hundred rows. Of fewer it can be forced: --set data.split.folds=0",
        )
    return validation_suite(project, "auto")


def _parts(project: Project, fractions: Sequence[float]) -> list[tuple[float, int]]:
    """Each share with its number of rows, the smallest first."""
    total = project.audit.dataset.splits["train"]
    if not fractions or any(not 0 < share <= 1 for share in fractions):
        raise RecipeError(
            "fractions lie above 0 and up to 1.",
            where="--fractions " + ",".join(f"{share:g}" for share in fractions),
            remedy="For example: --fractions 0.1,0.25,0.5,1",
        )
    parts = {max(1, round(share * total)): share for share in sorted(fractions)}
    least = min(parts)
    if least < _FEWEST_ROWS:
        raise DataError(
            f"{100 * parts[least]:g} % of {total:,} rows are {least}: too few to train on.",
            where="--fractions",
            remedy="Begin with a larger share, or with more rows.",
        )
    return [(share, rows) for rows, share in sorted(parts.items())]


def _identity(project: Project, suite: Suite) -> str:
    """All that a trial depends on besides its rows and seed: data, base, template, our release, recipe (K6)."""
    settings = json.dumps(project.recipe.train.model_dump(mode="json"), sort_keys=True)
    measures = project.recipe.suite.model_dump_json(include={"tone", "embedding"})
    return digest(
        project.audit.dataset.id,
        tuned.identity(project.base, None),
        project.renderer.fingerprint,
        project.precision,
        settings,
        suite.id,
        measures,
        project.schema or "",
        project.sampling.key(),
    )[:16]


def _stored(folder: Path) -> list[Trial]:
    path = folder / "trials.jsonl"
    return [Trial.model_validate(row) for row in read_lines(path)] if path.is_file() else []


def _trial(project: Project, suite: Suite, folder: Path, share: float, seed: int) -> Trial:
    """One training and what it scores, written down when it is known."""
    rows = _rendered(project, share, seed)
    count = len(load(project.audit.path, "train", share=share, seed=seed))
    settings = _settings(project, len(rows), seed)
    work = folder / "unfinished" / f"{count}-rows-seed-{seed}"
    with project.tell.stage(f"{count} rows") as found:
        began = time.perf_counter()
        try:
            fitted = fit(
                project.fresh().model,
                rows,
                (),
                settings,
                directory=work,
                on_event=lambda event: _tell(project, event, settings, seed),
                resume=True,
                should_stop=project.should_stop,
            )
            engine = project.engine(fitted.model, "of a curve")
            made = asked(project, "curve", suite, engine, work / "answers.jsonl", stage="curve")
        except Interrupted as stopped:
            remedy = "The same command goes on exactly where it stopped."
            raise Interrupted(stopped.message, where=f"{count} rows, seed {seed}", remedy=remedy) from None
        scores = [p.score for p in made]
        known = [s for s in scores if s is not None]
        trial = Trial(
            rows=count,
            seed=seed,
            steps=fitted.steps,
            score=sum(known) / max(1, len(known)),
            scores=tuple(scores),
            seconds=round(time.perf_counter() - began, 2),
        )
        append_line(folder / "trials.jsonl", trial.model_dump(mode="json"))
        shutil.rmtree(work, ignore_errors=True)
        found.append(f"seed {seed} · {fitted.steps} steps · {100 * trial.score:.1f} % of {len(known)} validation cases")
    return trial


def _rendered(project: Project, share: float, seed: int) -> list[Rendered]:
    """The part's rows, and as large a part of the rehearsal rows, as the model sees them."""
    dataset, limit = project.audit.dataset, project.recipe.train.max_length
    splits = ["train", *(["rehearsal"] if dataset.splits.get("rehearsal") else [])]
    chosen = [e for split in splits for e in load(project.audit.path, split, share=share, seed=seed)]
    return [project.renderer.render(e, limit) for e in chosen]


def _settings(project: Project, rows: int, seed: int) -> Settings:
    """What the journey would do with so many rows, but for checkpoints: only the last step counts."""
    spec = project.recipe.train
    found = resolve(spec, rows=rows, parameters=project.base.parameters, precision=project.precision)
    found |= {"seed": spec.seed + seed, "checkpoints": 1}
    return starting.settings_of(found, project.folder.root)


def _tell(project: Project, event: Mapping[str, Any], settings: Settings, seed: int) -> None:
    if event["type"] == "step":
        left = ((settings.steps or 0) - event["step"]) * event["seconds"]
        project.tell.progress("curve", event["step"], settings.steps, f"seed {seed}  {left:.0f} s left of this one")
