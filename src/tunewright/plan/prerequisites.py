"""What must be there before tuning is worth its cost, each with what shows it (requirement A2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunewright.plan.circumstances import Circumstances, Figures
from tunewright.records import Prerequisite
from tunewright.text import said, span

SEVERAL_HUNDRED = 300
FEW = 100
CONTRADICTED = 0.1
# What is set aside though nothing is wrong with it.
_HARMLESS = ("not_drawn",)


def prerequisites(known: Circumstances, figures: Figures | None) -> tuple[Prerequisite, ...]:
    """All of them, those that hold too: `ok` None where it cannot be told, or was only told and not checked."""
    made = (
        ("one clear use case", _use_case(known)),
        ("enough good data", _data(known)),
        ("a suite before training", _suite(known)),
        ("cheaper means measured", _cheaper(known)),
        ("hardware and budget", _hardware(known, figures)),
        ("versioned and reproducible", _versioned(known)),
        ("privacy stated", _privacy(known)),
    )
    return tuple(Prerequisite(name=name, ok=ok, evidence=evidence) for name, (ok, evidence) in made)


def contradicted(known: Circumstances) -> bool:
    """Whether rows that have one right answer disagree on it so often that the task is not settled."""
    return known.one_answer and known.share("contradiction") >= CONTRADICTED


def _use_case(known: Circumstances) -> tuple[bool | None, str]:
    """One task, one form of rows, one answer to a question."""
    task = f"“{known.task}”" if known.task else "no `task` is stated"
    if not known.counted:
        return None, f"{task}; no row shows it yet"
    forms = " and ".join(known.shapes).replace("_", " ")
    found = known.finding("contradiction")
    against = ""
    if found:
        groups = found.evidence.get("groups", 0)
        against = f"; {said(found.count, 'row')} in {said(groups, 'group')} answer one question in different ways"
    ok = False if contradicted(known) else True if known.task and len(known.shapes) == 1 else None
    return ok, f"{task}; rows are {forms}{against}"


def _data(known: Circumstances) -> tuple[bool | None, str]:
    if not known.counted:
        told = f"{said(known.rows, 'row')} expected, none read" if known.rows else "no row yet"
        return (None if known.rows else False), told
    rows = known.rows or 0
    aside = {reason: n for reason, n in known.set_aside.items() if n and reason not in _HARMLESS}
    counted = ", ".join(f"{n:,} {reason.replace('_', ' ')}" for reason, n in aside.items())
    words = f"{said(rows, 'row')} to learn from, {known.train:,} of them train"
    words += f"; {known.read:,} read, set aside: {counted}" if counted else f"; {known.read:,} read, none set aside"
    wrong = [f.code for f in known.findings if f.severity == "error" and f.code not in aside]
    words += f"; to look at: {', '.join(wrong)}" if wrong else ""
    faulty = any(g.blocks for g in known.gates)
    ok = False if faulty or rows < FEW else True if rows >= SEVERAL_HUNDRED else None
    return ok, words if rows >= SEVERAL_HUNDRED else f"{words}; several hundred are wanted"


def _suite(known: Circumstances) -> tuple[bool | None, str]:
    if not known.counted:
        return False, f"no case yet, at least {known.least_cases} real ones wanted"
    words = f"{said(known.cases, 'held-out case')}, at least {known.least_cases} wanted"
    return known.cases >= known.least_cases, words


def _cheaper(known: Circumstances) -> tuple[bool | None, str]:
    if known.measured is None or known.hurdle is None:
        return None, "nothing is measured yet" if known.counted else "nothing can be measured without cases"
    return known.hurdle.ok, known.hurdle.message


def _hardware(known: Circumstances, figures: Figures | None) -> tuple[bool | None, str]:
    if figures is None:
        return None, "nothing can be estimated without rows"
    memory, hours = figures.memory, figures.hours
    words = f"about {memory['total']:.2g} GB [{memory['low']:.2g}, {memory['high']:.2g}] of {figures.free_gb:.3g} free"
    words += f", {span(hours['expected'])} [{span(hours['low'])}, {span(hours['high'])}]"
    words += f", {money(figures)}" if known.machine_hour else ", no price of the machine is stated"
    held = [figures.fits]
    limits: tuple[tuple[float | None, Mapping[str, Any], str], ...] = (
        (known.hours, hours, "h"),
        (known.budget, figures.price, known.currency),
    )
    for limit, cost, unit in limits:
        if limit is not None:
            words += f"; at most {limit:g} {unit} wanted"
            held.append(_within(limit, cost["low"], cost["high"]))
    ok = False if False in held else None if None in held else True
    return ok, f"{words}, all estimated"


def _within(limit: float, low: float, high: float) -> bool | None:
    return True if high <= limit else None if low <= limit else False


def money(figures: Figures) -> str:
    """The price with its interval."""
    price = figures.price
    return f"{price['expected']:.2f} {price['currency']} [{price['low']:.2f}, {price['high']:.2f}]"


def _versioned(known: Circumstances) -> tuple[bool | None, str]:
    if not known.counted:
        return None, "there is no project yet"
    version = f"dataset version {known.dataset[:12]}" if known.dataset else "no dataset version"
    if not known.project:
        return None, f"{version}; without a recipe nothing says how to do it again: tunewright init"
    return True, f"{version}; each run keeps recipe, seed, versions and hashes"


def _privacy(known: Circumstances) -> tuple[bool | None, str]:
    posture = known.privacy
    stays = "nothing leaves this machine" if posture in (None, "local") else f"rows may be sent: {posture}"
    words = f"privacy: {posture}; {stays}" if posture else f"none is stated, so {stays}"
    held = [f for code in ("pii", "secret") if (f := known.finding(code))]
    personal = "; ".join(f"{said(f.count, 'row')} with {_HELD[f.code]}" for f in held)
    # What may leave and holds such things was not thought about, or should be again.
    ok = None if posture is None or (personal and posture not in ("local",)) else True
    return ok, f"{words}; {personal}" if personal else words


_HELD = {"pii": "personal data", "secret": "secrets"}
