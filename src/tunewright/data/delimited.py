"""Tables as text: cells between separators, some in quotes, and quotes that close nothing because they are text."""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

from tunewright.data.lines import lines

_SAMPLE = 10_000
# A record that runs over more lines than the first, and has the wrong fields, has an open quote; so has any that runs
# over more than the second.
_SWALLOWED, _LONGEST = 50, 10_000
# Separators that sentences hold too: that a line has as many as the header may be chance.
_IN_PROSE = ",;"
_SHORT = 100
_QUOTED = re.compile(r'"([^"]*(?:""[^"]*)*)"')


def table(path: Path, mark: str | None) -> Iterator[tuple[dict[str, str] | None, str, bool]]:
    """Each record below the header by column names, what is wrong with it (or nothing), and whether it was repaired.

    `mark` separates cells; None takes the one that the header has most of. Quotes are read as RFC 4180 has them: a cell
    in quotes may hold separators and line breaks, and its quotes doubled. Where they are not closed so they are text,
    and the lines behind are records of their own: no row is lost in another's cell.
    """
    names: list[str] = []
    for cells, fault, repaired in _Reader(path, mark or _separator(path)).records():
        if fault:
            yield None, fault, repaired
        elif names:
            yield dict(zip(names, cells, strict=False)), "", repaired
        else:
            names = _names(cells)


def _names(cells: list[str]) -> list[str]:
    """Column names, each once: unnamed ones are called by their place."""
    names: list[str] = []
    for i, cell in enumerate(cells, 1):
        name = cell.strip() or f"column {i}"
        names.append(name if name not in names else f"{name} ({i})")
    return names


def _separator(path: Path) -> str:
    """The separator whose count in the header is largest; a comma where none is found."""
    first = next((line for line, _ in lines(path) if line.strip()), "")
    return max(",;\t|", key=lambda mark: (first.count(mark), mark == ","))


class _Lines:
    """Lines for the csv reader. Those of the record it is in are held, and can be given back to be read once more.

    `open`: a quote was still open behind the last line, or for longer than any cell is.
    """

    def __init__(self, source: Iterator[tuple[str, bool]]) -> None:
        self._source = source
        self._again: deque[tuple[str, bool]] = deque()
        self.held: list[tuple[str, bool]] = []
        self.open = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self.held) >= _LONGEST:
            self.open = True
            raise csv.Error("a cell of too many lines")
        if self._again:
            line, repaired = self._again.popleft()
        else:
            try:
                line, repaired = next(self._source)
            except StopIteration:
                # Only an open quote makes the reader ask for lines behind the last one.
                self.open = bool(self.held)
                raise
            line = line.replace("\0", "")
        self.held.append((line, repaired))
        return line

    def begin(self) -> None:
        """A new record begins."""
        self.held, self.open = [], False

    def keep_first(self) -> None:
        """Only the first line held is of this record; the others are read again."""
        self._again.extendleft(reversed(self.held[1:]))
        del self.held[1:]


class _Reader:
    """Records of a table, and what is a row in it where quotes do not say so."""

    def __init__(self, path: Path, mark: str) -> None:
        self.path, self.mark, self.width = path, mark, 0

    def records(self) -> Iterator[tuple[list[str], str, bool]]:
        """Cells of each record (the first is the header), what is wrong with it, and whether it was repaired."""
        csv.field_size_limit(2**31 - 1)
        bare = self.mark not in _IN_PROSE and _bare(self.path, self.mark)
        source = _Lines(lines(self.path))
        quoting: Literal[0, 3] = csv.QUOTE_NONE if bare else csv.QUOTE_MINIMAL
        reader = csv.reader(source, delimiter=self.mark, quoting=quoting, strict=True)
        while True:
            source.begin()
            fault = ""
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                cells = self._broken(source)
                why = "a quote that opens here is not closed" if source.open else f"not a row of a table: {error}"
                fault = "" if cells else why
            else:
                if len(source.held) > 1 and self._swallowed(cells, source.held):
                    source.keep_first()
                    cells = self._apart(source.held[0][0])
                elif bare and not (self.width and self._fits(cells)):
                    cells = self._alone(source.held[0][0]) or cells
                if not any(map(str.strip, cells)):
                    continue
            self.width = self.width or len(cells)
            if len(cells) != self.width and not (fault or self._fits(cells)):
                fault = f"{len(cells)} fields where the header has {self.width}"
            repaired = source.held[0][1] or (len(source.held) > 1 and any(mended for _, mended in source.held))
            yield cells, fault, repaired

    def _fits(self, cells: Sequence[str]) -> bool:
        """Whether these are as many cells as the header's, empty ones behind them aside. Every header fits."""
        width = self.width or len(cells)
        return len(cells) == width or (len(cells) > width and not any(map(str.strip, cells[width:])))

    def _broken(self, source: _Lines) -> list[str]:
        """The cells of a record with a quote that is not closed as it should be; [] where they cannot be told.

        Lines that are rows by themselves stay rows, and are given back. Else the record is one whose writer did not
        double the quotes in it.
        """
        held = [line for line, _ in source.held]
        if self.width and not source.open and not all(map(self._row, held)) and (cells := self._undoubled(held)):
            return cells
        source.keep_first()
        first = self._apart(held[0])
        # A carriage return within a line is a fault of its own.
        return first if self._fits(first) and "\r" not in held[0].rstrip("\r\n") else []

    def _undoubled(self, held: list[str]) -> list[str]:
        """The cells of a record whose quotes are closed by a separator alone; [] where that gives no row."""
        given = [*held[:-1], held[-1].rstrip("\r\n") + "\n"]
        try:
            cells = next(csv.reader(given, delimiter=self.mark))
        except csv.Error:
            return []
        # A line's end in a cell is that of the last line: another quote is open there.
        return cells if self._fits(cells) and not any(cell.endswith("\n") for cell in cells) else []

    def _swallowed(self, cells: list[str], held: Sequence[tuple[str, bool]]) -> bool:
        """Whether quotes that close hold rows of their own, not the lines of one cell."""
        if not self._fits(cells) and len(held) > _SWALLOWED:
            return True
        if self.width < 2 or not all(self._fits(self._apart(line)) for line, _ in held):
            return False
        return not self._fits(cells) or self.mark not in _IN_PROSE or all(self._known(line) for line, _ in held)

    def _row(self, line: str) -> bool:
        return self._fits(self._apart(line)) or bool(self._alone(line))

    def _apart(self, line: str) -> list[str]:
        """The cells of a line by its separators alone; quotes that stand around a whole cell are taken off."""
        cells = line.rstrip("\r\n").split(self.mark)
        around = (cell[:1] == '"' and _QUOTED.fullmatch(cell) for cell in cells)
        return [m[1].replace('""', '"') if m else cell for m, cell in zip(around, cells, strict=True)]

    def _alone(self, line: str) -> list[str]:
        """The cells of a line that is a row by itself, quotes read as RFC 4180 has them; else []."""
        try:
            cells = next(csv.reader([line], delimiter=self.mark, strict=True), [])
        except csv.Error:
            return []
        return cells if self._fits(cells) else []

    def _known(self, line: str) -> bool:
        """Whether a cell of a line is one that other rows have in the same column, as labels are."""
        return any((i, cell) in self._values for i, cell in enumerate(self._apart(line)))

    @cached_property
    def _values(self) -> set[tuple[int, str]]:
        """Short cells that several rows of the sample have in one column. Looked up only where lines leave doubt."""
        found: Counter[tuple[int, str]] = Counter()
        for cells, held in _sampled(self.path, self.mark):
            if len(held) == 1 and len(cells) == self.width:
                found.update((i, cell) for i, cell in enumerate(cells) if cell.strip() and len(cell) <= _SHORT)
        return {value for value, count in found.items() if count > 1}


def _sampled(path: Path, mark: str) -> Iterator[tuple[list[str], list[str]]]:
    """A table's first records: cells as RFC 4180 has them (none where a quote closes wrongly), and their lines."""
    source = _Lines(itertools.islice(lines(path), _SAMPLE))
    reader = csv.reader(source, delimiter=mark, strict=True)
    while True:
        source.begin()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            # One that is open where the sample ends may be closed behind it.
            at_the_end = source.open
            source.keep_first()
            if at_the_end:
                continue
            cells = []
        yield cells, [line.rstrip("\r\n") for line, _ in source.held]


def _bare(path: Path, mark: str) -> bool:
    """Whether quotes are only text in a table: some close nothing, none is needed, and few stand around whole cells."""
    width = count = stray = around = 0
    for cells, held in _sampled(path, mark):
        width, count = width or len(cells), count + 1
        if not cells:
            stray += bool(held[0])
        elif len(cells) == width and any('"' in line for line in held):
            fields = [line.split(mark) for line in held]
            if any(len(apart) != width for apart in fields):
                return False
            taken = [cell for field, cell in zip(fields[0], cells, strict=True) if field != cell]
            if len(held) == 1 and any('"' in cell for cell in taken):
                return False
            stray += len(held) == 1 and not taken
            around += bool(taken)
    return stray > 0 and around * 2 <= count
