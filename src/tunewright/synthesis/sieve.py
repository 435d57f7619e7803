"""What a draft must be to become a candidate. Every draft passes or is set aside for one named reason."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from tunewright.records import Example, Message
from tunewright.synthesis import turns
from tunewright.synthesis.form import Form
from tunewright.synthesis.likeness import Crowd
from tunewright.synthesis.replies import Draft
from tunewright.synthesis.requests import Request
from tunewright.synthesis.shelf import Candidate
from tunewright.text import find, language, normal, similar

# In the order they are looked for: a draft counts under the first that holds.
REASONS = {
    "refused": "the server would not answer the request (too long, filtered, or its tokens spent on thinking)",
    "unparseable": "the reply, or a part of it, is not what was asked for",
    "missing": "fewer rows were given than asked for",
    "refusal": "the teacher speaks of itself or declines",
    "empty": "nothing is asked, or nothing answered",
    "wrong_form": "the answer has another form than the rows'",
    "leak_exact": "it asks what a validation, test or suite case asks",
    "leak_near": "it asks nearly what a validation, test or suite case asks",
    "copy_exact": "it asks what a training row asks",
    "copy_near": "it asks nearly what a training row asks",
    "changed": "the rewording lost what the answer needs, or says another number",
    "language": "it is in another language than the rows",
    "length": "it is shorter or longer than any row by half",
    "personal": "it holds personal data or a secret that the rows shown do not hold",
    "duplicate": "another candidate asks the same, or nearly",
}
_DOMINANT = 0.9
_KNOWN = 5
_LONG = 100
_WORD = re.compile(r"\w")
_LEAF_CHARS = 2


class Sieve:
    """Holds drafts against the rows that train, the cases that judge, and the candidates there are.

    `train` are all training rows; `judged` are the prompts of validation, test and suite cases, by name; `earlier` is
    what candidates of other batches ask; `labels` are the answers there are, where they are labels. `strict` compares
    as for code and mathematics (`data.normal`). `reasons` says each reason in words.
    """

    reasons = REASONS

    def __init__(
        self,
        train: Sequence[Example],
        judged: Mapping[str, Sequence[Message]],
        earlier: Sequence[str] = (),
        *,
        labels: Sequence[str] = (),
        strict: bool = False,
    ) -> None:
        self._strict = strict
        self._names = {"leak": list(judged), "copy": [e.row for e in train]}
        self._leak = Crowd([self._form(turns.asked(prompt)) for prompt in judged.values()])
        self._copy = Crowd([self._form(turns.asked(e.prompt)) for e in train])
        self._earlier = Crowd([self._form(text) for text in earlier])
        questions = [e.prompt[place].content for e in train if (place := turns.last_user(e)) is not None]
        answers = [e.answer.content for e in train if not e.answer.tool_calls]
        self._asked, self._answered = _span(questions), _span(answers)
        self._shape = Form.of([e.answer.content for e in train], labels)
        self._language = _main(questions)
        self._replied = _main([a for a in answers if len(a) > _LONG])

    def sift(self, drafts: Sequence[Draft]) -> list[tuple[str, str]]:
        """Reason and detail for each draft; ("", "") for those that pass. Of drafts that repeat each other the first
        stays."""
        forms = [self._form(turns.asked(_turns(d))) for d in drafts]
        known = self._known(drafts, forms)
        found = []
        for draft, seen in zip(drafts, known, strict=True):
            if draft.fault:
                found.append((draft.fault, draft.detail))
            else:
                found.append(seen if seen[0] else next(self._own(draft), ("", "")))
        return self._first(forms, found)

    def barred(self, candidate: Candidate) -> tuple[str, str]:
        """Reason and detail why a candidate, in a reviewer's words, may not be taken; ("", "") where it may."""
        example = candidate.example
        asked, answer = turns.asked(example.prompt), example.answer
        if not asked.strip() or not (answer.content.strip() or answer.tool_calls):
            return "empty", "no input" if not asked.strip() else "no output"
        wrong = "" if answer.tool_calls else self._shape.settled(answer.content)[1]
        if wrong:
            return "wrong_form", wrong
        draft = Draft(Request(candidate.made["kind"], 1, "", (example,), self._shape), 0, candidate.input)
        return self._known([draft], [self._form(asked)])[0]

    def _known(self, drafts: Sequence[Draft], forms: Sequence[str]) -> list[tuple[str, str]]:
        """Reason and detail where a draft asks what is known already: a leak before a copy; else ("", "")."""
        leaks, copies = self._leak.match(forms), self._copy.match(forms)
        found = []
        for draft, leak, copy in zip(drafts, leaks, copies, strict=True):
            if leak is not None:
                found.append((f"leak_{'exact' if leak[1] else 'near'}", self._names["leak"][leak[0]]))
            elif copy is not None and (copy[1] or not _long(draft)):
                found.append((f"copy_{'exact' if copy[1] else 'near'}", self._names["copy"][copy[0]]))
            else:
                found.append(("", ""))
        return found

    def _repeats(self, draft: Draft) -> bool:
        """Whether a conversation's new turn says nearly what the old one said."""
        seed = draft.request.seeds[0]
        old, new = self._form(seed.prompt[turns.last_user(seed) or 0].content), self._form(draft.input)
        return old == new or bool(similar.alike([old], [new])[0])

    def _own(self, draft: Draft) -> Iterator[tuple[str, str]]:
        """What is wrong with a draft by itself, beside the rows it comes from."""
        if draft.request.kind == "paraphrase":
            if _long(draft) and self._repeats(draft):
                yield "copy_near", draft.request.seeds[0].row
            lost = self._changed(draft)
            if lost:
                yield "changed", lost
        told = language.told(draft.input)
        if self._language and told and told != self._language:
            yield "language", f"{told} among {self._language}"
        free = draft.request.form.free and draft.request.kind != "paraphrase"
        if free and self._replied and len(draft.output) > _LONG:
            told = language.told(draft.output)
            if told and told != self._replied:
                yield "language", f"answered in {told} among {self._replied}"
        for what, text, span in (("input", draft.input, self._asked), ("output", draft.output, self._answered)):
            if span and not span[0] / 2 <= len(text) <= span[1] * 1.5 and (what == "input" or free):
                yield "length", f"{what} of {len(text)} characters, rows have {span[0]} to {span[1]}"
        kinds = _introduced(draft)
        if kinds:
            yield "personal", ", ".join(kinds)

    def _changed(self, draft: Draft) -> str:
        """What a rewording lost or brought: numbers, and texts of the answer that the question held."""
        seed = draft.request.seeds[0]
        old, new = self._form(seed.prompt[turns.last_user(seed) or 0].content), self._form(draft.input)
        before, after = Counter(similar.numbers(old)), Counter(similar.numbers(new))
        brought, lost = after - before, before - after
        if brought or lost:
            return f"the number {next(iter(brought or lost))} is {'new' if brought else 'lost'}"
        for leaf in _leaves(draft.output, draft.request.form.choices):
            form = self._form(leaf)
            if len(form) >= _LEAF_CHARS and _stands(form, old) and not _stands(form, new):
                return f"`{leaf[:60]}` is lost, which the answer holds"
        return ""

    def _first(self, forms: Sequence[str], found: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """`found`, with those that repeat an earlier candidate or one before them here set aside."""
        left = [i for i, (reason, _) in enumerate(found) if not reason]
        texts = [forms[i] for i in left]
        like: dict[int, set[int]] = {}
        for i, j in Crowd(texts).pairs(texts):
            like.setdefault(i, set()).add(j)
        kept: set[int] = set()
        for place, before in enumerate(self._earlier.match(texts)):
            if before is not None:
                found[left[place]] = ("duplicate", "a candidate made before")
            elif like.get(place, set()) & kept:
                found[left[place]] = ("duplicate", "one of this batch")
            else:
                kept.add(place)
        return found

    def _form(self, text: str) -> str:
        return " ".join(normal(text, strict=self._strict).split())


def _turns(draft: Draft) -> Sequence[Any]:
    return turns.with_words(draft.request.seeds[0], draft.input)[:-1]


def _long(draft: Draft) -> bool:
    """Whether only one turn of several is new, so that near likeness of the whole says nothing."""
    return sum(m.role != "system" for m in draft.request.seeds[0].prompt) > 1


def _span(texts: Sequence[str]) -> tuple[int, int] | None:
    sizes = [len(t.strip()) for t in texts]
    return (min(sizes), max(sizes)) if sizes else None


def _main(texts: Sequence[str]) -> str:
    """The language of nearly all texts whose language is clear, or ""."""
    counts = Counter(filter(None, map(language.told, texts)))
    (best, most), *_ = [*counts.most_common(1), ("", 0)]
    return best if most >= _KNOWN and most >= _DOMINANT * counts.total() else ""


def _introduced(draft: Draft) -> list[str]:
    """Kinds of personal data and secrets that were not there before.

    A rewording must hold the very values it was given; an invented row may invent values of the kinds shown, but no
    secret.
    """
    shown = [m.content for e in draft.request.seeds for m in e.messages]
    before = [(span, text[span.start : span.end]) for text in shown for span in find(text)]
    values = {value.casefold() for _, value in before}
    kinds = {span.kind for span, _ in before}
    found: dict[str, None] = {}
    for text in (draft.input, draft.output):
        for span in find(text):
            same = text[span.start : span.end].casefold() in values
            allowed = draft.request.kind != "paraphrase" and not span.secret and span.kind in kinds
            if span.kind != "url" and not same and not allowed:
                found[span.kind] = None
    return list(found)


def _leaves(answer: str, choices: Container[str]) -> Iterator[str]:
    """The texts and numbers in a JSON answer, but for the fields that hold one of a few values."""
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        return
    todo = [v for k, v in value.items() if k not in choices] if isinstance(value, dict) else [value]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            todo += value.values()
        elif isinstance(value, list):
            todo += value
        elif isinstance(value, (str, int, float)) and not isinstance(value, bool):
            yield str(value)


def _stands(part: str, whole: str) -> bool:
    """Whether `part` stands in `whole` as words of its own."""
    start = r"(?<!\w)" if _WORD.match(part) else ""
    end = r"(?!\w)" if _WORD.match(part[-1]) else ""
    return re.search(f"{start}{re.escape(part)}{end}", whole) is not None
