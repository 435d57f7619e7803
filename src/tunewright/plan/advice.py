"""Should you tune at all? Answered from what can be checked, with reasons (requirements A1, A2, A7 and B17).

The rules are asked in order, and the first that holds decides. What a person says of the task comes first, for no file
tells it; then what was measured; then what the audit forbids; then how much there is to learn from, to prove it by, and
to compute with. What no rule holds against is tuned.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tunewright.plan.circumstances import Circumstances, Figures
from tunewright.plan.prerequisites import FEW, contradicted, money, prerequisites
from tunewright.records import TUNED, Advice, ArmScore, Means, Step, scored
from tunewright.text import said, span

# Half of the answers state what their questions do not hold: then it is facts that are taught, and not a behaviour.
_FACTS = 0.5
# Nearly all of them do: then nothing but facts is taught.
_ONLY_FACTS = 0.9
# What an untuned arm stands for. A classifier is none of the means that advice names: it is said beside.
_MEANS: dict[str, Means] = {
    "base": "prompt",
    "prompted": "prompt",
    "external": "prompt",
    "few_shot": "few_shot",
    "rag": "rag",
    "classifier": "postpone",
}
_RECALLED = "facts learnt by tuning are recalled badly, and cannot be put right without training again"


class Found(NamedTuple):
    """What a rule decides: the means, what to do next, why, and an arm that is no language model's."""

    outcome: Means
    step: Step
    reasons: tuple[str, ...]
    instead: str | None = None


def advise(known: Circumstances, figures: Figures | None = None) -> Advice:
    """The advice on what is known; `figures` None: nothing could be estimated, for there are no rows."""
    found = next(found for rule in _RULES if (found := rule(known, figures)) is not None)
    return Advice(
        outcome=found.outcome,
        reasons=(*found.reasons, *_besides(known, figures, found)),
        prerequisites=prerequisites(known, figures),
        step=found.step,
        instead=found.instead,
    )


def _unclear(known: Circumstances, _: Figures | None) -> Found | None:
    """Nobody says what is wanted, and no row shows it."""
    if known.counted or known.task or known.needs or known.changes or known.cite:
        return None
    return Found("postpone", "tell", ("Nothing says yet what the model should do: what goes in, what comes out.",))


def _told(known: Circumstances, _: Figures | None) -> Found | None:
    """What a person says the task needs, where it leaves no choice of means."""
    if "actions" in known.needs:
        why = "Work in several steps with tools needs a program that makes the calls; tuning alone acts on nothing."
        return Found("agent", "measure" if known.counted else "collect", (why, *_calls(known)))
    look: Step = "look_up" if known.counted else "collect"
    if "rules" in known.changes:
        why = "The rules change every month or oftener: a prompt is rewritten in a minute, a model is tuned again."
        if known.knowledge:
            return Found("rag", look, (why, _facts_why(known)))
        return Found("prompt", "measure" if known.counted else "collect", (why,))
    if known.knowledge and "behaviour" not in known.needs:
        return Found("rag", look, (_facts_why(known),))
    return None


def _facts_why(known: Circumstances) -> str:
    if known.cite:
        return "What must name its source has to be looked up: a tuned model cannot say where it has a fact from."
    if "knowledge" in known.changes:
        return "Knowledge that changes every month is out of date as soon as it is trained in: look it up instead."
    return f"Facts are wanted that the question does not hold, and {_RECALLED}: look them up instead."


def _calls(known: Circumstances) -> Iterator[str]:
    if known.tool_rows:
        shown = said(known.tool_rows, "row shows", "rows show")
        yield f"{shown} such steps: once the program exists, the model that drives it can be tuned on them."


def _measured(known: Circumstances, _: Figures | None) -> Found | None:
    """A tuned model was judged, or something cheaper is good enough already."""
    done, tuned, best = known.measured, known.tuned, known.best
    if done is None or best is None:
        return None
    if tuned is None:
        gate = known.hurdle
        return _cheaper(best, gate.message) if gate is not None and gate.blocks else None
    verdict = done.verdict
    rival = next((a for a in done.arms if a.name == verdict.against), best)
    gap = f"{100 * verdict.difference:+.1f} points [{100 * verdict.low:.1f}, {100 * verdict.high:.1f}]"
    ran = f"Run {known.run}: tuned {scored(tuned)}, {gap} over {rival.name.replace('_', '-')}"
    if verdict.decision == "ship":
        return Found("tune_and_rag" if tuned.name == "tuned_rag" else "tune", "export", (f"{ran}: it ships.",))
    if verdict.decision == "cannot_tell":
        more = f" About {said(verdict.more_cases, 'more case')} would tell." if verdict.more_cases else ""
        return Found("postpone", "more", (f"{ran}: it cannot be told whether that helps.{more}",))
    short = known.enough is not None and max(rival.high, tuned.high) < known.enough
    if short:
        wanted = f"{ran}. Neither reaches the {100 * (known.enough or 0):g} % that are enough."
        return Found("postpone", "more", (f"{wanted} Better or more rows, or a stronger base, have to come first.",))
    failed = [g.name for g in done.gates if g.blocks]
    if verdict.low > 0 and "cheaper_means" not in failed:
        return Found("postpone", "more", (f"{ran}, and yet it does not ship: {verdict.reason}.",))
    classifier = next((a for a in done.arms if a.name == "classifier"), None)
    cheap = classifier if classifier and "cheaper_means" in failed else rival
    return _cheaper(cheap, f"{ran}: {verdict.reason}.")


def _cheaper(arm: ArmScore, why: str) -> Found:
    """The untuned arm is the means."""
    reasons = [why]
    if arm.score < 0.5:
        low = f"{100 * arm.score:.1f} % may be too little (`gates.enough` says what is enough)."
        reasons.append(f"{low} If so, more or better rows or a stronger base come first.")
    instead = arm.name if arm.name == "classifier" else None
    return Found(_MEANS.get(arm.name, "prompt"), "use", tuple(reasons), instead)


def _forbidden(known: Circumstances, _: Figures | None) -> Found | None:
    """The audit found what the journey would stop at, or the rows do not agree on what is right."""
    no = [g for g in known.gates if g.blocks]
    if no:
        return Found("postpone", "check", tuple(g.message[:1].upper() + g.message[1:] for g in no))
    found = known.finding("contradiction")
    if found is None or not contradicted(known):
        return None
    share, groups = 100 * known.share("contradiction"), found.evidence.get("groups", 0)
    why = f"{found.count:,} of {known.read:,} rows ({share:.0f} %), in {said(groups, 'group')}, ask the same and are"
    return Found("postpone", "check", (f"{why} answered in different ways: settle what is right before any training.",))


def _by_tools(known: Circumstances, _: Figures | None) -> Found | None:
    """Most rows answer after a tool has: work in several steps, whatever was said of it."""
    if known.needs or not known.counted or 2 * known.tool_rows < max(1, known.rows or 0):
        return None
    why = f"{known.tool_rows:,} of {known.train:,} rows that train read a tool's result before they answer."
    loop = "Such steps need a program that makes the calls: build the agent first, on the base as it is."
    return Found("agent", "measure", (why, f"{loop} What is tuned on them is the model that drives it, later."))


def _only_facts(known: Circumstances, _: Figures | None) -> Found | None:
    """Nearly every answer states what its question does not hold, and nobody says that a behaviour is wanted."""
    if not _teaches_facts(known) or known.share("teaches_facts") < _ONLY_FACTS:
        return None
    also = "Is their form wanted too? Say so (`needs: [behaviour, knowledge]`), and both are advised."
    return Found("rag", "look_up", (_taught(known), also))


def _few(known: Circumstances, _: Figures | None) -> Found | None:
    """Too few examples for tuning to be the better use of them."""
    rows = known.rows or 0
    facts = known.knowledge or _teaches_facts(known)
    if rows >= FEW:
        return None
    if not known.counted and not rows:
        if known.knowledge:
            return Found("rag", "collect", (_facts_why(known), "There is no example yet to tune a behaviour on."))
        why = "There is no example yet, and a prompt needs none."
        return Found("prompt", "collect", (why, f"Write {known.least_cases} real cases first: by them it is measured."))
    few = f"{said(rows, 'row is', 'rows are')} few: below {FEW}, some of them in the prompt are the better use of them."
    step: Step = "collect" if not known.counted else "measure" if known.cases >= known.least_cases else "more"
    if not known.counted or known.cases >= known.least_cases:
        reasons = [few]
    else:
        wanted = f"{said(known.cases, 'case')} cannot tell what that is worth: write {known.least_cases} at least."
        reasons = [few, wanted]
    if facts:
        told = _facts_why(known) if known.knowledge else _taught(known)
        return Found("rag", "look_up" if step == "measure" else step, (told, *reasons))
    return Found("few_shot", step, tuple(reasons))


def _unproven(known: Circumstances, _: Figures | None) -> Found | None:
    """Nothing to prove it by."""
    if not known.counted or known.cases >= known.least_cases:
        return None
    why = f"{said(known.cases, 'case')} cannot tell whether tuning helped: write {known.least_cases} first."
    return Found("postpone", "more", (why,))


def _too_much(known: Circumstances, figures: Figures | None) -> Found | None:
    """It surely takes more memory, time or money than there is."""
    if figures is None:
        return None
    memory, hours, price = figures.memory, figures.hours, figures.price
    reasons = []
    if figures.fits is False:
        reasons.append(f"It takes at least {memory['low']:.3g} GB, and {figures.free_gb:.3g} GB are free here.")
    if known.hours is not None and hours["low"] > known.hours:
        reasons.append(f"It takes at least {span(hours['low'])}, and {known.hours:g} h are what it may take.")
    if known.budget is not None and float(price["low"]) > known.budget:
        least = f"{price['low']:.2f} {price['currency']}"
        reasons.append(f"It costs at least {least}, and {known.budget:g} are what it may cost.")
    return Found("postpone", "smaller", tuple(reasons)) if reasons else None


def _worth_tuning(known: Circumstances, _: Figures | None) -> Found:
    """Nothing stands against it."""
    if not known.counted:
        why = f"A behaviour shown by {known.rows or 0:,} rows is what tuning teaches. Nothing of it is checked yet."
    else:
        why = f"{known.rows or 0:,} examples of one behaviour, and {known.cases:,} held-out cases to prove it on."
    facts = tuple(_tells_facts(known))
    if facts:
        step: Step = "collect" if not known.counted else "run" if known.best and known.documents else "look_up"
        return Found("tune_and_rag", step, (why, *facts))
    step = "collect" if not known.counted else "run" if known.best else "measure"
    return Found("tune", step, (why,))


def _tells_facts(known: Circumstances) -> Iterator[str]:
    """Why facts should be looked up beside the tuning, if they should."""
    best = known.best
    others = [a.high for a in known.measured.arms if a.name not in (*TUNED, "rag")] if known.measured else []
    if known.knowledge:
        yield _facts_why(known)
    elif _teaches_facts(known):
        yield _taught(known)
    if best and best.name == "rag" and known.documents and best.low > max(others, default=1.0):
        yield f"Looking things up is the best untuned means: {scored(best)}."


def _teaches_facts(known: Circumstances) -> bool:
    """Whether it is facts that the rows teach; a person who says it is behaviour knows better."""
    return not known.needs and known.share("teaches_facts") >= _FACTS


def _taught(known: Circumstances) -> str:
    found = known.finding("teaches_facts")
    count, share = (found.count if found else 0), 100 * known.share("teaches_facts")
    told = f"{count:,} of {known.read:,} answers ({share:.0f} %) state names or numbers that no question holds"
    return f"{told}: {_RECALLED}. Put their source into the prompt."


_RULES = (_unclear, _told, _measured, _forbidden, _by_tools, _only_facts, _few, _unproven, _too_much, _worth_tuning)


def _besides(known: Circumstances, figures: Figures | None, found: Found) -> Iterator[str]:
    """What else bears on it, with its numbers."""
    tuning = found.outcome in ("tune", "tune_and_rag")
    if known.best is None and known.counted and found.step in ("measure", "look_up"):
        fast = "; answers are labels, so a classifier that trains in a second is measured too" if known.labels else ""
        yield f"Nothing cheaper is measured yet{fast}."
    elif known.best and known.tuned is None and known.hurdle and known.hurdle.message not in found.reasons:
        yield known.hurdle.message
    facts = known.finding("teaches_facts")
    if tuning and facts and not _teaches_facts(known) and not known.knowledge:
        share = 100 * known.share("teaches_facts")
        yield f"{facts.count:,} answers ({share:.0f} %) state what no question holds: tuning teaches that badly."
    if tuning and figures is not None and figures.fits is None:
        memory = figures.memory
        yield f"It may not fit: up to {memory['high']:.3g} GB, and {figures.free_gb:.3g} GB are free."
    yield from _return(known, figures, tuning)


def _return(known: Circumstances, figures: Figures | None, tuning: bool) -> Iterator[str]:
    """What the volume says: rows that it brings, and what a small model of one's own would save (requirement A4)."""
    if known.requests is None:
        return
    asked = f"{known.requests:,} requests a month"
    if not tuning:
        yield f"{asked} bring rows: keep them with answers that people have checked."
    if known.cost is None:
        return
    today = known.requests * known.cost / 1000
    yield f"{asked} at {known.cost:g} {known.currency} a thousand cost {today:,.2f} {known.currency} a month today."
    arms = {a.name: a for a in known.measured.arms} if known.measured else {}
    own = known.tuned or arms.get("base")
    if own is None or known.machine_hour is None or figures is None:
        if tuning:
            yield "A small tuned model may answer for less: `decide.machine_hour` and a run would tell."
        return
    each = own.seconds / 3.6 * known.machine_hour  # 1,000 requests, in hours
    per = f"At {own.seconds:.2g} s a case and {money_of(known.machine_hour, known)} an hour, 1,000 cost {each:.2g} here"
    if each >= known.cost:
        yield f"{per}: nothing is saved."
        return
    paid = float(figures.price["expected"]) / (known.cost - each) * 1000
    yield f"{per}: the training ({money(figures)}) is paid back after {paid:,.0f} requests; writing rows not counted."


def money_of(amount: float, known: Circumstances) -> str:
    """An amount in the currency that was stated."""
    return f"{amount:g} {known.currency}"
