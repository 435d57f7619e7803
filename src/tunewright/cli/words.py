"""The sentences a journey ends with, and the user's own where they have to fit a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tunewright.records import Advice, ArmScore, Gate, Hurdle, Verdict, arm_called, best_untuned, scored, tuned_arm

_ADVICE = {
    "prompt": "Do not tune: write a prompt.",
    "few_shot": "Do not tune: put a few examples into the prompt.",
    "rag": "Do not tune: look things up (retrieval).",
    "tune": "Tune.",
    "tune_and_rag": "Tune, and look the facts up beside it (retrieval).",
    "agent": "Do not tune first: build an agent, a program that calls the tools.",
    "postpone": "Not yet.",
}


def advised(advice: Advice) -> str:
    """The advice in a sentence."""
    if advice.instead:
        return f"Do not tune: take {arm_called(advice.instead)}."
    return "Tune: a run has shown that it pays." if advice.tune and advice.step == "export" else _ADVICE[advice.outcome]


def read_as(name: str, shape: str, reason: str) -> str:
    """How a data file was read, and why."""
    return f"{name}: {shape}. {reason}"


def verdict_lines(
    verdict: Verdict | None, arms: Sequence[ArmScore], hurdle: Hurdle | None = None, folds: int = 0
) -> Iterator[str]:
    """The decision in a sentence, with its number, its interval and what it is measured against.

    With `folds`, also what was judged: a procedure, by so many models, and not the one that is exported.
    """
    best, tuned = best_untuned(arms), tuned_arm(arms)
    if verdict is None or tuned is None:
        if hurdle is not None:
            name = arm_called(hurdle.arm)
            reached = f"{scored(hurdle)} of {hurdle.cases:,} cases"
            must = f"by {100 * hurdle.min_gain:g} points to pay" if hurdle.min_gain else "to pay"
            yield f"{name[:1].upper()}{name[1:]} already reaches {reached}; tuning must beat that {must}."
            yield (
                f"    So many cases show a gain of about {100 * hurdle.detectable:.1f} points four times in five; "
                f"at most {100 * hurdle.left:.1f} are left to win."
            )
        elif best:
            yield f"Nothing tuned yet. Tuning must beat {arm_called(best.name)}: {scored(best)}, {best.cases} cases."
        return
    if not verdict.against:
        yield f"Cannot tell: tuned {scored(tuned)}, {verdict.reason}."
        return
    against = next((a for a in arms if a.name == verdict.against), None)
    name = arm_called(verdict.against)
    points = f"{100 * verdict.difference:+.1f} points"
    span = f"[{100 * verdict.low:.1f}, {100 * verdict.high:.1f}]"
    p = "p < 0.0001" if verdict.p < 0.0001 else f"p = {verdict.p:.4f}"
    if verdict.decision == "ship":
        yield f"Ship it: {points} over {name} {span}, {verdict.cases or tuned.cases} paired cases, {p}."
    elif verdict.decision == "do_not_ship":
        rival = f"{name}, {scored(against)}" if against else name
        yield f"Do not ship: tuned {scored(tuned)} against {rival}: {points} {span}."
    else:
        yield f"Cannot tell: {points} over {name} {span}, {verdict.cases or tuned.cases} paired cases, {p}."
        if verdict.more_cases:
            yield f"    {verdict.more_cases:,} more cases would tell."
    if verdict.reason:
        yield f"    {verdict.reason}"
    if verdict.detectable:
        yield f"    So many cases find a true gain of {100 * verdict.detectable:.1f} points four times in five."
    if folds:
        yield f"    this judges the procedure: {folds} models, each asked only rows it had not seen"
        yield "    the model that is kept was trained on all rows afterwards, and the score is not its own"


def settings_kept(overrides: Sequence[str], given_now: int) -> Iterator[str]:
    """A line on the settings that a run was started with, where some were given beside the recipe; the last are new."""
    kept = overrides[: len(overrides) - given_now]
    if kept:
        yield f"  as the run was started: {' '.join(f'--set {setting}' for setting in kept)}"


def gate_lines(gates: Sequence[Gate], *, only_no: bool) -> Iterator[tuple[str, str]]:
    """Each gate as a marked line with its style."""
    for gate in gates:
        if gate.allowed_because:
            yield f"  ! {gate.name}: {gate.message} Allowed: {gate.allowed_because}", "yellow"
        elif gate.ok is False:
            yield f"  ✗ {gate.name}: {gate.message}", "red"
            yield f'    To go on all the same, on the record: --allow {gate.name} --because "…"', "dim"
        elif gate.ok is None and not only_no:
            yield f"  ! {gate.name}: {gate.message}", "yellow"
        elif not only_no:
            yield f"  ✓ {gate.name}: {gate.message}", "green"


def in_a_line(text: str, width: int = 100) -> str:
    """`text` with its line breaks as spaces, cut where it is longer than `width`."""
    flat = " ".join(text.split())
    return flat if len(flat) <= width else f"{flat[: width - 1]}…"
