"""Numbers and decisions in plain words."""

from __future__ import annotations

import datetime
import re
import shlex
from dataclasses import dataclass

from markupsafe import Markup, escape

from tunewright.records import TUNED, ArmScore, Gate, Verdict, arm_called, arm_label, best_untuned, tuned_arm
from tunewright.report.evidence import DataEvidence, Evidence

# A scorer's name for the reader, and how to say "x % …".
MEASURES = {
    "json_fields": ("Field-level F1", "of the fields right"),
    "exact": ("Exact match", "of the answers exactly right"),
    "normalised": ("Match after normalising", "of the answers right"),
    "choice": ("Accuracy", "of the cases right"),
    "regex": ("Match of a pattern", "of the answers right"),
    "numeric": ("Right number", "of the numbers right"),
    "json_valid": ("Valid JSON", "of the answers valid"),
    "tool_calls": ("Tool calls", "of the tool calls right"),
    "rouge_1": ("ROUGE-1", "by ROUGE-1"),
    "rouge_2": ("ROUGE-2", "by ROUGE-2"),
    "rouge_l": ("ROUGE-L", "by ROUGE-L"),
    "bleu": ("BLEU", "by BLEU"),
    "chrf": ("chrF", "by chrF"),
    "json_schema": ("Valid against the schema", "of the answers valid"),
    "perplexity": ("Mean probability of the expected tokens", "of probability on the expected answer"),
    "similarity": ("Likeness to the expected answer", "by likeness"),
    "tone": ("Rules of tone kept", "of the rules of tone kept"),
    "toxicity": ("No abuse found", "of the answers without abuse"),
}
RETRIEVAL = {"bm25": "words (BM25)", "dense": "vectors", "hybrid": "words and vectors"}
GATES = {
    "bad_rows": "Few faulty rows",
    "leak": "Nothing leaked",
    "suite_size": "Enough cases",
    "min_gain": "Better than untuned",
    "worst_slice": "Worst slice",
    "enough": "Good enough",
    "forgetting": "General ability",
    "abilities": "General abilities kept",
    "judge": "A judge prefers it",
    "safety": "Refuses as before",
    "cheaper_means": "Cheaper means",
    "parity": "Exported = trained",
    "license": "Licences",
}
REASONS = {
    "exact_duplicate": "duplicates",
    "leak_exact": "leaks",
    "bad_row": "broken rows",
    "role_order": "roles out of order",
    "empty_output": "empty answers",
    "mixed_format": "another shape",
    "unwritable": "not for this base's template",
    "unsupervised": "nothing to learn",
    "tool_call_invalid": "invalid tool calls",
}
FINDINGS = {
    "encoding": "Encoding repaired",
    "bad_row": "Rows that cannot be read",
    "role_order": "Turns out of order",
    "empty_output": "No answer",
    "mixed_format": "Another shape than the file's",
    "tool_call_invalid": "Invalid tool calls",
    "exact_duplicate": "Repeats",
    "leak_exact": "Test questions in train",
    "leak_near": "Test questions nearly in train",
    "contradiction": "Same question, different answers",
    "contradiction_near": "Nearly the same question, different answers",
    "near_duplicate": "Near repeats",
    "truncation": "Longer than allowed",
    "unwritable": "Not to be written for this base",
    "thoughts": "Thoughts before the answers",
    "thoughtless": "Answers without a thought",
    "unsupervised": "Nothing to learn from",
    "semantic_duplicate": "The same in other words",
    "label_suspect": "Labels that look wrong",
    "mispaired": "Answers to another row's question",
    "secret": "Passwords, keys or tokens",
    "pii": "Personal data",
    "inappropriate": "Abusive words",
    "teaches_facts": "Facts the question does not give",
    "language_mismatch": "Another language",
    "style_inconsistent": "Answers of another form",
    "length_outlier": "Far longer or shorter than the rest",
    "imbalance": "Some labels far commoner than others",
    "preference_equal": "Pairs that reject what they choose",
    "coverage_gap": "Asked for and never taught",
    "too_few": "Too few rows",
    "shift": "Questions asked differ from train questions",
    "license": "Licence forbids the use",
    "provenance_missing": "Licence not stated",
}
# Reasons that the first line gives in other words.
SAID_ALREADY = {
    "the gain is beyond chance and beyond what was asked",
    "the tuned model is no better",
    "the tuned model is worse",
    "the gain is smaller than was asked",
    "the interval holds both answers",
    "a cheaper means does as well",
}
NBSP = "\u00a0"


@dataclass(frozen=True, slots=True)
class Headline:
    """The decision: a few words, the sentence after them, and the colour class that goes with it."""

    decision: str
    sentence: str
    tone: str


def percent(score: float, digits: int = 1) -> str:
    """0.931 → 93.1 %, with a space that does not break."""
    return f"{100 * score:.{digits}f}{NBSP}%".replace("-", "−")


def points(difference: float, digits: int = 1) -> str:
    """0.217 → +21.7, with a real minus; what rounds to nothing has no sign."""
    text = f"{100 * difference:+.{digits}f}"
    if float(text) == 0:
        return text[1:]
    return text.replace("-", "−")


def count(number: int, one: str, many: str = "") -> str:
    """3 → "3 cases"; thousands are grouped."""
    return f"{number:,}{NBSP}{one if number == 1 else many or one + 's'}"


def tidy(text: str) -> Markup:
    """Escaped; a number keeps its per cent sign at the end of a line, what is in backticks or a command is code."""
    whole = re.sub(r"(?<=\d) ?%", f"{NBSP}%", text)
    marked = re.sub(r"`([^`<]+)`", r"<code>\1</code>", str(escape(whole)))
    return Markup(re.sub(r"tunewright data fix --accept \w+", r"<code>\g<0></code>", marked))


def sentences(texts: tuple[str, ...]) -> str:
    """Short remarks as sentences, whether or not they were written as such."""
    return " ".join(f"{t[:1].upper()}{t[1:].rstrip('.')}." for t in texts if t)


def label(evidence: Evidence, name: str) -> str:
    """The words for an arm."""
    return evidence.labels.get(name) or arm_label(name)


def reason_words(code: str) -> str:
    """Why rows were set aside, for a legend."""
    return REASONS.get(code) or finding_words(code).lower()


def finding_words(code: str) -> str:
    """A finding's heading."""
    return FINDINGS.get(code) or code.replace("_", " ").capitalize()


def gate_words(gate: Gate) -> str:
    return GATES.get(gate.name) or gate.name.replace("_", " ")


def refusals(gates: tuple[Gate, ...]) -> list[Gate]:
    """Gates that say no and were not passed on the record."""
    return [gate for gate in gates if gate.blocks]


def measure(evidence: Evidence) -> tuple[str, str]:
    """The scorer's name for the reader and the words that follow its percentage."""
    known = MEASURES.get(evidence.primary)
    return known or (evidence.primary.replace("_", " "), f"by {evidence.primary.replace('_', ' ')}")


def headline(evidence: Evidence) -> Headline:
    """The first line of the evidence page: what to do, and the number that says so."""
    verdict, tuned = evidence.verdict, tuned_arm(evidence.arms)
    if verdict is None or tuned is None:
        return _without_verdict(evidence)
    against = next((a for a in evidence.arms if a.name == verdict.against), None) or best_untuned(evidence.arms)
    right = measure(evidence)[1]
    who = "Models tuned this way get" if evidence.folds else "The tuned model gets"
    gets = f"{who} {percent(tuned.score)} {right}"
    if against is None:
        return Headline("Cannot tell.", f"{gets}, and there is nothing to compare it with.", "warn")
    best = percent(against.score)
    stopped = refusals(evidence.gates)
    if verdict.decision == "cannot_tell":
        more = f" About {count(verdict.more_cases, 'more case')} would tell." if verdict.more_cases else ""
        few = any(gate.name == "suite_size" for gate in stopped)
        why = "too few cases to decide." if few else "too close to call on these cases."
        return Headline("Cannot tell.", f"{gets}, {arm_called(against.name)} {best}: {why}{more}", "warn")
    if verdict.decision == "ship" and not stopped:
        past = f"gets past {best}" if against.score else "gets any"
        return Headline("Ship it.", f"{gets}; nothing untuned {past}.", "good")
    # A gain surely smaller than was asked for is no "not yet".
    others = [gate for gate in stopped if gate.name != "min_gain"]
    if verdict.low > 0 and [gate.name for gate in others] == ["cheaper_means"]:
        return Headline("Do not ship.", f"{gets} against {best} untuned, but a cheaper means does as well.", "bad")
    if verdict.low > 0 and others and stopped == others:
        names = " and ".join(gate_words(gate).lower() for gate in stopped[:2])
        return Headline("Do not ship yet.", f"{gets} against {best} untuned, but a gate says no: {names}.", "bad")
    how = "is worse than" if verdict.high < 0 else "is no better than"
    if verdict.low > 0:
        how = "is better, but by less than you asked, than"
    return Headline(
        "Do not ship.",
        f"Tuned, {percent(tuned.score)} {right}, {how} {arm_called(against.name)}, {best}.",
        "bad",
    )


def _without_verdict(evidence: Evidence) -> Headline:
    best = best_untuned(evidence.arms) or tuned_arm(evidence.arms)
    if best is None:
        return Headline("Nothing measured.", "No arm has answered the suite yet.", "warn")
    right = measure(evidence)[1]
    if best.name in TUNED:
        return Headline(
            "No verdict.", f"The tuned model gets {percent(best.score)} {right}, compared with nothing.", "warn"
        )
    if any(gate.name == "cheaper_means" for gate in refusals(evidence.gates)):
        name = label(evidence, best.name)
        reached = f"{name[:1].upper()}{name[1:]} already gets {percent(best.score)} {right}."
        return Headline("Do not tune.", reached, "good")
    if not best.score:
        return Headline("Untuned.", f"Nothing gets any {right}.", "plain")
    return Headline("Untuned.", f"Nothing gets past {percent(best.score)} {right}.", "plain")


def best_line(evidence: Evidence, best: ArmScore) -> str:
    """Who leads among the untuned, as the beginning of a sentence."""
    level = [a for a in evidence.arms if a.score == best.score]
    if len(level) > 1:
        return f"{len(level)} arms are level"
    words = label(evidence, best.name)
    return f"{words[:1].upper()}{words[1:]} leads"


def day(date: str) -> str:
    """2026-11-23 → 23 Nov 2026; what is no such date stays as it is."""
    try:
        known = datetime.date.fromisoformat(date)
    except ValueError:
        return date
    return f"{known.day} {known:%b %Y}"


def asked(min_gain: float) -> str:
    return (
        f"You asked for at least {points(min_gain, 0 if min_gain * 100 % 1 < 1e-9 else 1)}."
        if min_gain
        else ("You asked for any gain that is not chance.")
    )


def p_value(verdict: Verdict) -> str:
    return f"p{NBSP}<{NBSP}0.0001" if verdict.p < 0.0001 else f"p{NBSP}={NBSP}{verdict.p:.2g}"


def command(line: str, overrides: tuple[str, ...]) -> str:
    """What to type to have it again, settings given beside the recipe included."""
    return " ".join([line, *(f"--set {shlex.quote(setting)}" for setting in overrides)]) if line else ""


def held_out(rows: int, asked: int | None) -> str:
    """What to call the held-out rows, of which the suite asks `asked`; None: all of them."""
    if asked is None or asked >= rows:
        return "suite"
    return f"held out, {asked:,} of them asked" if asked else "held out, not asked"


def data_headline(evidence: DataEvidence) -> Headline:
    """The first line of the data page."""
    stopped = refusals(evidence.gates)
    ledger = evidence.ledger
    used = f"{ledger.used:,} of {count(ledger.read, 'row')} can be used"
    if stopped:
        names = " and ".join(gate_words(gate).lower() for gate in stopped[:2])
        return Headline("Not yet.", f"{used}, but a gate says no: {names}.", "bad")
    # What was set aside for its reason is settled; the rest is for a person to decide.
    still = [f.severity for f in evidence.findings if f.count and f.code not in ledger.set_aside]
    if wrong := still.count("error"):
        what = count(wrong, "finding needs", "findings need")
        return Headline("Look first.", f"{used}; {what} your judgement.", "warn")
    doubtful = still.count("warning")
    what = count(doubtful, "finding is", "findings are") + " worth a look" if doubtful else "nothing stands in the way"
    return Headline("Good to train on.", f"{used}; {what}.", "good")
