"""The audit in one page: read, look, set aside, split, write."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.data import accepting, checks, folds, hub, learned, near, permits, presidio, suites, whole
from tunewright.data.files import format_of
from tunewright.data.fluency import Fluency
from tunewright.data.folders import snapshot
from tunewright.data.gates import gates_of
from tunewright.data.grouping import grouped
from tunewright.data.look import Look
from tunewright.data.progress import Progress, silent
from tunewright.data.recognition import recognise, turns
from tunewright.data.requests import gathered
from tunewright.data.rows import Source, rows
from tunewright.data.split import NAMES, TEST, TRAIN, VALIDATION, assign, clusters, rehearse, timed
from tunewright.data.suites import Asked
from tunewright.data.table import FAULTS, Table
from tunewright.data.together import one_a_code
from tunewright.data.version import write
from tunewright.errors import DataError
from tunewright.licences import Stated
from tunewright.recipe import DataSpec, GateSpec
from tunewright.records import DatasetRecord, Example, Finding, Gate, Ledger, Record, SourceFile, TokenFacts
from tunewright.store import tree_digest
from tunewright.text import Also, Redactor, normal

Count = Callable[[Example], TokenFacts]
_FORMS: dict[str, Callable[[str], str]] = {"text": normal, "strict": partial(normal, strict=True)}
_EVERY = 2000
_SEVERITIES = ("error", "warning", "info")


class Audit(Record):
    """What an audit found and made: the dataset version at `path`, the findings and the gates over them."""

    dataset: DatasetRecord
    path: Path
    findings: tuple[Finding, ...]
    gates: tuple[Gate, ...]
    fluency: Fluency | None = None

    def as_dict(self) -> dict[str, Any]:
        """The audit as `check --json` prints it, but for the report's path."""
        return {
            "ledger": self.dataset.ledger.model_dump(),
            "tokens": self.dataset.tokens.model_dump() if self.dataset.tokens else None,
            "tokens_per_word": self.fluency.model_dump() if self.fluency else None,
            "findings": [f.model_dump(mode="json") for f in self.findings],
            "splits": dict(self.dataset.splits),
            "synthetic": self.dataset.synthetic,
            "folds": list(self.dataset.folds),
            "dataset": str(self.path.absolute()),
            "gates": [g.model_dump(mode="json") for g in self.gates],
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of each row: `reason` an index into `names` (0: used), `changed`, new answers
    by row, and what each row's weight is multiplied by."""

    names: tuple[str, ...]
    reason: np.ndarray
    changed: np.ndarray
    answers: dict[int, str]
    weights: np.ndarray | None = None

    def without(self, code: str, mask: np.ndarray) -> Outcome:
        """The same with the rows of `mask` set aside as `code`."""
        names = tuple(dict.fromkeys((*self.names, code)))
        return dataclasses.replace(
            self, names=names, reason=np.where(mask, names.index(code), self.reason), changed=self.changed & ~mask
        )


def audit(
    spec: DataSpec,
    *,
    root: Path,
    store: Path,
    tokens: Count | None = None,
    pieces: Callable[[str], int] | None = None,
    gates: GateSpec | None = None,
    allow: Mapping[str, str] | None = None,
    use: str = "commercial",
    base: Stated | None = None,
    asked: Sequence[Asked] = (),
    embed: learned.Embed | None = None,
    thinking: bool = False,
    progress: Progress = silent,
) -> Audit:
    """Read all files of `spec` (paths relative to `root`), report what is wrong, and write the dataset version.

    The version lies under `store / "datasets" / ID` and never changes; the same files and settings give the same
    one. `tokens` counts tokens of an example under the model's template; without it nothing is said of length. `pieces`
    counts a plain text's, to tell whether the tokenizer knows the language. `allow` passes gates by name, with a
    reason. `use` ("commercial", "research") is what licences must permit, `base` what is said of the base's licence.
    `asked` are questions of suites with files of their own: what trains is held apart from them as from a test.
    `embed` makes vectors of texts, to tell sameness of meaning by; without it their words tell. `thinking`: what was
    thought before an answer is read. `progress` is told in
    every phase what is counted, how many are done, and of how many (None: not known).

    Raises `DataError` when a file cannot be used at all and when no train row is left.
    """
    accepting.known(spec.accept)
    also = presidio.recognisers() if spec.personal == "presidio" else None
    sources = _sources(spec, root, store, thinking)
    with Table(_FORMS[spec.normal], sources, also) as table:
        _fill(table, tokens, _redactor(spec.accept, also), progress)
        table.close()
        really = gathered(_requests(spec, root, store), table.normal, spec.input)
        look = Look(table, use, base, pieces, asked, embed, progress, really)
        findings, outcome = _examine(look, spec)
        _some_left(table, outcome, findings)
        split, held, outcome = _divided(look, outcome, spec)
        record = _record(look, outcome, split, held, counted=tokens is not None)
        path, record = write(store / "datasets", record, table, split, held, outcome.answers, outcome.weights, progress)
        barred = int((permits.barred_rows(table, use) & (split >= 0)).sum())
    return Audit(
        dataset=record,
        path=path,
        findings=tuple(findings),
        fluency=look.fluency,
        gates=gates_of(record.ledger, findings, gates, allow, barred=barred, base=base, use=use),
    )


def _divided(look: Look, outcome: Outcome, spec: DataSpec) -> tuple[np.ndarray, np.ndarray, Outcome]:
    """The split and the fold of every row, and what becomes of those that rehearsal had no use for."""
    table, how, used = look.table, spec.split, outcome.reason == 0
    real = table.c["synthetic"] == 0
    if how.time:
        timed(table, used, how.time)
    labelled, count = bool(look.labels), folds.wanted(spec, int((table.train & used & real).sum()))
    held = np.zeros(len(table), np.int16)
    if count:
        together = clusters(table, look.near.pairs, parts=min(count, 20))
        held = folds.assign(table, used, together, spec, labelled, count)
    if held.any():
        split = np.where(table.train & used, TRAIN, -1).astype(np.int8)
    else:
        together, shares = clusters(table, look.near.pairs), (how.test, how.validation)
        split = assign(table, used, together, shares, how.seed, labelled, by_time=how.time is not None)
    if spec.rehearsal:
        judging = (split == TEST) | (split == VALIDATION) | (real & (held > 0))
        split, leaks, spare = rehearse(table, used, split, judging, spec.rehearsal.share, how.seed)
        outcome = outcome.without("leak_exact", leaks).without("not_drawn", spare)
    if accepting.WEIGHING in spec.accept:
        outcome = dataclasses.replace(outcome, weights=accepting.weighed(look, split == 0))
    return split, held, outcome


def _record(look: Look, outcome: Outcome, split: np.ndarray, held: np.ndarray, *, counted: bool) -> DatasetRecord:
    """What there is to say of the version but for its id, which comes of its rows."""
    table = look.table
    sizes = {name: int((split == k).sum()) for k, name in enumerate(NAMES)}
    return DatasetRecord(
        id="",
        sources=tuple(_file(s, table, i) for i, s in enumerate(table.sources)),
        ledger=_ledger(table, outcome),
        splits={name: n for name, n in sizes.items() if n or name != "rehearsal"},
        folds=folds.sizes(table, held),
        labels=look.labels,
        synthetic=int((split[table.c["synthetic"] > 0] >= 0).sum()),
        tokens=_token_ledger(table, outcome) if counted else None,
    )


def _sources(spec: DataSpec, root: Path, store: Path, thinking: bool) -> list[Source]:
    given = [(s, "train") for s in spec.train] + [(s, "test") for s in spec.test]
    given += [(s, "rehearsal") for s in spec.rehearsal.files] if spec.rehearsal else []
    kept = [_kept(s, root, store / "inputs") for s, _ in given]
    paths = [k.path for k in kept]
    files = [(k.path.name, k.split) for k in kept]
    columns: dict[str, Any] = {"input": spec.input, "output": spec.output}
    for path in paths:
        format_of(path)
    sources = [
        Source(
            given=known.given + _part(known),
            path=path,
            name=(path.name if files.count((path.name, known.split)) == 1 else str(source.path)) + _part(known),
            reading=recognise(
                path,
                split=known.split,
                thinking=thinking,
                **({} if part == "rehearsal" or (source.synthetic and turns(path, known.split)) else columns),
            ),
            test=part == "test",
            rehearsal=part == "rehearsal",
            group=source.group or spec.split.group,
            time=None if part == "rehearsal" else spec.split.time,
            system=spec.system,
            license=source.license,
            weight=source.weight,
            synthetic=source.synthetic,
            split=known.split,
            thinking=thinking,
        )
        for (source, part), known, path in zip(given, kept, paths, strict=True)
    ]
    grouped(sources, [bool(source.group) for source, _ in given])
    return sources


def _kept(source: Any, root: Path, inputs: Path) -> hub.Kept:
    """Where a source of the recipe lies as a file; what a database or the hub has is kept under `inputs`."""
    if source.query:
        return hub.Kept(snapshot(source.path, source.query, inputs, root), source.query)
    if source.path.startswith(hub.PREFIX):
        return hub.fetch(source.path, source.revision, source.config, source.split, inputs)
    return hub.Kept(root / source.path, source.path, source.split or "")


def _part(kept: hub.Kept) -> str:
    """What tells a split from the others of its file, where rows are named."""
    return f"[{kept.split}]" if kept.split else ""


def _requests(spec: DataSpec, root: Path, store: Path) -> list[tuple[str, Path]]:
    """What the rows of each file of requests are called after, and where it lies."""
    paths = [_kept(s, root, store / "inputs").path for s in spec.requests]
    files = [p.name for p in paths]
    return [(p.name if files.count(p.name) == 1 else s.path, p) for s, p in zip(spec.requests, paths, strict=True)]


def _redactor(accept: Sequence[str], also: Also | None) -> Callable[[str], str] | None:
    """What replaces personal data and secrets, as far as that was accepted. URLs are neither."""
    kinds = {code == "secret" for code in accept if code in accepting.REDACTED}
    if not kinds:
        return None
    redactor = Redactor(also)
    return lambda text: redactor(text, lambda span: span.secret in kinds and span.kind != "url")


def _fill(table: Table, tokens: Count | None, redact: Callable[[str], str] | None, progress: Progress) -> None:
    for i, source in enumerate(table.sources):
        for row in rows(source, redact):
            example = row.example
            table.add(i, row, tokens(example) if tokens and example else None)
            if len(table) % _EVERY == 0:
                progress("rows read", len(table), None)
    progress("rows read", len(table), len(table))


def _examine(look: Look, spec: DataSpec) -> tuple[list[Finding], Outcome]:
    """All findings, and what becomes of the rows: each is set aside once, for the first reason that holds."""
    table, accept = look.table, spec.accept
    doubled, surplus = checks.exact_duplicates(table)
    leaked, leaking = checks.exact_leaks(table)
    leaking = leaking | look.shared.rows(table, look.shared.exact)
    cut, unsupervised = checks.tokens(table)
    findings = [
        *checks.noted(table),
        *checks.encoding(table),
        *doubled,
        *leaked,
        *checks.contradictions(table),
        *near.findings(table, look.near),
        *cut,
        *whole.lengths(table),
        *whole.labels(table, look.labels),
        *whole.languages(table, look.fluency),
        *whole.style(table, look.labels),
        *permits.licences(table, look.use, look.base),
        *learned.suspects(table, look.doubtful),
        *learned.mispaired(table, look.swapped),
        *learned.meanings(table, look.same_meaning, spec.embedding if look.embed else "words"),
        *look.shift,
        *look.gaps,
        *suites.findings(table, look.shared),
    ]
    findings = one_a_code(findings)
    findings.sort(key=lambda f: _SEVERITIES.index(f.severity))
    reasons = {"exact_duplicate": surplus, "leak_exact": leaking}
    reasons |= {"unwritable": checks.unwritable(table), "unsupervised": unsupervised}
    reasons |= {code: accepting.DROPS[code](look) for code in accept if code in accepting.DROPS}
    # A fault and its accepted finding have one name in the ledger, as they have one code.
    names = tuple(dict.fromkeys((*FAULTS, *reasons)))
    reason = table.c["fault"].astype(np.int16)
    for code, mask in reasons.items():
        reason[(reason == 0) & mask] = names.index(code)
    answers = accepting.respelt(look) if accepting.SPELLING in accept else {}
    changed = (table.c["changed"] > 0) | (table.c["lost"] > 0)
    changed[list(answers)] = True
    return findings, Outcome(names, reason, changed & (reason == 0), answers)


def _ledger(table: Table, outcome: Outcome) -> Ledger:
    counts = np.bincount(outcome.reason, minlength=len(outcome.names))
    changed = int(outcome.changed.sum())
    return Ledger(
        read=len(table),
        kept=int(counts[0]) - changed,
        changed=changed,
        set_aside={name: int(n) for name, n in zip(outcome.names[1:], counts[1:], strict=True) if n},
    )


def _token_ledger(table: Table, outcome: Outcome) -> Ledger:
    """Supervised tokens: those cut from used rows are set aside too, as `truncation`."""
    supervised, lost = table.c["supervised"].astype(np.int64), table.c["lost"].astype(np.int64)
    used = outcome.reason == 0
    aside = {name: int(supervised[outcome.reason == k].sum()) for k, name in enumerate(outcome.names) if k and name}
    # Rows set aside for their length, where that was accepted, are there already.
    aside["truncation"] = aside.get("truncation", 0) + int(lost[used].sum())
    left = np.where(used, supervised - lost, 0)
    return Ledger(
        read=int(supervised.sum()),
        kept=int(left[~outcome.changed].sum()),
        changed=int(left[outcome.changed].sum()),
        set_aside={name: n for name, n in aside.items() if n},
    )


def _file(source: Source, table: Table, i: int) -> SourceFile:
    return SourceFile(
        path=source.given,
        sha256=tree_digest(source.path),
        rows=int((table.c["source"] == i).sum()),
        license=source.license,
        shape=source.reading.shape,
        reason=source.reading.reason,
        not_read=source.reading.not_read,
    )


def _some_left(table: Table, outcome: Outcome, findings: list[Finding]) -> None:
    """Raises `DataError` when no train row is left."""
    if (table.train & (outcome.reason == 0)).any():
        return
    # What the rows were set aside for, and not what else is found in them.
    mine = np.array([not s.test and not s.rehearsal for s in table.sources])[table.c["source"]]
    gone = np.bincount(outcome.reason[mine], minlength=len(outcome.names))
    reason = outcome.names[int(gone[1:].argmax()) + 1] if gone[1:].any() else ""
    worst = next((f.message for f in findings if f.code == reason), reason)
    leaks = " Name a test file that asks something else, or none: then some rows are held out."
    raise DataError(
        "no row is left to train on.",
        where=", ".join(s.name for s in table.sources if not s.test),
        remedy=f"Most of it: {worst}{leaks if reason == 'leak_exact' else ''}" if reason else "The files hold no rows.",
    )
