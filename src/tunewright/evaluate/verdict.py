"""From predictions to a decision: arm scores, the paired comparison with the best untuned arm, gates and slices."""

from __future__ import annotations

import math
import statistics as means
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from tunewright.evaluate.classes import label_scores, macro
from tunewright.records import (
    NEAR,
    TUNED,
    ArmScore,
    Comparison,
    Evaluation,
    Gate,
    Prediction,
    SliceScore,
    Suite,
    Verdict,
    arm_called,
    tuned_arm,
)
from tunewright.statistics import adjust, bootstrap, cases_needed, detectable, mcnemar, permutation, wilson

ALPHA = 0.05
CONFIDENCE = 0.95
# A slice of fewer cases says too little to fail a model by.
SLICE_CASES = 5
CHEAPER = ("classifier",)
# With fewer sources no paired test can come below 0.05, and an interval of them has no honest width.
FEWEST_SOURCES = 6
# A value that more of the cases share parts nothing from anything.
NEARLY_ALL = 0.95

_GAINED = "the gain is beyond chance and beyond what was asked"
# Nothing in the recipe asks for a level, and better than nothing may still be bad: said, never hidden.
_LOW = "better than untuned, but it still scores below 50 %: read its answers before anyone relies on them"


def decide(
    suite: Suite,
    predictions: Mapping[str, Sequence[Prediction]],
    *,
    min_gain: float = 0.0,
    suite_size: int = 30,
    worst_slice: float | None = None,
    gates: Sequence[Gate] = (),
    allow: Mapping[str, str] = {},
    seed: int = 0,
) -> Evaluation:
    """Score the arms and decide whether the tuned one ships.

    `predictions` maps arm names to their answers. The tuned arm is compared with the best untuned one on the cases
    both could be scored on. Ship when the 95 % interval of the gain lies above `min_gain` and the paired test agrees;
    do not ship when it lies below, or when a cheaper means does as well; otherwise cannot tell, with the number of
    further cases that would. `gates` found elsewhere count like our own: one that says no
    means do not ship, unless `allow` gives the reason it may be passed for. Without a tuned arm the verdict is "cannot
    tell" and names the arm that tuning must beat.
    """
    groups = suite.sources
    scored = {name: arm_score(name, rows, seed, groups) for name, rows in predictions.items()}
    arms = tuple(_with_macro(suite, scored[name], rows) for name, rows in predictions.items())
    untuned = [arm for arm in arms if arm.name not in TUNED]
    # What ships is the tuned model by itself, where it was asked: the suite does not choose between two tuned arms.
    tuned = tuned_arm(arms)
    if tuned is None or not untuned:
        enough = _size_gate(len(suite.cases), suite_size)
        first = tuned or max(untuned, key=lambda a: a.score, default=None)
        labels = label_scores(suite, predictions[first.name]) if first else []
        settled, none = tuple(g.passed(allow) for g in (enough, *gates)), _no_contest(arms, tuned)
        return Evaluation(arms=arms, verdict=none, gates=settled, labels=tuple(labels))
    best, ours = max(untuned, key=_standing), predictions[tuned.name]
    asked = partial(compare, min_gain=min_gain, seed=seed, groups=groups)
    found = {arm.name: asked(ours, predictions[arm.name], arm.name) for arm in untuned}
    verdict, slices = found[best.name], slice_scores(suite, ours, predictions[best.name], seed)
    own = [_size_gate(len(suite.cases), suite_size, verdict.cases), _gain_gate(verdict, min_gain)]
    if worst_slice is not None:
        own.append(_slice_gate(slices, worst_slice, partial(slice_scores, suite, ours, predictions[best.name], seed)))
    own += _cheaper_gate(found, untuned, min_gain)
    settled = tuple(g.passed(allow) for g in (*own, *gates))
    return Evaluation(
        arms=arms,
        verdict=weighed(verdict, settled, suite_size - verdict.cases),
        gates=settled,
        slices=slices,
        labels=tuple(label_scores(suite, ours, predictions[best.name])),
        comparisons=_comparisons(found),
    )


def _standing(arm: ArmScore) -> tuple[bool, float]:
    """How hard an arm is to beat: one that no scorer could score is no rival while another is."""
    return arm.cases > 0, arm.score


def _comparisons(found: Mapping[str, Verdict]) -> tuple[Comparison, ...]:
    """The tuned arm against every untuned one, the hardest rival first."""
    adjusted = dict(zip(found, adjust([v.p for v in found.values()]), strict=True))
    rows = [
        Comparison(against=name, difference=v.difference, low=v.low, high=v.high, p=adjusted[name], cases=v.cases)
        for name, v in found.items()
    ]
    return tuple(sorted(rows, key=lambda row: (row.difference, row.against)))


def _with_macro(suite: Suite, arm: ArmScore, rows: Sequence[Prediction]) -> ArmScore:
    """The arm's score with, where answers are classes, the means over classes."""
    return arm.model_copy(update={"scores": {**arm.scores, **macro(suite, rows)}})


def arm_score(
    name: str,
    rows: Sequence[Prediction],
    seed: int,
    groups: Mapping[str, str] | None,
) -> ArmScore:
    """Mean primary score with its 95 % interval; cases whose scorer failed are left out and counted."""
    clusters = None if groups is None else [groups[row.case] for row in rows if row.score is not None]
    scored = [row.score for row in rows if row.score is not None]
    errors = len(rows) - len(scored)
    mean, low, high = _spread(scored, clusters, seed) if scored else (0.0, 0.0, 1.0)
    known = [row.cost for row in rows if row.cost is not None]
    scores: dict[str, list[float]] = {}
    for row in rows:
        for scorer, value in row.scores.items():
            if value is not None:
                scores.setdefault(scorer, []).append(value)
    return ArmScore(
        name=name,
        score=mean,
        low=low,
        high=high,
        cases=len(scored),
        cost=1000 * means.fmean(known) if known and len(known) == len(rows) else None,
        seconds=sum(row.seconds for row in rows) / max(1, len(rows)),
        scores={scorer: means.fmean(values) for scorer, values in scores.items()},
        errors=errors,
        drawn=any(row.drawn for row in rows),
        unended=sum(row.unended for row in rows),
    )


def _spread(
    scores: Sequence[float], clusters: Sequence[str] | None, seed: int, confidence: float = CONFIDENCE
) -> tuple[float, float, float]:
    """The mean of scores with its interval, whole `clusters` resampled where some scores share one."""
    if clusters is not None and len(set(clusters)) == len(clusters):
        clusters = None
    if clusters is None and all(s in (0.0, 1.0) for s in scores):
        return wilson(int(sum(scores)), len(scores), confidence=confidence)
    sources = len(scores if clusters is None else set(clusters))
    if sources < 2:
        return means.fmean(scores), 0.0, 1.0  # one witness does not say how far witnesses differ
    if not any(scores) or min(scores) == 1:
        # All wrong or all right: a bootstrap has no width there, and there are as many witnesses as sources.
        return wilson(sources if any(scores) else 0, sources, confidence=confidence)
    return bootstrap(scores, clusters=clusters, seed=seed, confidence=confidence)


def paired(first: Sequence[Prediction], second: Sequence[Prediction]) -> list[tuple[float, float]]:
    """Scores of the cases that both arms could be scored on, in the first's order."""
    other = {row.case: row.score for row in second}
    pairs = []
    for row in first:
        rival = other.get(row.case)
        if row.score is not None and rival is not None:
            pairs.append((row.score, rival))
    return pairs


def compare(
    tuned: Sequence[Prediction],
    rival: Sequence[Prediction],
    against: str,
    *,
    min_gain: float = 0.0,
    seed: int = 0,
    groups: Mapping[str, str] | None = None,
) -> Verdict:
    """The paired comparison: mean difference, bootstrap interval, p, and what they decide.

    p is McNemar's exact test on "fully right" where all scores are 0 or 1, else the sign-flip permutation test. With
    `groups` (case to its source) whole sources are resampled and flipped, for their cases are no independent evidence.
    """
    pairs = paired(tuned, rival)
    clusters = None if groups is None else [groups[case] for case in _both(tuned, rival)]
    if not pairs:
        return Verdict(
            decision="cannot_tell", against=against, difference=0.0, low=-1.0, high=1.0, p=1.0,
            reason="no case could be scored for both arms",
        )  # fmt: skip
    differences = [a - b for a, b in pairs]
    difference, low, high = bootstrap(differences, clusters=clusters, seed=seed)
    if clusters is None and all(x in (0.0, 1.0) for pair in pairs for x in pair):
        p = mcnemar(sum(d > 0 for d in differences), sum(d < 0 for d in differences))
    else:
        p = permutation(differences, clusters=clusters, seed=seed)
    deviation = _deviation(differences, clusters)
    known = {"difference": difference, "low": low, "high": high, "p": p, "cases": len(pairs)}
    base = {"against": against, **known, "detectable": detectable(len(pairs), deviation) if len(pairs) > 1 else None}
    if not any(differences):
        return Verdict(decision="do_not_ship", reason="no difference: both arms score the same on every case", **base)
    if len(pairs if clusters is None else set(clusters)) < FEWEST_SOURCES:
        few = {**base, "low": -1.0, "high": 1.0, "detectable": None}
        return Verdict(decision="cannot_tell", reason="the cases come from too few sources to decide", **few)
    if low > min_gain and p < ALPHA:
        level = sum(a for a, _ in pairs) / len(pairs)
        return Verdict(decision="ship", reason=_LOW if level < 0.5 else _GAINED, **base)
    # p speaks of no difference at all, so it has a say only where that is the question.
    if high < min_gain and (p < ALPHA or min_gain > 0):
        worse = "the tuned model is worse" if high < 0 else "the tuned model is no better"
        reason = "the gain is smaller than was asked" if difference > 0 else worse
        return Verdict(decision="do_not_ship", reason=reason, **base)
    needed = cases_needed(difference - min_gain, deviation)
    more = None if needed is None else max(1, needed - len(pairs))
    return Verdict(decision="cannot_tell", more_cases=more, reason="the interval holds both answers", **base)


def _both(first: Sequence[Prediction], second: Sequence[Prediction]) -> list[str]:
    """The cases that both arms could be scored on, in the first's order."""
    other = {row.case for row in second if row.score is not None}
    return [row.case for row in first if row.score is not None and row.case in other]


def _deviation(differences: Sequence[float], clusters: Sequence[str] | None) -> float:
    """Standard deviation of a case's difference; of cases that share a source, what each is worth as evidence."""
    if len(differences) < 2:
        return 1.0
    if clusters is None:
        return means.stdev(differences)
    mean, sums = means.fmean(differences), dict.fromkeys(clusters, 0.0)
    for key, value in zip(clusters, differences, strict=True):
        sums[key] += value - mean
    many = len(sums)
    return math.sqrt(sum(v * v for v in sums.values()) * many / max(1, many - 1) / len(differences))


def _no_contest(arms: Sequence[ArmScore], tuned: ArmScore | None) -> Verdict:
    best = max(arms, key=lambda a: a.score, default=None)
    missing = "no tuned arm yet" if tuned is None else "no untuned arm to compare with"
    return Verdict(
        decision="cannot_tell",
        against=best.name if best and tuned is None else "",
        difference=0.0,
        low=-1.0,
        high=1.0,
        p=1.0,
        reason=missing,
    )


def _size_gate(cases: int, least: int, compared: int | None = None) -> Gate:
    """Are there enough cases to decide anything? Only those count that both arms could be scored on: `compared`."""
    told = cases if compared is None else compared
    text = f"{cases} cases" if told == cases else f"{told} of {cases} cases could be scored for both"
    if told >= least:
        return Gate(name="suite_size", ok=True, message=f"{text}, at least {least} wanted.")
    return Gate(
        name="suite_size",
        ok=False,
        message=f"{text}; at least {least} are wanted. Hold out more rows, or pass it on the record: "
        "--allow suite_size --because TEXT",
    )


def _points(x: float) -> str:
    return f"{100 * x:+.1f}".replace("-", "−")


def _interval(verdict: Verdict) -> str:
    return f"{_points(verdict.difference)} points [{_points(verdict.low)}, {_points(verdict.high)}]"


def _gain_gate(verdict: Verdict, min_gain: float) -> Gate:
    ok = {"ship": True, "do_not_ship": False, "cannot_tell": None}[verdict.decision]
    wanted = f"more than {_points(min_gain)} wanted"
    return Gate(name="min_gain", ok=ok, message=f"{_interval(verdict)} over {arm_called(verdict.against)}; {wanted}.")


def slice_scores(
    suite: Suite,
    tuned: Sequence[Prediction],
    rival: Sequence[Prediction],
    seed: int = 0,
    *,
    confidence: float = CONFIDENCE,
) -> tuple[SliceScore, ...]:
    """Scores per value of each slice, the worst tuned score first.

    Left out are single cases, and what nearly all cases share: that score is the whole suite's over again. What has no
    near twin in training stays, for the score without them is wanted (K20).
    """
    ours = {row.case: row.score for row in tuned}
    theirs = {row.case: row.score for row in rival}
    groups: dict[tuple[str, str], list[tuple[str, float, float]]] = {}
    for case in suite.cases:
        a, b = ours.get(case.id), theirs.get(case.id)
        if a is not None and b is not None:
            for name, value in case.slices.items():
                groups.setdefault((name, value), []).append((case.id, a, b))
    found, sources = [], suite.sources
    told = sum(ours.get(c.id) is not None and theirs.get(c.id) is not None for c in suite.cases)
    for (name, value), pairs in groups.items():
        if len(pairs) < 2 or (len(pairs) > NEARLY_ALL * told and name != NEAR):
            continue
        clusters = None if sources is None else [sources[case] for case, _, _ in pairs]
        mean, low, high = _spread([a for _, a, _ in pairs], clusters, seed, confidence)
        untuned = means.fmean(b for _, _, b in pairs)
        found.append(
            SliceScore(slice=name, value=value, cases=len(pairs), tuned=mean, low=low, high=high, untuned=untuned)
        )
    return tuple(sorted(found, key=lambda s: (s.tuned, s.slice, s.value)))


def _slice_gate(slices: Sequence[SliceScore], least: float, again: Callable[..., Sequence[SliceScore]]) -> Gate:
    """The worst slice holds when its score reaches `least`; a slice that only may fall short is amber.

    `again` gives the slices with another confidence: of many asked at once one would fall short by chance, so the bound
    is for all together (Bonferroni).
    """
    told = [s for s in slices if s.cases >= SLICE_CASES]
    if not told:
        return Gate(name="worst_slice", ok=None, message=f"no slice has {SLICE_CASES} cases.")
    worst = min(told, key=lambda s: s.tuned)
    text = (
        f"{worst.slice} = {worst.value}: {100 * worst.tuned:.1f} % of {worst.cases} cases, {100 * least:.0f} % wanted."
    )
    if worst.tuned >= least:
        return Gate(name="worst_slice", ok=True, message=text)
    together = again(confidence=1 - (1 - CONFIDENCE) / len(told))
    if any(s.high < least for s in together if s.cases >= SLICE_CASES):
        return Gate(name="worst_slice", ok=False, message=text)
    return Gate(name="worst_slice", ok=None, message=f"{text} Too few cases to be sure.")


def _cheaper_gate(found: Mapping[str, Verdict], untuned: Sequence[ArmScore], min_gain: float) -> list[Gate]:
    """A means that costs next to nothing to serve need only be as good: the burden of proof is tuning's."""
    rivals = [arm for arm in untuned if arm.name in CHEAPER]
    if not rivals:
        return []
    rival = max(rivals, key=lambda a: a.score)
    verdict = found[rival.name]
    text = (
        f"tuned {_interval(verdict)} against the {rival.name}, {100 * rival.score:.1f} %, which costs next to nothing."
    )
    if verdict.decision == "ship":
        return [Gate(name="cheaper_means", ok=True, message=text)]
    as_good = verdict.decision == "do_not_ship" or verdict.difference <= max(min_gain, 0.0)
    return [Gate(name="cheaper_means", ok=False if as_good else None, message=text)]


def weighed(verdict: Verdict, gates: Sequence[Gate], short: int = 0) -> Verdict:
    """The comparison's decision in the light of the gates: a failed one is a no, too few cases decide nothing.

    `short` is how many cases are missing to decide anything. Weighing again with more gates changes nothing that the
    first ones decided but for a later no.
    """
    failed = [gate.name for gate in gates if gate.blocks]
    passed = [f"{g.name} passed on the record: {g.allowed_because}" for g in gates if g.allowed_because]
    new = [note for note in passed if note not in verdict.reason]
    verdict = verdict.model_copy(update={"reason": "; ".join([r for r in (verdict.reason, *new) if r])})
    if verdict.decision == "do_not_ship" or not failed:
        return verdict
    if "suite_size" in failed:
        few = {"reason": "the suite has too few cases to decide"} if verdict.decision == "ship" else {}
        more = max(short, verdict.more_cases or 0) or None
        return verdict.model_copy(update={"decision": "cannot_tell", "more_cases": more, **few})
    reason = {
        "cheaper_means": "a cheaper means does as well",
        "forgetting": "too much general ability is lost",
        "abilities": "too much general ability is lost",
        "judge": "the calibrated judge prefers the untuned answers",
        "worst_slice": "a slice falls short",
        "safety": "it refuses what it should answer, or answers what it should refuse",
        "bad_rows": "too many rows of the data are faulty",
        "leak": "test questions stand in train",
        "license": "a licence forbids the use",
        "strict": "the data has findings of severity error",
        "parity": "what was exported does not answer as what was trained",
        "enough": "it scores below what was asked for",
    }.get(failed[-1], f"the gate “{failed[-1].replace('_', ' ')}” says no")
    return verdict.model_copy(update={"decision": "do_not_ship", "reason": reason, "more_cases": None})
