"""Files to raw records, one at a time: what a format says, before anyone asks what it means."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow
import pyarrow.parquet

from tunewright.data.encoding import decode
from tunewright.data.folders import arrow, files_of, named
from tunewright.data.texts import answered, texts
from tunewright.errors import DataError

FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
# A record of a table that runs over more lines than this, and has the wrong fields, has an open quote.
_SWALLOWED = 50
_START = 1 << 20
_WRAPPERS = ("data", "rows", "train", "examples", "items", "records")


@dataclass(frozen=True, slots=True)
class Raw:
    """One record as its file holds it. `fault` says why there is no value; `repaired` that its bytes were not UTF-8."""

    number: int
    value: Any = None
    fault: str = ""
    repaired: bool = False


def format_of(path: Path) -> str:
    """The format `path` is read in. Raises `DataError` when the file is missing, empty or of a kind we do not read."""
    if not path.exists():
        raise DataError(
            "there is no such file.",
            where=str(path),
            remedy="Check the path; it is relative to the recipe. A dataset of the hub is named as hub:org/name.",
        )
    if path.is_dir():
        if files_of(path):
            return "folder"
        if answered(path):
            return "texts"
        raise DataError(
            "is a folder without examples: neither a saved dataset, nor texts that say what is to be answered.",
            where=str(path),
            remedy="Name the file inside it. Text and Markdown files are examples when they lie in one subfolder per "
            "label, or begin with a head (`---`, `output: …`, `---`). Texts alone are for retrieval: "
            "`arms: [{rag: {documents: …}}]`.",
        )
    if path.stat().st_size == 0:
        raise DataError(
            "the file is empty.", where=str(path), remedy="Export the examples again, or name another file."
        )
    found = FORMATS.get(path.suffix.lower())
    if not found:
        raise DataError(
            f"files of this kind (`{path.suffix or 'no ending'}`) are not read.",
            where=str(path),
            remedy=f"Use one of: {', '.join(sorted(FORMATS))}.",
        )
    return found


def read(path: Path) -> Iterator[Raw]:
    """The records of `path` in order, numbered from 1; blank lines are no records. Raises `DataError`."""
    kind = format_of(path)
    try:
        if kind == "jsonl":
            yield from _jsonl(path)
        elif kind == "json":
            yield from _json(path)
        elif kind == "texts":
            for number, (value, fault, repaired) in enumerate(texts(path), 1):
                yield Raw(number, None if fault else value, fault, repaired)
        elif kind in ("parquet", "arrow", "folder"):
            yield from _columnar(files_of(path) if kind == "folder" else [path])
        else:
            yield from _table(path, "\t" if kind == "tsv" else None)
    except OSError as error:
        raise DataError(
            f"cannot be read: {error.strerror or error}.", where=str(path), remedy="Check the file's permissions."
        ) from error


def _lines(path: Path) -> Iterator[tuple[str, bool]]:
    """Lines with their ends, and whether each was repaired. A byte-order mark says UTF-16 or is dropped."""
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
            with path.open(encoding="utf-16", errors="replace", newline="") as text:
                for line in text:
                    yield line, "\ufffd" in line
            return
        for i, raw in enumerate(_ended(file)):
            line, repaired = decode(raw)
            yield (line.removeprefix("\ufeff") if i == 0 else line), repaired


def _ended(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file; where its start has none but carriage returns, as old Macs wrote, these end them."""
    start = file.read(_START)
    file.seek(0)
    if b"\n" in start or b"\r" not in start:
        yield from file
        return
    rest = b""
    while block := file.read(_START):
        *whole, rest = (rest + block).split(b"\r")
        yield from (line + b"\n" for line in whole)
    if rest:
        yield rest


def _jsonl(path: Path) -> Iterator[Raw]:
    number = 0
    for line, repaired in _lines(path):
        if not line.strip():
            continue
        number += 1
        yield _parsed(number, line, repaired)


def _parsed(number: int, line: str, repaired: bool) -> Raw:
    try:
        return Raw(number, json.loads(line), repaired=repaired)
    except (ValueError, RecursionError) as error:
        detail = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply or a number too long"
        return Raw(number, fault=f"not JSON: {detail}", repaired=repaired)


def _json(path: Path) -> Iterator[Raw]:
    """A list of records, an object that wraps one, or JSON lines under the wrong ending."""
    lines = list(_lines(path))
    repaired = any(r for _, r in lines)
    text = "".join(line for line, _ in lines)
    if not text.strip():
        raise DataError(
            "the file is empty.", where=str(path), remedy="Export the examples again, or name another file."
        )
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        if _is_lines(lines):
            yield from _jsonl(path)
            return
        line = f" on line {error.lineno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else ""
        raise DataError(
            f"not JSON{line}.", where=str(path), remedy="Repair the file, or save one JSON object per line as .jsonl."
        ) from error
    records = _records(whole)
    if records is None:
        raise DataError(
            "holds no list of records.",
            where=str(path),
            remedy="A JSON file must be a list of objects, one per example.",
        )
    for number, value in enumerate(records, 1):
        yield Raw(number, value, repaired=repaired)


def _is_lines(lines: list[tuple[str, bool]]) -> bool:
    """Whether most lines are JSON objects on their own."""
    texts = [line for line, _ in lines if line.strip()][:100]
    good = sum(isinstance(_parsed(0, line, False).value, dict) for line in texts)
    return len(texts) > 0 and good * 2 > len(texts)


def _records(whole: Any) -> list[Any] | None:
    if isinstance(whole, list):
        return whole
    if isinstance(whole, dict):
        for key in _WRAPPERS:
            if isinstance(whole.get(key), list):
                return list(whole[key])
        lists = [v for v in whole.values() if isinstance(v, list) and v and isinstance(v[0], dict)]
        if len(lists) == 1 and "messages" not in whole and "conversations" not in whole:
            return lists[0]
        return [whole]
    return None


def _table(path: Path, delimiter: str | None) -> Iterator[Raw]:
    mended, ended = [False], [False]

    def lines() -> Iterator[str]:
        for line, repaired in _lines(path):
            mended[0] |= repaired
            yield line.replace("\0", "")
        ended[0] = True

    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(lines(), delimiter=delimiter or _delimiter(path))
    header: list[str] | None = None
    number = 0
    while True:
        before = reader.line_num
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            number += 1
            yield Raw(number, fault=f"not a row of a table: {error}")
            continue
        repaired, mended[0] = mended[0], False
        if not any(cell.strip() for cell in cells):
            continue
        if header is None:
            header = _names(cells)
            continue
        number += 1
        swallowed = reader.line_num - before
        # Only an open quote makes the reader ask for lines behind the last one.
        if ended[0] or (len(cells) != len(header) and swallowed > _SWALLOWED):
            # Each line was meant as a row: counted as one, the share of faulty rows tells how bad it is.
            fault = f"a quote opened in record {number} is not closed"
            yield from (Raw(number + k, fault=fault, repaired=repaired) for k in range(swallowed))
            number += swallowed - 1
            continue
        if len(cells) != len(header):
            extra = [cell for cell in cells[len(header) :] if cell.strip()]
            if len(cells) < len(header) or extra:
                fault = f"{len(cells)} fields where the header has {len(header)}"
                yield Raw(number, fault=fault, repaired=repaired)
                continue
        yield Raw(number, dict(zip(header, cells, strict=False)), repaired=repaired)


def _names(cells: list[str]) -> list[str]:
    """Column names, each once: unnamed ones are called by their place."""
    names: list[str] = []
    for i, cell in enumerate(cells, 1):
        name = cell.strip() or f"column {i}"
        names.append(name if name not in names else f"{name} ({i})")
    return names


def _delimiter(path: Path) -> str:
    """The separator whose count in the header is largest; a comma where none is found."""
    first = next((line for line, _ in _lines(path) if line.strip()), "")
    return max(",;\t|", key=lambda mark: (first.count(mark), mark == ","))


def _columnar(paths: list[Path]) -> Iterator[Raw]:
    number = 0
    for path in paths:
        records = _parquet(path) if FORMATS.get(path.suffix.lower()) == "parquet" else arrow(path)
        try:
            for value in records:
                number += 1
                yield Raw(number, value)
        except (pyarrow.ArrowException, ValueError) as error:
            kind = "a Parquet" if FORMATS.get(path.suffix.lower()) == "parquet" else "an Arrow"
            raise DataError(
                f"is not {kind} file: {error}", where=str(path), remedy="Write it again, or rename it to what it is."
            ) from error


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    with pyarrow.parquet.ParquetFile(path) as file:
        name = named(file.schema_arrow.metadata)
        for batch in file.iter_batches(batch_size=1024):
            yield from map(name, batch.to_pylist())
