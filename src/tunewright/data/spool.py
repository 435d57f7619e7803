"""What was read, on disk: written once in reading order, found again by place, so that memory holds only numbers."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from typing import IO, Any, Self

import numpy as np

_TOGETHER = 256


class Spool:
    """A temporary file of lines. Use as a context manager; the file goes when the block ends."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed by __exit__)
        self._end = 0
        self._waiting: list[bytes] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, text: str) -> int:
        """Append `text`, which holds no line break, and say where it begins."""
        # Rows are mended when read; what else could not be written (a file's odd name) must not spoil the line.
        line = text.encode("utf-8", "replace") + b"\n"
        at = self._end
        self._waiting.append(line)
        self._end += len(line)
        if len(self._waiting) == _TOGETHER:
            self._flush()
        return at

    def _flush(self) -> None:
        self._file.seek(0, os.SEEK_END)
        self._file.write(b"".join(self._waiting))
        self._waiting.clear()

    def lines(self) -> Iterator[bytes]:
        """All lines in order."""
        self._flush()
        self._file.seek(0)
        yield from self._file

    def line(self, at: int) -> str:
        """The line that begins at `at`."""
        if self._waiting:
            self._flush()
        self._file.seek(at)
        return self._file.readline().decode("utf-8")[:-1]


class Matrix:
    """A temporary file of equal rows of numbers, read back as one array that lives on disk."""

    def __init__(self, dtype: Any) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `close`)
        self._width = 0
        self._dtype = np.dtype(dtype)
        self._rows = 0

    def append(self, rows: np.ndarray) -> None:
        self._file.write(np.ascontiguousarray(rows, self._dtype).tobytes())
        self._rows += len(rows)
        self._width = rows.shape[1]

    def array(self) -> np.ndarray:
        """All rows appended so far, rows × width."""
        self._file.flush()
        if not self._rows:
            return np.zeros((0, self._width), self._dtype)
        return np.memmap(self._file, self._dtype, "r", shape=(self._rows, self._width))

    def close(self) -> None:
        self._file.close()
