"""The column whose equal values stay in one split, looked for before anything is divided by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tunewright.data.files import read
from tunewright.data.rows import Source
from tunewright.errors import DataError

_SHOWN = 20


def grouped(sources: Sequence[Source], own: Sequence[bool]) -> None:
    """Raises `DataError` where a column that the recipe groups by is in no row: a slip of the pen would part groups.

    `own` says of each file whether the recipe names a column for it alone: that one must be in the file. The column
    for all, `data.split.group`, must be in one train file at least.
    """
    common: list[Source] = []
    for source, alone in zip(sources, own, strict=True):
        if source.group and alone:
            _found(source.group, [source], "group")
        elif source.group and not source.test and not source.rehearsal:
            common.append(source)
    if common and common[0].group:
        _found(common[0].group, common, "data.split.group")


def _found(column: str, sources: Sequence[Source], setting: str) -> None:
    """Reads no further than the first row that has the column."""
    there: dict[str, None] = {}
    for source in sources:
        for raw in read(source.path, source.split):
            if not isinstance(raw.value, Mapping):
                continue
            if column in raw.value:
                return
            there |= dict.fromkeys(map(str, raw.value))
    names = ", ".join(f"`{name}`" for name in list(there)[:_SHOWN])
    raise DataError(
        f"no row has a column `{column}`, whose equal values the recipe keeps in one split.",
        where=", ".join(source.name for source in sources),
        remedy=f"Columns there: {names}{', …' if len(there) > _SHOWN else ''}. Name one of them, or drop `{setting}`.",
    )
