"""Sheets that people fill in a spreadsheet: written so that it opens them as they are, and read as it saves them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from tunewright.errors import DataError
from tunewright.store import write_text

# A cell that begins so is run as a formula; a mark before it keeps a spreadsheet from that.
_RUNS = ("=", "+", "-", "@", "\t")
# Tells spreadsheets that the file is UTF-8: without it accents are garbled.
_MARK = "\ufeff"


def write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A sheet of `rows` under `columns`, as CSV."""
    out = io.StringIO(_MARK, newline="")
    out.seek(0, io.SEEK_END)
    sheet = csv.writer(out)
    sheet.writerow(columns)
    sheet.writerows([f"'{cell}" if cell[:1] in _RUNS else cell for cell in row] for row in rows)
    write_text(path, out.getvalue())


def read(path: Path, wanted: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a filled sheet, their cells as they were before it was written or as somebody typed them since.

    Columns may have commas, semicolons or tabs between them, as spreadsheets of different countries save them. Raises
    `DataError` for a file that is not there, not in UTF-8, no CSV, or without the columns `wanted`.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        head = text.partition("\n")[0]
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count)))
    except FileNotFoundError:
        raise DataError("there is no such file.", where=str(path)) from None
    except UnicodeDecodeError:
        raise DataError("is no text in UTF-8.", where=path.name, remedy="Save it as “CSV UTF-8”.") from None
    except csv.Error as error:
        raise DataError(f"is no sheet: {error}.", where=path.name, remedy="Save it as “CSV UTF-8”.") from None
    if rows and not set(wanted) <= rows[0].keys():
        missing = ", ".join(f"`{name}`" for name in wanted if name not in rows[0])
        raise DataError(
            f"it has no column {missing}.", where=path.name, remedy="Keep the first line as it was written."
        )
    return [{name: _plain(row[name] or "") for name in row if name is not None} for row in rows]


def _plain(cell: str) -> str:
    cell = cell.replace("\r\n", "\n")
    return cell[1:] if cell[:1] == "'" and cell[1:2] in _RUNS else cell
