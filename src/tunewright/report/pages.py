"""Puts the pieces on the page. The templates hold the order and the sentences, this file what goes into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tunewright.records import NEAR, Gate, Ledger, best_untuned, tuned_arm
from tunewright.report import figures, words
from tunewright.report.answers import cut, examples_of, side_by_side
from tunewright.report.evidence import CaseShown, DataEvidence, Evidence

MOST_WON, MOST_LOST, MOST_STILL = 4, 8, 4
MOST_SLICES = 12
LONGEST_QUESTION = 600
_UNPRINTABLE = dict.fromkeys((*range(9), 11, *range(14, 32), 127, *range(0xD800, 0xE000)), "\ufffd")
_MARKS = {"error": ("✗", "bad"), "warning": ("!", "warn"), "info": ("·", "dim")}
# Outcome and whether the tuned answer is right, to words and colour class.
_OUTCOMES = {
    ("won", True): ("won", "good"),
    ("won", False): ("better, not right yet", "warn"),
    ("same", True): ("right, as before", "good"),
    ("same", False): ("wrong too", "warn"),
    ("lost", True): ("lost", "bad"),
    ("lost", False): ("lost", "bad"),
}
_HERE = Path(__file__).parent / "templates"
_PAGES = Environment(
    loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_PAGES.filters["tidy"] = words.tidy
_STYLE = Markup((_HERE / "style.css").read_text(encoding="utf-8"))


def evidence_page(evidence: Evidence) -> str:
    """The evidence as one HTML document; without a verdict, what the untuned arms reach.

    The numbers are those of the records, rounded for reading. Every text that comes from data is escaped.
    """
    ordered = sorted(evidence.arms, key=lambda a: -a.score)
    verdict = evidence.verdict
    name, right = words.measure(evidence)
    shown = telling(evidence.cases)
    return page(
        "evidence.html",
        e=evidence,
        head=words.headline(evidence),
        above=_above(evidence),
        verdict=verdict,
        against=words.label(evidence, verdict.against) if verdict else "",
        tuned=tuned_arm(evidence.arms),
        best=best_untuned(evidence.arms),
        asked=words.asked(evidence.min_gain),
        measure=name,
        right=right,
        arms=figures.arms([(words.label(evidence, a.name), a) for a in ordered]) if ordered else "",
        axis_end=figures.axis_end(ordered),
        errors=[(words.label(evidence, a.name), a.errors) for a in ordered if a.errors],
        drawn=[words.label(evidence, a.name) for a in ordered if a.drawn],
        unended=[(words.label(evidence, a.name), a) for a in ordered if a.unended],
        gates=[_gate(g) for g in evidence.gates],
        slices=_slices(evidence),
        classes=sorted(evidence.classes, key=lambda c: (c.f1, c.label))[:MOST_SLICES],
        macro=_macro(evidence),
        wording=_wording(evidence),
        shown=[_case(c, evidence) for c in shown],
        counts=_counts(evidence),
        training=figures.training(evidence.training) if evidence.training else "",
        ledger=_ledger(evidence.ledger, evidence.splits, evidence.folds, evidence.asked),
        files=_links(evidence.files),
        hashes={what: value[:12] for what, value in evidence.hashes.items()},
    )


def data_page(evidence: DataEvidence) -> str:
    """What a check of the data found, as one HTML document: decision, ledger, gates, findings with rows."""
    settled = evidence.ledger.set_aside
    rank = {"error": 0, "warning": 1, "info": 2}
    findings = sorted(
        (f for f in evidence.findings if f.count), key=lambda f: (f.code in settled, rank[f.severity], -f.count)
    )
    return page(
        "data.html",
        e=evidence,
        head=words.data_headline(evidence),
        gates=[_gate(g) for g in evidence.gates],
        ledger=_ledger(evidence.ledger, evidence.splits, evidence.folds, evidence.asked),
        findings=[
            {
                "finding": f,
                "name": words.finding_words(f.code),
                "message": f"{f.message[:1].upper()}{f.message[1:]}",
                **_labels(f.evidence.get("labels")),
                "settled": f.code in settled,
                "mark": ("·", "dim") if f.code in settled else _MARKS[f.severity],
                "rows": f.rows[:8],
                "more": max(f.count - 8, 0) if f.rows else 0,
                "examples": examples_of(f.evidence),
            }
            for f in findings
        ],
        files=_links(evidence.files),
    )


def _labels(counts: Any, most: int = 10) -> dict[str, Any]:
    """Labels with their rows, where a finding counts them."""
    pairs = list(counts.items()) if isinstance(counts, Mapping) else []
    return {"labels": pairs[:most], "more_labels": len(pairs) > most}


def page(template: str, **content: Any) -> str:
    """The template filled in. What no HTML may hold – control signs, halves of surrogate pairs – becomes U+FFFD."""
    html = _PAGES.get_template(template).render(style=_STYLE, words=words, **content)
    return html.translate(_UNPRINTABLE)


def telling(cases: Sequence[CaseShown]) -> list[CaseShown]:
    """The cases worth reading: the widest wins, the widest losses, and what the tuned arm still gets wrong."""
    widest = sorted(cases, key=lambda c: -c.gap)
    right = _varied([c for c in widest if c.outcome == "won" and c.solved], MOST_WON)
    lost = _varied([c for c in widest if c.outcome == "lost"], MOST_LOST)
    still = [c for c in cases if c.outcome != "lost" and (c.tuned_score or 0.0) < 1.0]
    worst = sorted(still, key=lambda c: c.tuned_score or 0.0)[:MOST_STILL]
    return [*right, *lost, *worst]


def _varied(cases: Sequence[CaseShown], most: int) -> list[CaseShown]:
    """The first `most`, but no more than two where the untuned arm said the same: one kind of failure is soon told."""
    said: dict[str, int] = {}
    chosen = []
    for case in cases:
        said[case.untuned] = said.get(case.untuned, 0) + 1
        if said[case.untuned] <= 2:
            chosen.append(case)
        if len(chosen) == most:
            break
    return chosen


def _above(evidence: Evidence) -> list[str]:
    """The small line over the decision: what this is about."""
    base = evidence.base
    if evidence.parameters:
        base += f" {_millions(evidence.parameters)}"
    return [p for p in (f"run {evidence.run}" if evidence.run else "", base, words.day(evidence.date)) if p]


def _millions(parameters: int) -> str:
    for size, unit in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if parameters >= size:
            return f"{parameters / size:.1f} {unit}"
    return str(parameters)


def _gate(gate: Gate) -> dict[str, Any]:
    """A gate with its mark, its word for the ear, and its colour class."""
    if gate.allowed_because:
        mark, said, tone = "!", "allowed", "warn"
    elif gate.ok is None:
        mark, said, tone = "!", "cannot tell", "warn"
    else:
        mark, said, tone = ("✓", "holds", "good") if gate.ok else ("✗", "does not hold", "bad")
    return {"gate": gate, "name": words.gate_words(gate), "mark": mark, "said": said, "tone": tone}


def _slices(evidence: Evidence) -> list[dict[str, Any]]:
    """The weakest slices last, as the eye ends there; amber where tuned is surely below untuned or its mean.

    Of many the weakest are shown, and the score without near twins of training rows always (K20).
    """
    tuned = tuned_arm(evidence.arms)
    mean = tuned.score if tuned else 1.0
    shown = sorted(evidence.slices, key=lambda s: (s.slice != NEAR, s.tuned))[:MOST_SLICES]
    return [
        {
            "slice": s,
            "bar": figures.slice_bar(s.tuned, s.untuned, s.low, s.high),
            "weak": s.high < max(s.untuned, mean),
        }
        for s in sorted(shown, key=lambda s: -s.tuned)
    ]


def _macro(evidence: Evidence) -> list[tuple[str, float, float, float]]:
    """Macro precision, recall and F1 of every arm that has them, the best first."""
    found = []
    for arm in evidence.arms if evidence.classes else ():
        precision, recall, f1 = (arm.scores.get(f"macro_{name}") for name in ("precision", "recall", "f1"))
        if precision is not None and recall is not None and f1 is not None:
            found.append((words.label(evidence, arm.name), precision, recall, f1))
    return sorted(found, key=lambda row: -row[3])


def _wording(evidence: Evidence) -> Markup:
    """What careless wording costs, worst first."""
    worst = sorted(evidence.robustness, key=lambda r: r.difference)
    rows = [(r.change.replace("_", " "), r.difference, r.low, r.high) for r in worst]
    if not rows:
        return Markup("")
    return figures.differences(rows, "Change of the score when the question is worded carelessly")


def _case(case: CaseShown, evidence: Evidence) -> dict[str, Any]:
    untuned, tuned, wanted = side_by_side(
        case.untuned, case.tuned, case.expected, (case.untuned_score, case.tuned_score)
    )
    question = case.question
    if len(question) > LONGEST_QUESTION:
        question = question[:LONGEST_QUESTION].rstrip() + " …"
    return {
        "question": question,
        "arm": words.label(evidence, case.untuned_arm),
        "untuned": untuned,
        "tuned": tuned,
        "thoughts": (cut(case.untuned_thought), cut(case.tuned_thought)),
        "wanted": wanted,
        "outcome": _OUTCOMES[case.outcome, (case.tuned_score or 0.0) >= 1.0],
        "solved": case.solved,
    }


def _counts(evidence: Evidence) -> dict[str, int]:
    given = evidence.counts
    if given is None:
        given = {what: sum(c.outcome == what for c in evidence.cases) for what in ("won", "same", "lost")}
    return {what: given.get(what, 0) for what in ("won", "same", "lost")}


def _ledger(ledger: Ledger | None, splits: Mapping[str, int], folds: int, asked: int | None) -> dict[str, Any] | None:
    """The bar and its legend. Rows of a test file of its own are part of what was read, as the ledger counts them.

    `asked`: how many of the rows held out are cases of the suite; None: all.
    """
    if ledger is None:
        return None
    tones = {"train": "own", "validation": "own2", "test": "own3"}
    held = words.held_out(splits.get("test", 0), asked)
    called = {"test": held, "train": f"train, in {folds} folds the suite too" if folds else "train"}
    parts = [figures.Part(called.get(n, n), rows, tones.get(n, "own3")) for n, rows in splits.items() if rows]
    rest = ledger.used - sum(p.rows for p in parts)
    if rest > 0:
        parts.append(figures.Part("used elsewhere" if parts else "used", rest, "own3" if parts else "own"))
    quiet = ("exact_duplicate", "near_duplicate", "semantic_duplicate")
    for reason, rows in ledger.set_aside.items():
        if rows:
            tone = "other" if reason in quiet else "wrong" if reason.startswith("leak") else "amber"
            parts.append(figures.Part(words.reason_words(reason), rows, tone))
    return {"bar": figures.ledger(parts), "parts": parts, "ledger": ledger, "sums": ledger.sums()}


def _links(files: Mapping[str, str]) -> dict[str, str]:
    """Paths beside the page as links. Quoting leaves no scheme, so a name cannot turn into a script."""
    return {what: quote(path) for what, path in files.items()}
