"""Whether the rows and the base may be used for this: by source, and by what is said of the base's licence."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from tunewright.data.table import Table
from tunewright.licences import Stated, Terms, terms_of
from tunewright.records import Finding
from tunewright.text import said


def barred_rows(table: Table, use: str) -> np.ndarray:
    """Usable rows whose licence forbids `use` ("commercial" or "research")."""
    return _under(table, lambda terms: _forbids(terms, use))


def bars(base: Stated | None, use: str) -> bool:
    """Whether the base's licence forbids `use`."""
    return base is not None and _forbids(terms_of(base.text), use)


def _forbids(terms: Terms, use: str) -> bool:
    return use == "commercial" and terms.commercial == "no"


def _under(table: Table, holds: Callable[[Terms], bool]) -> np.ndarray:
    """Usable rows under a licence of whose terms this holds; a row that states none has those of no licence."""
    ids = [i for text, i in table.licenses.items() if holds(terms_of(text))]
    return np.isin(table.c["license"], [0, *ids] if holds(terms_of(None)) else ids) & (table.c["fault"] == 0)


def licences(table: Table, use: str, base: Stated | None) -> Iterator[Finding]:
    """`license`: rows, or a base, that may not be used for this; `provenance_missing`: of which nobody said."""
    rows = np.flatnonzero(barred_rows(table, use))
    if len(rows) or bars(base, use):
        yield _barred(table, rows, base if bars(base, use) else None)
    unsaid, odd = _of(table, "unsaid"), _of(table, "unknown")
    quiet = base if base and terms_of(base.text).commercial in ("unsaid", "unknown") else None
    if len(unsaid) or len(odd) or quiet:
        yield _unsaid(table, unsaid, odd, quiet)


def _of(table: Table, commercial: str) -> np.ndarray:
    return np.flatnonzero(_under(table, lambda terms: terms.commercial == commercial))


def _barred(table: Table, rows: np.ndarray, base: Stated | None) -> Finding:
    which = _texts(table, rows)
    evidence: dict[str, object] = {"licenses": which, "sources": _sources(table, rows)}
    told, remedies = [], []
    if len(rows):
        synthetic = int((table.c["synthetic"][rows] > 0).sum())
        made = f"; {synthetic:,} of them made by a model" if synthetic else ""
        told.append(f"{said(len(rows), 'row')} may not be used commercially ({', '.join(which)}){made}")
        remedies.append("Leave the file out; to drop the rows: tunewright data fix --accept license.")
    if base:
        terms = terms_of(base.text)
        evidence["base"] = {"name": base.owner, "license": terms.name, "read_from": base.where}
        note = f": {terms.note}" if terms.note else ""
        told.append(f"the base {base.owner} may not be used commercially ({terms.name}{note})")
        remedies.append("Choose another base, or say in the recipe which licence you hold: model: {id: …, license: …}.")
    return Finding(
        code="license",
        severity="error",
        count=len(rows) + (base is not None),
        rows=table.names(rows),
        evidence=evidence,
        message=f"{'; '.join(told)}.",
        remedy=f"{' '.join(remedies)} Or set `use: research`, if that is what this is.",
    )


def _unsaid(table: Table, rows: np.ndarray, odd: np.ndarray, base: Stated | None) -> Finding:
    """One finding that names files: of each row in them there is nothing else to say."""
    told, remedies = [], []
    sources = _sources(table, rows)
    evidence: dict[str, object] = {"sources": sources}
    if sources:
        told.append(f"no licence is stated for {_some(sources)}")
        remedies.append("Say it in the recipe, data.train: [{path: …, license: MIT}], or with --license.")
    if len(odd):
        texts, files = _texts(table, odd), _sources(table, odd)
        evidence["unknown"] = {"licenses": texts, "sources": files}
        names = _some([f"“{text}”" for text in texts])
        told.append(f"{names} is no licence that is known here, so that of {_some(files)} counts as unknown")
        remedies.append("Check its spelling: SPDX ids are MIT, CC-BY-4.0 and the like. What your own allow, you know.")
    if base:
        terms = terms_of(base.text)
        evidence["base"] = {"name": base.owner, "license": base.text, "read_from": base.where}
        stated = f"the base {base.owner} is under “{terms.name}”, and what that allows is not known here"
        told.append(stated if terms.commercial == "unknown" else f"no licence is stated for the base {base.owner}")
        remedies.append("Read its card, and say the licence in the recipe: model: {id: …, license: …}")
    return Finding(
        code="provenance_missing",
        severity="info",
        count=len(rows) + len(odd) + (base is not None),
        evidence=evidence,
        message=f"{'; '.join(told)}.",
        remedy=" ".join(remedies),
    )


def _texts(table: Table, rows: np.ndarray) -> list[str]:
    """The licences of these rows, as they are written."""
    stated = set(table.c["license"][rows].tolist())
    return sorted(text for text, i in table.licenses.items() if i in stated)


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


def _sources(table: Table, rows: np.ndarray) -> list[str]:
    return sorted({table.sources[int(s)].given for s in np.unique(table.c["source"][rows])})
