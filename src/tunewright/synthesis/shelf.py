"""Where drafts wait: replies, candidates and what people decided of them, in files that are only ever added to."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from tunewright.errors import DataError
from tunewright.records import Example, Message, Record
from tunewright.store import append_line, digest, read_json, read_lines, write_json
from tunewright.synthesis import turns
from tunewright.synthesis.replies import Draft

Decision = Literal["accept", "reject"]


class Candidate(Record):
    """A row made by a teacher. `turns` are the whole conversation, answer last, as chat templates take them.

    `made` is its provenance: `teacher`, `url`, `kind`, `target`, `rows` (the training rows shown), `date`, `cost` (its
    share of the request, in the prices' currency, None where unknown) and `batch`. `rewords` is what it puts in other
    words.
    """

    id: str
    turns: tuple[dict[str, Any], ...]
    tools: tuple[dict[str, Any], ...] = ()
    label: str | None = None
    group: str | None = None
    license: str | None = None
    rewords: str | None = None
    made: dict[str, Any]

    @property
    def example(self) -> Example:
        """The row as one of the dataset."""
        return Example(
            messages=tuple(map(Message.from_dict, self.turns)),
            row=self.id,
            tools=self.tools,
            license=self.license,
            group=self.group,
            synthetic=True,
            label=self.label,
            rewords=self.rewords,
        )

    @property
    def input(self) -> str:
        """The user turn that was written."""
        example = self.example
        return example.prompt[turns.last_user(example) or 0].content

    @property
    def output(self) -> str:
        """The answer's words."""
        return self.example.answer.content

    @property
    def asked(self) -> str:
        """All that it asks, as one text."""
        return turns.asked(self.example.prompt)

    def reworded(self, input: str, output: str) -> Candidate:
        """The same with a reviewer's words."""
        if (input, output) == (self.input, self.output):
            return self
        example = self.example
        made = turns.with_words(example, input, None if example.answer.tool_calls else output)
        label = output if self.label is not None else None
        return self.model_copy(update={"turns": tuple(m.as_dict() for m in made), "label": label})

    def row(self, decided: Mapping[str, Any]) -> dict[str, Any]:
        """The row as the source file holds it: marked synthetic, with all that is known of how it came about."""
        marks = {"label": self.label, "group": self.group, "license": self.license, "rewords": self.rewords}
        tools = {"tools": list(self.tools)} if self.tools else {}
        review = {name: decided[name] for name in ("date", "by", "edited") if decided.get(name)}
        return {
            "messages": list(self.turns),
            **tools,
            **{name: value for name, value in marks.items() if value is not None},
            "synthetic": True,
            "made": {"id": self.id, **self.made, "reviewed": review},
        }


class Synthesis(Record):
    """What came of one batch: `asked` = `pending` + all that is `set_aside`, by reason.

    `pending` were the candidates when it was made. `surplus` rows were given unasked and left. `requests` were needed,
    `reused` of their replies were kept from before; `cost` is of the requests sent now, `cost_in_all` of every one.
    """

    batch: str
    kind: str
    teacher: str
    dataset: str
    asked: int
    pending: int
    set_aside: dict[str, int] = {}
    surplus: int = 0
    requests: int
    reused: int
    cost: float | None
    cost_in_all: float | None
    candidates: tuple[str, ...] = ()
    details: tuple[dict[str, str], ...] = ()

    def sums(self) -> bool:
        """Whether everything asked for is accounted for."""
        return self.asked == self.pending + sum(self.set_aside.values())


class Shelf:
    """The files of one project's synthesis, below `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def replies(self) -> dict[str, dict[str, Any]]:
        """All replies kept, by key."""
        return {row["key"]: row for row in self._lines("replies")}

    def keep(self, key: str, text: str, cost: float | None) -> None:
        """Keep a reply. One caller at a time: whoever asks in threads sees to that (`outside.ask`)."""
        row = {"key": key, "text": text, "cost": cost, "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        self._add("replies", row)

    def batch(self, name: str) -> Synthesis | None:
        """The batch as it was made, or None."""
        path = self.path / "batches" / f"{name}.json"
        return read_json(path, Synthesis) if path.is_file() else None

    def finish(self, made: Synthesis, candidates: Iterable[Candidate]) -> None:
        """Put a batch's candidates on the shelf, each once, and its account beside them."""
        there = self.candidates()
        for candidate in candidates:
            if candidate.id not in there:
                self._add("candidates", candidate.model_dump(mode="json"))
        write_json(self.path / "batches" / f"{made.batch}.json", made.model_dump(mode="json"))

    def candidates(self) -> dict[str, Candidate]:
        """All candidates there ever were, by id, in the order they were made."""
        return {row["id"]: Candidate.model_validate(row) for row in self._lines("candidates")}

    def decisions(self) -> dict[str, dict[str, Any]]:
        """The last decision on each candidate that was decided on, in the order they were first decided."""
        return {row["candidate"]: row for row in self._lines("decisions")}

    def pending(self) -> list[Candidate]:
        """Candidates that nobody decided on."""
        decided = self.decisions()
        return [c for c in self.candidates().values() if c.id not in decided]

    def accepted(self) -> list[tuple[Candidate, dict[str, Any]]]:
        """Accepted candidates in the reviewer's words, with the decision."""
        there = self.candidates()
        taken = [(there[name], d) for name, d in self.decisions().items() if d["decision"] == "accept"]
        return [(c.reworded(d.get("input", c.input), d.get("output", c.output)), d) for c, d in taken]

    def find(self, names: Sequence[str]) -> list[Candidate]:
        """Candidates by id or its beginning. Raises `DataError` where none or several fit."""
        there = self.candidates()
        found = []
        for name in names:
            fits = [there[name]] if name in there else [c for c in there.values() if name and c.id.startswith(name)]
            if len(fits) != 1:
                raise DataError(
                    f"`{name}` fits {len(fits)} candidates.", remedy="See their ids: tunewright data review list"
                )
            found += fits
        return found

    def decide(self, candidate: Candidate, decision: Decision, *, by: str = "", note: str = "", edited: bool) -> None:
        """Write down what a person decided; `candidate` holds the words that were agreed to."""
        row: dict[str, Any] = {"candidate": candidate.id, "decision": decision, "date": time.strftime("%Y-%m-%d")}
        if edited:
            row |= {"edited": True, "input": candidate.input, "output": candidate.output}
        self._add("decisions", row | ({"by": by} if by else {}) | ({"note": note} if note else {}))

    def _lines(self, name: str) -> list[Any]:
        path = self.path / f"{name}.jsonl"
        return list(read_lines(path)) if path.is_file() else []

    def _add(self, name: str, row: Mapping[str, Any]) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        append_line(self.path / f"{name}.jsonl", row)


def candidate(draft: Draft, made: Mapping[str, Any], *, license: str | None, system: str | None) -> Candidate:
    """A draft that passed, as a candidate. `license` is the teacher's; `system` is
    put before every row when rows are read, so it need not stand in this one."""
    seed = draft.request.seeds[0]
    reworded = draft.request.kind == "paraphrase"
    said = turns.with_words(seed, draft.input, None if reworded else draft.output)
    if system and said[0].role == "system" and said[0].content == system:
        said = said[1:]
    return Candidate(
        id=digest(draft.request.kind, str(made["batch"]), draft.input, draft.output)[:12],
        turns=tuple(m.as_dict() for m in said),
        tools=tuple(dict(t) for t in seed.tools),
        label=draft.output if seed.label is not None else None,
        group=seed.group if reworded else None,
        license=_together([license, *(e.license for e in draft.request.seeds)]),
        rewords=turns.asked(seed.prompt) if reworded else None,
        made={
            **made,
            "kind": draft.request.kind,
            "target": draft.request.target,
            "rows": [e.row for e in draft.request.seeds],
        },
    )


def _together(licenses: Sequence[str | None]) -> str | None:
    """All licences at once, as an SPDX expression; one that nobody stated is said to be so. None where none is."""
    if not any(licenses):
        return None
    parts = sorted({text or "NOASSERTION" for text in licenses})
    return " AND ".join(f"({text})" if " " in text else text for text in parts) if len(parts) > 1 else parts[0]
