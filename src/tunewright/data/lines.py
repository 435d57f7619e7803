"""Lines of a file, each decoded by itself, whatever system ended them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tunewright.data.encoding import decode
from tunewright.data.packed import opened

_START = 1 << 20


def lines(path: Path) -> Iterator[tuple[str, bool]]:
    """Lines with their ends, and whether each was repaired. A byte-order mark says UTF-16 or is dropped."""
    with opened(path) as file:
        start = file.read(4)
        file.seek(0)
        encoding = _wide(start)
        if encoding:
            for line in io.TextIOWrapper(file, encoding, errors="replace", newline=""):
                yield line, "\ufffd" in line
            return
        for i, raw in enumerate(_ended(file)):
            line, repaired = decode(raw)
            yield (line.removeprefix("\ufeff") if i == 0 else line), repaired


def _wide(start: bytes) -> str:
    """The name of UTF-16 where the first bytes are of it; without a mark every other byte of plain letters is 0."""
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    zeros = [byte == 0 for byte in start]
    if zeros == [False, True, False, True]:
        return "utf-16-le"
    return "utf-16-be" if zeros == [True, False, True, False] else ""


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
