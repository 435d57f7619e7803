"""Which base to begin with: several, untuned, on the same cases, beside what each costs in size, licence and tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tunewright import journey
from tunewright.errors import RecipeError
from tunewright.joins.advising import plan_of
from tunewright.joins.stages import stored
from tunewright.joins.workshop import Project
from tunewright.records import TUNED, ArmScore, Gate, Record
from tunewright.statistics import adjust, bootstrap, permutation

# An arm that asks no base says nothing about one.
_NO_BASE = ("classifier", "external")


class RankedBase(Record):
    """A base with its best untuned arm on the suite. `behind` is that arm's paired difference to the first base's.

    The interval is 95 %, p corrected (Holm) for comparing several; all None for the first. `gb` is the size of its
    weights in fp32; `tokens_per_word` is of the rows' own questions, None where they hold no words; `seconds` per case.
    """

    model: str
    run: str
    arm: str
    score: float
    low: float
    high: float
    cases: int
    seconds: float
    parameters: int
    gb: float
    fits: bool
    licence: str | None
    tokens_per_word: float | None
    arms: tuple[ArmScore, ...]
    gates: tuple[Gate, ...]
    report: str
    behind: float | None = None
    behind_low: float | None = None
    behind_high: float | None = None
    p: float | None = None


def rank(names: Sequence[str], opened: Callable[[str], Project]) -> list[RankedBase]:
    """Every base's untuned arms on the suite, the best first; `opened` gives the project with a base of that name.

    Differences are taken case by case on the cases both bases met. Raises `RecipeError` for fewer than two names.
    """
    wanted = list(dict.fromkeys(name.strip() for name in names if name.strip()))
    if len(wanted) < 2:
        raise RecipeError("ranking needs two bases or more.", where="--models", remedy="--models seedling,my-base")
    found = [_measured(name, opened(name)) for name in wanted]
    found.sort(key=lambda pair: (-pair[0].score, pair[0].parameters))
    return _behind(found)


def _measured(name: str, project: Project) -> tuple[RankedBase, dict[str, float]]:
    outcome = journey.baseline(project)
    asked = [arm for arm in outcome.arms if arm.name not in (*TUNED, *_NO_BASE)]
    if not asked or outcome.run is None:
        raise RecipeError("no arm of the recipe asks the base.", where="arms", remedy="arms: [base, few_shot, tuned]")
    best = max(asked, key=lambda arm: arm.score)
    run = project.folder.run(outcome.run)
    fluency = project.audit.fluency
    one = RankedBase(
        model=name,
        run=run.id,
        arm=best.name,
        **{key: getattr(best, key) for key in ("score", "low", "high", "cases", "seconds")},
        parameters=project.base.parameters,
        gb=round(4 * project.base.parameters / 1e9, 3),
        fits=plan_of(project).fits,
        licence=project.licence.text,
        tokens_per_word=round(fluency.data, 2) if fluency else None,
        arms=tuple(asked),
        gates=outcome.gates,
        report=str(run.report),
    )
    return one, {p.case: p.score for p in stored(run)[best.name] if p.score is not None}


def _behind(found: Sequence[tuple[RankedBase, Mapping[str, float]]]) -> list[RankedBase]:
    """The bases with how far each lies behind the first, on the cases both could be scored on."""
    first, scores = found[0]
    told = []
    for one, others in found[1:]:
        differences = [others[case] - scores[case] for case in sorted(others.keys() & scores.keys())]
        if differences:
            told.append((one, bootstrap(differences), permutation(differences)))
    adjusted = adjust([p for _, _, p in told])
    rest = [
        one.model_copy(update={"behind": gap.mean, "behind_low": gap.low, "behind_high": gap.high, "p": p})
        for (one, gap, _), p in zip(told, adjusted, strict=True)
    ]
    return [first, *rest]
