"""Rows drafted by a teacher model, and what people make of them: asked for, sifted, pending, reviewed, then a source.

Nothing trains on a draft until a person has taken it. Whoever drafts is shown training rows and nothing else.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.data import versions
from tunewright.engine import Endpoint, Sampling
from tunewright.errors import Interrupted, RecipeError
from tunewright.joins import remote
from tunewright.joins.amending import add_source
from tunewright.joins.questions import questions_of
from tunewright.joins.workshop import Project
from tunewright.records import DatasetRecord, Example, Message
from tunewright.store import digest, write_text
from tunewright.synthesis import Shelf, Sieve, Synthesis, Wish, candidate, drafts, requests, sheet

# The file beside the recipe that holds accepted rows.
SOURCE = "synthetic.jsonl"
_DETAILS = 1_000
# Tokens a reply may have: a character is rarely a token of its own.
_LEAST_TOKENS, _MOST_TOKENS, _ROWS_AT_ONCE = 512, 8192, 5


def shelf(project: Project) -> Shelf:
    """Where the project's candidates wait."""
    return Shelf(project.folder.store / "synthesis")


def synthesise(
    project: Project,
    *,
    kind: str = "paraphrase",
    count: int = 20,
    seed: int = 0,
    only: Sequence[str] = (),
    slice: str | None = None,
) -> Synthesis:
    """Ask the recipe's teacher for `count` rows and put those that pass every filter on the shelf, pending review.

    `kind`: `paraphrase` (new wordings, the answers kept), `augment` (new rows for the rarest classes) or `generate`
    (new rows like the training rows). `only` names classes to aim at; `slice` the field of JSON answers that makes
    classes. Replies are kept in the project: what was answered is not asked again, and the same call gives the same
    batch. Raises `RecipeError` (no teacher, or privacy forbids asking), `DataError` (no row serves), `EndpointError`.
    """
    endpoint = _teacher(project)
    spec, kept = project.recipe.teacher, shelf(project)
    assert spec is not None
    with project.tell.stage("synthesise") as found:
        dataset = project.audit.dataset
        rows = [e for e in project.train_examples if not e.synthetic]
        wish = Wish(kind, count, seed, tuple(only), slice, spec.examples, project.recipe.task)
        asked = requests(rows, wish, dataset.labels)
        sampling = Sampling(max_new_tokens=spec.max_tokens or _longest(rows), temperature=spec.temperature, seed=seed)
        keys = [digest(endpoint.identity, sampling.key(), *(m["content"] for m in r.messages)) for r in asked]
        batch = digest(dataset.id, spec.license or "", *keys)[:12]
        made = kept.batch(batch)
        if made is None:
            replies = _ask(project, kept, endpoint, sampling, dict(zip(keys, asked, strict=True)))
            made = _sifted(project, kept, batch, asked, [replies[key] for key in keys])
        else:
            made = made.model_copy(update={"reused": made.requests, "cost": 0.0 if spec.prices else None})
        found.append(_words(made))
    return made


def _teacher(project: Project) -> Endpoint:
    """The recipe's teacher, as far as its privacy allows."""
    spec = project.recipe.teacher
    if spec is None:
        raise RecipeError(
            "names no teacher.", where="teacher", remedy="teacher: {url: …, model: …}; or: --url URL --model NAME"
        )
    return remote.server(spec, privacy=project.recipe.privacy, where="teacher")


def _longest(rows: Sequence[Example]) -> int:
    """Tokens a reply may have: five of the longest rows, and the JSON around them."""
    longest = max((sum(len(m.content) for m in e.messages if m.role != "system") for e in rows), default=0)
    return min(_MOST_TOKENS, max(_LEAST_TOKENS, _ROWS_AT_ONCE * longest))


@dataclass(frozen=True, slots=True)
class _Reply:
    """What came of one request: its words, or why the server would not answer; `sent` now, or known from before."""

    text: str
    cost: float | None
    date: str = ""
    refused: str = ""
    sent: bool = False


def _ask(
    project: Project, kept: Shelf, endpoint: Endpoint, sampling: Sampling, asked: Mapping[str, Any]
) -> dict[str, _Reply]:
    """All replies by key. Each is kept the moment it is there."""
    before = kept.replies()
    missing = {key: asked[key].messages for key in asked if key not in before}

    def done(number: int) -> None:
        if project.should_stop():
            raise Interrupted("stopped; all replies are kept.", remedy="The same command goes on where it stopped.")
        project.tell.progress("synthesise", number, len(missing), "requests")

    refused = remote.ask(endpoint, missing, sampling, kept.keep, done, known=len(asked) - len(missing))
    found = {key: _Reply("", one.cost, refused=one.why, sent=True) for key, one in refused.items()}
    for key, row in kept.replies().items():
        if key in asked:
            found[key] = _Reply(row["text"], row["cost"], row["date"], sent=key in missing)
    return found


def _sifted(
    project: Project,
    kept: Shelf,
    batch: str,
    asked: Sequence[Any],
    replies: Sequence[_Reply],
) -> Synthesis:
    """The batch's account, with its candidates put on the shelf."""
    spec = project.recipe.teacher
    assert spec is not None
    told = enumerate(zip(asked, replies, strict=True))
    read = [drafts(request, i, reply.text, refused=reply.refused) for i, (request, reply) in told]
    every = [draft for found, _ in read for draft in found]
    earlier = [c.asked for c in kept.candidates().values() if c.made["batch"] != batch]
    found = _sieve(project, earlier).sift(every)
    candidates = []
    for draft, (reason, _) in zip(every, found, strict=True):
        reply = replies[draft.place]
        if not reason:
            cost = None if reply.cost is None else reply.cost / draft.request.wanted
            made = {"teacher": spec.model, "url": spec.url, "date": reply.date, "cost": cost, "batch": batch}
            candidates.append(candidate(draft, made, license=spec.license, system=project.recipe.data.system))
    details = [
        {"reason": reason, "detail": detail, "input": draft.input[:500], "output": draft.output[:500]}
        for draft, (reason, detail) in zip(every, found, strict=True)
        if reason
    ]
    done = Synthesis(
        batch=batch,
        kind=asked[0].kind,
        teacher=spec.model,
        dataset=project.audit.dataset.id,
        asked=len(every),
        pending=len(candidates),
        set_aside=dict(Counter(d["reason"] for d in details)),
        surplus=sum(more for _, more in read),
        requests=len(asked),
        reused=sum(not reply.sent for reply in replies),
        cost=_sum(reply.cost for reply in replies if reply.sent) if spec.prices else None,
        cost_in_all=_sum(reply.cost for reply in replies),
        candidates=tuple(c.id for c in candidates),
        details=tuple(details[:_DETAILS]),
    )
    kept.finish(done, candidates)
    return done


def _sum(costs: Any) -> float | None:
    known = list(costs)
    return None if None in known else float(sum(known))


def _sieve(project: Project, earlier: Sequence[str] = ()) -> Sieve:
    """The sieve over the project's data as it is now."""
    return Sieve(
        project.train_examples,
        _judged(project),
        earlier,
        labels=project.audit.dataset.labels,
        strict=project.recipe.data.normal == "strict",
    )


def _judged(project: Project) -> dict[str, Sequence[Message]]:
    """What validation and test ask, and every suite with a file of its own, by name."""
    found: dict[str, Sequence[Message]] = {}
    for split in ("validation", "test"):
        found |= {e.row: e.prompt for e in project.examples(split)}
    for one in questions_of(project.recipe, project.folder.root):
        found[f"{one.suite} {one.case}"] = [Message("user", turn) for turn in one.turns]
    return found


def _words(made: Synthesis) -> str:
    aside = ", ".join(f"{n:,} {reason.replace('_', ' ')}" for reason, n in sorted(made.set_aside.items()))
    cost = f" · cost {made.cost:.4f}" if made.cost is not None else ""
    return (
        f"{made.asked:,} rows asked of {made.teacher} · {made.pending:,} pending review"
        + (f" · set aside: {aside}" if aside else "")
        + f" · {made.requests - made.reused:,} requests sent, {made.reused:,} known{cost}"
    )


@dataclass(frozen=True)
class Reviewed:
    """What a review decided: ids `accepted` and `rejected`; `refused` could not be accepted, with the reason. `rows`
    accepted rows are now in `file`; `pending` candidates still wait."""

    accepted: tuple[str, ...]
    rejected: tuple[str, ...]
    refused: dict[str, str]
    pending: int
    rows: int
    file: Path


def decide(
    project: Project,
    *,
    accept: Sequence[str] = (),
    reject: Sequence[str] = (),
    by: str = "",
    filled: Path | None = None,
) -> Reviewed:
    """Write down what a person decided, by candidates' ids or by a filled sheet, and write the accepted rows.

    A row is held against the data as it is now before it is taken, in the reviewer's words; what asks what judges, or
    what trains already, or has another form than the rows, is refused and waits on. Raises `DataError` for an unknown
    id and for a sheet that is none.
    """
    kept = shelf(project)
    verdicts = [(c, c, "accept", "") for c in kept.find(accept)] + [(c, c, "reject", "") for c in kept.find(reject)]
    lines = sheet.read(filled) if filled else []
    for line, one in zip(lines, kept.find([line.candidate for line in lines]), strict=True):
        verdicts.append((one, one.reworded(line.input, line.output), line.decision, line.note))
    before = {c.id: c for c, _ in kept.accepted()}
    # The newest word on a candidate counts.
    latest = {old.id: (old, new, said, note) for old, new, said, note in verdicts}
    sieve = _sieve(project) if any(said == "accept" for _, _, said, _ in latest.values()) else None
    done: dict[str, list[str]] = {"accept": [], "reject": []}
    refused: dict[str, str] = {}
    for old, new, said, note in latest.values():
        if said == "accept" and before.get(old.id) != new and sieve is not None:
            reason, detail = sieve.barred(new)
            if reason:
                refused[old.id] = f"{reason}: {detail}" if detail else reason
                continue
        kept.decide(new, "accept" if said == "accept" else "reject", by=by, note=note, edited=new != old)
        done[said].append(old.id)
    rows = _write(project, kept)
    waiting, file = len(kept.pending()), project.folder.root / SOURCE
    return Reviewed(tuple(done["accept"]), tuple(done["reject"]), refused, waiting, rows, file)


def _write(project: Project, kept: Shelf) -> int:
    """Write the accepted rows beside the recipe; without any there is no file."""
    rows = [one.row(decided) for one, decided in kept.accepted()]
    path = project.folder.root / SOURCE
    if rows:
        write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    else:
        path.unlink(missing_ok=True)
    return len(rows)


def keep(project: Project) -> DatasetRecord:
    """Name the accepted rows in the recipe as a synthetic source, and make the dataset version that has them.

    The version names the one before as its parent. Raises `RecipeError` when no row is accepted or the recipe cannot
    take the line, and as an audit does.
    """
    rows = shelf(project).accepted()
    if not rows:
        raise RecipeError("no candidate is accepted yet.", remedy="See what waits: tunewright data review list")
    before = project.audit.dataset
    spec, given = add_source(project.folder.recipe, SOURCE)
    after = dataclasses.replace(project, recipe=spec, given=given).audit
    teachers = ", ".join(sorted({str(one.made["teacher"]) for one, _ in rows}))
    return versions.adopt(after.path, before.id, f"{len(rows):,} reviewed rows drafted by {teachers}")
