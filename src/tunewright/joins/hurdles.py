"""What tuning must beat: the best untuned arm, how far it must be passed, and whether it is good enough already."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence

from tunewright.joins.tuned import versions
from tunewright.joins.workshop import Project
from tunewright.project import RunFolder, outcome_of
from tunewright.records import TUNED, ArmScore, Evaluation, Gate, Hurdle, arm_called, best_untuned, scored, tuned_arm
from tunewright.statistics import detectable
from tunewright.store import digest, tree_digest


def with_hurdle(project: Project, evaluation: Evaluation) -> Evaluation:
    """The untuned arms' evaluation with what tuning must beat, and the gate on whether it should be tried (A7)."""
    best, hurdle = best_untuned(evaluation.arms), hurdle_of(project, evaluation.arms)
    if best is None or hurdle is None:
        return evaluation
    gate = means_gate(best, hurdle)
    return evaluation.model_copy(update={"hurdle": hurdle, "gates": (*evaluation.gates, gate)})


def hurdle_of(project: Project, arms: Sequence[ArmScore]) -> Hurdle | None:
    """What tuning must beat, or had to: the best untuned of `arms`; None without one."""
    best, limits = best_untuned(arms), project.recipe.gates
    if best is None:
        return None
    return Hurdle(
        arm=best.name,
        score=best.score,
        low=best.low,
        high=best.high,
        cases=best.cases,
        min_gain=limits.min_gain,
        detectable=_smallest(best),
        left=1 - best.score,
        enough=limits.enough,
    )


def means_gate(best: ArmScore, hurdle: Hurdle) -> Gate:
    """Is there something left that tuning could win? No where a cheaper arm is good enough or leaves too little."""
    name = arm_called(best.name)
    reached = f"{name} already reaches {scored(best)}"
    if hurdle.enough is not None and best.low >= hurdle.enough:
        return _gate(False, f"{reached}, and {100 * hurdle.enough:g} % is enough.")
    if hurdle.min_gain and best.low > 1 - hurdle.min_gain:
        return _gate(False, f"{reached}: no gain of {100 * hurdle.min_gain:g} points is left to win.")
    if hurdle.enough is not None and best.score >= hurdle.enough:
        return _gate(None, f"{reached}; {100 * hurdle.enough:g} % is enough, and it may be there.")
    if best.score >= 1:
        return _gate(None, f"{reached}: on these cases nothing is left to win.")
    return _gate(True, f"{reached}; {pays(hurdle)}.")


def pays(hurdle: Hurdle) -> str:
    """How far tuning must pass the best untuned arm."""
    if hurdle.min_gain:
        return f"tuning must beat that by {100 * hurdle.min_gain:g} points to pay"
    return f"tuning must beat that by about {100 * hurdle.detectable:.1f} points for {hurdle.cases:,} cases to show it"


def basis(project: Project) -> dict[str, str]:
    """All that the untuned arms' scores rest on, as an `Evaluation` has it: `basis` and `asked` (K6)."""
    recipe = project.recipe
    # The tuned arms, and the order of the others, change nothing about the untuned.
    arms = [arm for arm in recipe.model_dump(mode="json")["arms"] if arm not in TUNED] if recipe.arms != "auto" else []
    documents = project.folder.root / recipe.rag.documents if recipe.rag and recipe.rag.documents else None
    return {
        "basis": digest(
            project.suite.id,
            project.audit.dataset.id,
            project.base.sha256,
            project.renderer.fingerprint,
            recipe.task or "",
            recipe.suite.model_dump_json(),
            project.schema or "",
            json.dumps(versions(), sort_keys=True),
        )[:32],
        "asked": digest(
            *sorted(json.dumps(arm, sort_keys=True) for arm in arms),
            tree_digest(documents) if documents and documents.exists() else "",
        )[:32],
    }


def measured(project: Project) -> Iterator[tuple[RunFolder, Evaluation]]:
    """The runs with scores on these rows and cases, this base, template, task and release, the newest first."""
    now = basis(project)["basis"] if project.cases else None
    return ((run, found) for run, found in _scored_runs(project) if found.basis == now)


def on_this_basis(project: Project, evaluation: Evaluation) -> bool:
    """Whether these scores are of the rows, cases, base, template, task and release of now."""
    return bool(project.cases) and evaluation.basis == basis(project)["basis"]


def before_training(project: Project) -> Gate:
    """The gate as the newest evaluation of the recipe's arms decided it; cannot tell where none is on this basis."""
    asked = basis(project)["asked"] if project.cases else None
    gate = gate_of(project, (found for _, found in measured(project) if found.asked == asked))
    if gate is not None:
        return gate
    stale = gate_of(project, (found for _, found in _scored_runs(project)))
    found = "what was measured was with other rows, cases, arms, task, base or release than now"
    missing = found if stale else "nothing cheaper was measured on these cases"
    return _gate(None, f"{missing}. Measure it first: tunewright baseline")


def gate_of(project: Project, evaluations: Iterable[Evaluation]) -> Gate | None:
    """The gate as the first of `evaluations` with an untuned arm decides it; None where there is none."""
    untuned = (found.model_copy(update={"gates": ()}) for found in evaluations if best_untuned(found.arms) is not None)
    return next((with_hurdle(project, found).gates[0] for found in untuned), None)


def _scored_runs(project: Project) -> Iterator[tuple[RunFolder, Evaluation]]:
    for run in reversed(project.folder.all_runs()):
        outcome = outcome_of(run)
        if outcome is not None:
            yield run, Evaluation.model_validate(outcome)


def after_training(project: Project, arms: Sequence[ArmScore]) -> list[Gate]:
    """Where the recipe says what is enough: does the tuned arm reach it, and did a cheaper one reach it too?"""
    enough, best = project.recipe.gates.enough, best_untuned(arms)
    tuned = tuned_arm(arms)
    if enough is None or tuned is None:
        return []
    ok = True if tuned.score >= enough else None if tuned.high >= enough else False
    found = [Gate(name="enough", ok=ok, message=f"tuned {scored(tuned)}; {100 * enough:g} % wanted.")]
    if best is not None and best.low >= enough:
        name = arm_called(best.name)
        found.append(_gate(False, f"{name} reaches {scored(best)} untuned, and {100 * enough:g} % is enough."))
    return found


def _smallest(best: ArmScore) -> float:
    """About the smallest gain over this arm that so many cases find four times in five.

    How the differences will spread is not known before tuning: it is taken to be as the arm's own scores do, which is
    so where two arms correlate by one half. Two cases of either kind are added, for scores that do not spread at all.
    """
    share = (best.score * best.cases + 2) / (best.cases + 4)
    width = (best.high - best.low) / 2 / 1.96 * math.sqrt(best.cases)
    return detectable(best.cases, min(math.sqrt(share * (1 - share)), max(width, 0.05)))


def _gate(ok: bool | None, message: str) -> Gate:
    return Gate(name="cheaper_means", ok=ok, message=message[:1].upper() + message[1:])
