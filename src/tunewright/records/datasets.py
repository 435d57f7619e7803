"""An immutable dataset version and the account of its rows."""

from __future__ import annotations

from tunewright.records.record import Record


class Ledger(Record):
    """Every row read is kept, changed (and used) or set aside for one named reason."""

    read: int
    kept: int
    changed: int = 0
    set_aside: dict[str, int] = {}

    @property
    def used(self) -> int:
        return self.kept + self.changed

    def sums(self) -> bool:
        return self.read == self.kept + self.changed + sum(self.set_aside.values())


class SourceFile(Record):
    """A file the dataset was made from, as it was then, how it was read, and the fields with words that were not."""

    path: str
    sha256: str
    rows: int
    license: str | None = None
    shape: str
    reason: str
    not_read: tuple[str, ...] = ()


class DatasetRecord(Record):
    """An immutable dataset version; `id` is the hash of its rows and their split. `synthetic` counts used rows.

    `folds` are the rows held out in each fold, which are all in the split `train`; empty without folds.
    """

    id: str
    sources: tuple[SourceFile, ...]
    ledger: Ledger
    splits: dict[str, int]
    folds: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    synthetic: int = 0
    tokens: Ledger | None = None
    parent: str | None = None
    note: str = ""
