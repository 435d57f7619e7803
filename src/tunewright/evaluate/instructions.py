"""Instructions an answer can be checked for by a program, by the names and arguments of the IFEval set.

Definitions follow Zhou et al., "Instruction-Following Evaluation for Large Language Models" (2023), strict reading.
Sentences are counted by their end marks, and the languages of answers are not told: those cases cannot be scored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tunewright.errors import ScorerError
from tunewright.records import Case

Given = Mapping[str, Any]


def instructions(text: str, case: Case, labels: Sequence[str]) -> float:
    """1 when every instruction of the expected `{"instruction_id_list": […], "kwargs": […]}` is followed."""
    try:
        wanted = json.loads(case.expected)
        asked = list(zip(wanted["instruction_id_list"], wanted["kwargs"], strict=True))
        unknown = [name for name, _ in asked if name not in CHECKS]
    except (ValueError, KeyError, TypeError):
        raise ScorerError("the expected answer names no instructions.", where=case.id) from None
    if unknown:
        raise ScorerError(f"`{unknown[0]}` cannot be checked.", where=case.id)
    try:
        return float(bool(text.strip()) and all(CHECKS[name](text, given) for name, given in asked))
    except (KeyError, TypeError) as error:
        raise ScorerError(f"an instruction lacks its argument: {error}", where=case.id) from None


def _holds(count: int, relation: str, number: int) -> bool:
    return count >= number if relation == "at least" else count < number


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def _sentences(text: str) -> int:
    return len([s for s in re.split(r"(?<=[.!?])[\"')\]]*\s+", text.strip()) if re.search(r"\w", s)])


def _parts(text: str, mark: str) -> list[str]:
    return [part.strip() for part in re.split(mark, text) if part.strip()]


def _nth_paragraph(text: str, given: Given) -> bool:
    paragraphs = _parts(text, r"\n\n")
    if len(paragraphs) != given["num_paragraphs"] or given["nth_paragraph"] > len(paragraphs):
        return False
    first = paragraphs[given["nth_paragraph"] - 1].split()[0].lstrip("'\"")
    return re.split(r"[.,?!'\"]", first)[0].casefold() == str(given["first_word"]).casefold()


def _postscript(text: str, given: Given) -> bool:
    marker = str(given["postscript_marker"])
    pattern = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}.get(marker, re.escape(marker.casefold()))
    return re.search(rf"{pattern}.*$", text.casefold(), re.MULTILINE) is not None


def _is_json(text: str, given: Given) -> bool:
    try:
        json.loads(re.sub(r"^```(?:json)?|```$", "", text.strip(), flags=re.IGNORECASE))
    except (ValueError, RecursionError):
        return False
    return True


def _highlights(text: str, given: Given) -> bool:
    single = [h for h in re.findall(r"\*([^\n*]*)\*", text) if h.strip()]
    double = [h for h in re.findall(r"\*\*([^\n*]*)\*\*", text) if h.strip()]
    return len(single) + len(double) >= int(given["num_highlights"])


def _keyword_count(text: str, given: Given) -> bool:
    count = len(re.findall(re.escape(str(given["keyword"])), text, re.IGNORECASE))
    return _holds(count, given["relation"], given["frequency"])


def _two_responses(text: str, given: Given) -> bool:
    parts = _parts(text, r"\*{6}")
    return len(parts) == 2 and parts[0] != parts[1]


CHECKS: dict[str, Callable[[str, Given], bool]] = {
    "change_case:capital_word_frequency": lambda t, g: _holds(
        sum(w.isupper() for w in _words(t)), g["capital_relation"], g["capital_frequency"]
    ),
    "change_case:english_capital": lambda t, g: t.isupper(),
    "change_case:english_lowercase": lambda t, g: t.islower(),
    "combination:repeat_prompt": lambda t, g: (
        t.strip().casefold().startswith(str(g["prompt_to_repeat"]).strip().casefold())
    ),
    "combination:two_responses": _two_responses,
    "detectable_content:number_placeholders": lambda t, g: len(re.findall(r"\[.*?\]", t)) >= g["num_placeholders"],
    "detectable_content:postscript": _postscript,
    "detectable_format:constrained_response": lambda t, g: any(
        f"My answer is {word}." in t for word in ("yes", "no", "maybe")
    ),
    "detectable_format:json_format": _is_json,
    "detectable_format:multiple_sections": lambda t, g: (
        len(re.findall(rf"\s?{re.escape(str(g['section_spliter']))}\s?\d+\s?", t)) >= g["num_sections"]
    ),
    "detectable_format:number_bullet_lists": lambda t, g: (
        len(re.findall(r"^\s*(?:\*[^*]|-).*$", t, re.MULTILINE)) == g["num_bullets"]
    ),
    "detectable_format:number_highlighted_sections": _highlights,
    "detectable_format:title": lambda t, g: any(x.strip("<> \t") for x in re.findall(r"<<[^\n]+>>", t)),
    "keywords:existence": lambda t, g: all(re.search(re.escape(k), t, re.IGNORECASE) for k in g["keywords"]),
    "keywords:forbidden_words": lambda t, g: (
        not any(re.search(rf"\b{re.escape(w)}\b", t, re.IGNORECASE) for w in g["forbidden_words"])
    ),
    "keywords:frequency": _keyword_count,
    "keywords:letter_frequency": lambda t, g: _holds(
        t.casefold().count(str(g["letter"]).casefold()), g["let_relation"], g["let_frequency"]
    ),
    "length_constraints:nth_paragraph_first_word": _nth_paragraph,
    "length_constraints:number_paragraphs": lambda t, g: len(_parts(t, r"\s?\*\*\*\s?")) == g["num_paragraphs"],
    "length_constraints:number_sentences": lambda t, g: _holds(_sentences(t), g["relation"], g["num_sentences"]),
    "length_constraints:number_words": lambda t, g: _holds(len(_words(t)), g["relation"], g["num_words"]),
    "punctuation:no_comma": lambda t, g: "," not in t,
    "startend:end_checker": lambda t, g: (
        t.strip().strip('"').casefold().endswith(str(g["end_phrase"]).strip().casefold())
    ),
    "startend:quotation": lambda t, g: len(t.strip()) > 1 and t.strip()[0] == t.strip()[-1] == '"',
}
