"""Files to raw records, one at a time: what a format says, before anyone asks what it means."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from tunewright.data.delimited import table
from tunewright.data.folders import arrow, files_of, named, splits_of
from tunewright.data.lines import lines
from tunewright.data.orientation import one, records, splits, training
from tunewright.data.packed import BROKEN, bare, how, opened
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
# What to do about files that are often at hand and are none of these; the endings are those of `FORMATS`.
_UNREAD = {
    **dict.fromkeys((".zip", ".tar", ".tgz", ".7z", ".rar"), "Unpack it, and name the file inside."),
    **dict.fromkeys(
        (".xlsx", ".xls", ".ods", ".numbers"),
        "Save the sheet as CSV (UTF-8), its first line the names of the columns, and name that file.",
    ),
    **dict.fromkeys(
        (".txt", ".log", ".md", ""),
        "Is each line a JSON object, call it .jsonl; is it a table, .csv or .tsv. Texts that are examples lie in a "
        "folder, a file each; texts alone are for retrieval: `arms: [{rag: {documents: …}}]`.",
    ),
    **dict.fromkeys((".yaml", ".yml", ".xml"), "Write it as JSON: a list of objects, one per example."),
    **dict.fromkeys((".pdf", ".docx", ".doc", ".html"), "Documents are for retrieval; write the examples as a table."),
}
_BEYOND = re.compile(r"[^\x00-\x7f]")


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
        if files_of(path) or splits_of(path):
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
    ending = bare(path).suffix.lower()
    found = FORMATS.get(ending)
    if not found:
        opened(path).close()  # says more of an archive or a spreadsheet
        every = f"Files are read that end in {', '.join(sorted(FORMATS))}, packed by gzip, bzip2, xz or zstd too."
        raise DataError(
            f"files of this kind (`{ending or 'no ending'}`) are not read.",
            where=str(path),
            remedy=f"{_UNREAD.get(ending, '')} {every}".strip(),
        )
    if found in ("parquet", "arrow") and (packing := how(path)):
        raise DataError(
            f"is packed by {packing}, and {found} files are read from any place in them.",
            where=str(path),
            remedy="Unpack it, and name the file inside.",
        )
    return found


def parts_of(path: Path) -> list[str]:
    """The splits that a file or folder holds, by their names; [] for one that is not divided. Raises `DataError`."""
    kind = format_of(path)
    if kind == "folder":
        return splits_of(path)
    if kind != "json" or not next((line for line, _ in lines(path) if line.strip()), "").lstrip().startswith("{"):
        return []
    try:
        return list(splits(json.loads("".join(line for line, _ in lines(path)))))
    except (ValueError, RecursionError):
        return []


def read(path: Path, split: str = "") -> Iterator[Raw]:
    """The records of `path` in order, numbered from 1; blank lines are no records.

    Of one that is divided those of `split`, or of the split that trains. Raises `DataError`.
    """
    kind = format_of(path)
    parts = parts_of(path) if split or kind == "folder" else []
    if (split and split not in parts) or (parts and not split and not training(parts)):
        raise DataError(
            f"has no split `{split or 'train'}`.",
            where=str(path),
            remedy=f"Name one of its splits, as {{path: …, split: {parts[0]}}}: {', '.join(parts)}."
            if parts
            else "It is not divided: leave `split` out.",
        )
    try:
        if kind == "jsonl":
            yield from _jsonl(path)
        elif kind == "json":
            yield from _json(path, split)
        elif kind == "texts":
            for number, (value, fault, repaired) in enumerate(texts(path), 1):
                yield Raw(number, None if fault else value, fault, repaired)
        elif kind in ("parquet", "arrow", "folder"):
            yield from _columnar(files_of(path, split or training(parts)) if kind == "folder" else [path])
        else:
            for number, (cells, fault, repaired) in enumerate(table(path, "\t" if kind == "tsv" else None), 1):
                yield Raw(number, cells, fault, repaired)
    except (OSError, *BROKEN) as error:
        packing = how(path) if path.is_file() and not getattr(error, "errno", None) else ""
        raise DataError(
            f"its {packing} packing is broken: {error}." if packing else f"cannot be read: {_why(error)}.",
            where=str(path),
            remedy="Fetch or pack the file again: its end may be missing."
            if packing
            else "Check the file's permissions.",
        ) from error


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _jsonl(path: Path) -> Iterator[Raw]:
    if _listed(path):
        yield from _json(path)
        return
    yield from _by_line(lines(path))


def _by_line(given: Iterable[tuple[str, bool]]) -> Iterator[Raw]:
    number = 0
    for line, repaired in given:
        # Lists that were cut into lines, or pasted together, leave their brackets.
        if line.strip() in ("", "[", "]"):
            continue
        number += 1
        yield _parsed(number, line, repaired)


def _listed(path: Path) -> bool:
    """Whether a file that ends as JSON lines do is a JSON list, or objects over many lines."""
    first = next((line.strip() for line, _ in lines(path) if line.strip()), "")
    if first in ("[", "{"):
        return True
    return first.startswith("[{") and not isinstance(_parsed(0, first, False).value, dict)


def _parsed(number: int, line: str, repaired: bool) -> Raw:
    if line.rstrip().endswith("},"):  # as within a list
        line = line.rstrip()[:-1]
    try:
        return Raw(number, one(json.loads(line)), repaired=repaired)
    except (ValueError, RecursionError) as error:
        detail = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply or a number too long"
        return Raw(number, fault=f"not JSON: {detail}", repaired=repaired)


def _json(path: Path, split: str = "") -> Iterator[Raw]:
    """A list of records, an object that wraps one, or JSON lines under the wrong ending."""
    given = list(lines(path))
    text = "".join(line for line, _ in given)
    if not text.strip():
        raise DataError(
            "the file is empty.", where=str(path), remedy="Export the examples again, or name another file."
        )
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        if _is_lines(given):
            yield from _by_line(given)
            return
        objects = _objects(text)
        if objects:
            yield from (Raw(number, one(value)) for number, value in enumerate(objects, 1))
            return
        line = f" on line {error.lineno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else ""
        raise DataError(
            f"not JSON{line}.", where=str(path), remedy="Repair the file, or save one JSON object per line as .jsonl."
        ) from error
    found = records(whole, split)
    if found is None:
        raise DataError(
            "holds no list of records.",
            where=str(path),
            remedy="A JSON file must be a list of objects, one per example.",
        )
    for number, (value, repaired) in enumerate(zip(found, _repaired(given, found, split), strict=True), 1):
        yield Raw(number, value, repaired=repaired)


def _objects(text: str) -> list[Any]:
    """JSON objects one after the other, each over as many lines as it takes; [] where anything else is between them."""
    found: list[Any] = []
    decoder, at = json.JSONDecoder(), _past_space(text, 0)
    while at < len(text):
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return []
        at = _past_space(text, end)
        found.append(value)
    return found if all(isinstance(value, dict) for value in found) else []


def _past_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _repaired(given: list[tuple[str, bool]], found: list[Any], split: str) -> Iterator[bool]:
    """Whether each record has text of a repaired line: it reads otherwise where what such lines hold is marked."""
    if not any(repaired for _, repaired in given):
        return itertools.repeat(False, len(found))
    # Only characters beyond ASCII can have been repaired, and none of them is part of JSON's own marks.
    marked = "".join(_BEYOND.sub(r"?\g<0>", line) if repaired else line for line, repaired in given)
    others = records(json.loads(marked), split) or []
    return (repr(one) != repr(other) for one, other in zip(found, others, strict=True))


def _is_lines(given: list[tuple[str, bool]]) -> bool:
    """Whether most lines are JSON objects on their own."""
    texts = [line for line, _ in given if line.strip()][:100]
    good = sum(isinstance(_parsed(0, line, False).value, dict) for line in texts)
    return len(texts) > 0 and good * 2 > len(texts)


def _columnar(paths: list[Path]) -> Iterator[Raw]:
    number = 0
    for path in paths:
        records = _parquet(path) if format_of(path) == "parquet" else arrow(path)
        try:
            for value in records:
                number += 1
                yield Raw(number, value)
        except (pyarrow.ArrowException, ValueError) as error:
            kind = "a Parquet" if format_of(path) == "parquet" else "an Arrow"
            raise DataError(
                f"is not {kind} file: {error}", where=str(path), remedy="Write it again, or rename it to what it is."
            ) from error


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    with pyarrow.parquet.ParquetFile(path) as file:
        name = named(file.schema_arrow.metadata)
        for batch in file.iter_batches(batch_size=1024):
            yield from map(name, batch.to_pylist())
