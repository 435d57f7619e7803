"""Files that are packed by gzip, bzip2, xz or Zstandard, read as what is in them; what they are is told by their
first bytes, whatever they are called."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow

from tunewright.errors import DataError

# What reading a broken one raises, beside `OSError`.
BROKEN = (EOFError, zlib.error, lzma.LZMAError)
_ENDINGS = (".gz", ".gzip", ".bz2", ".xz", ".zst", ".zstd")
_SHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")
_SHOWN = 5


class _Zstandard(io.RawIOBase):
    """pyarrow's reader of packed bytes, which cannot go back, as a file that can: it begins again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begin()

    def _begin(self) -> None:
        self._file = pyarrow.OSFile(str(self._path))
        self._stream = pyarrow.CompressedInputStream(self._file, "zstd")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, place: int, whence: int = 0) -> int:
        if place or whence:
            raise io.UnsupportedOperation("only to the start")
        self._shut()
        self._begin()
        return 0

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]  # io hands over what has a buffer
        read = self._stream.read(len(view))
        view[: len(read)] = read
        return len(read)

    def _shut(self) -> None:
        self._stream.close()
        self._file.close()

    def close(self) -> None:
        self._shut()
        super().close()


_PACKED: dict[bytes, tuple[str, Callable[[Path], Any]]] = {
    b"\x1f\x8b": ("gzip", gzip.open),
    b"BZh": ("bzip2", bz2.open),
    b"\xfd7zXZ\x00": ("xz", lzma.open),
    b"\x28\xb5\x2f\xfd": ("Zstandard", lambda path: io.BufferedReader(_Zstandard(path))),
}


def opened(path: Path) -> BinaryIO:
    """The bytes of a file, unpacked as they are read. Raises `DataError` for an archive of files or a spreadsheet."""
    _one_file(path)
    found = _how(path)
    return cast(BinaryIO, found[1](path) if found else path.open("rb"))


def how(path: Path) -> str:
    """By what a file is packed: "gzip", "bzip2", "xz", "Zstandard", or ""."""
    found = _how(path)
    return found[0] if found else ""


def bare(path: Path) -> Path:
    """A path without the ending that says how it is packed: `rows.csv` of `rows.csv.gz`."""
    return path.with_suffix("") if path.suffix.lower() in _ENDINGS else path


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)


def _how(path: Path) -> tuple[str, Callable[[Path], Any]] | None:
    start = _start(path)
    return next((found for mark, found in _PACKED.items() if start.startswith(mark)), None)


def _one_file(path: Path) -> None:
    """Raise for a spreadsheet and an archive, which is no one file, be it called as it is or as if it were text."""
    start = _start(path)
    if not start.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        return
    names = zipfile.ZipFile(path).namelist() if zipfile.is_zipfile(path) else []
    if path.suffix.lower() in _SHEETS or "[Content_Types].xml" in names or start.startswith(b"\xd0"):
        raise DataError(
            "is a spreadsheet or a document, whatever its name says.",
            where=str(path),
            remedy="Save the sheet as CSV (UTF-8), its first line the names of the columns, and name that file.",
        )
    files = [name for name in names if not name.endswith("/") and not name.startswith("__MACOSX")]
    held = f"It holds {', '.join(files[:_SHOWN])}{', …' if len(files) > _SHOWN else ''}." if files else ""
    raise DataError(
        "is a zip archive of files, not a file of rows.",
        where=str(path),
        remedy=f"Unpack it, and name the file inside. {held}".strip(),
    )
