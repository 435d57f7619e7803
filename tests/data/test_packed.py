"""Packed files are read as what is in them; archives, spreadsheets and broken ones are told as what they are."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest

from tunewright.data import recognise
from tunewright.data.files import read
from tunewright.errors import DataError

from .helpers import pairs, run

ROWS = pairs(12)
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
TABLE = "prompt,completion\n" + "".join(f"{row['prompt']},{row['completion']}\n" for row in ROWS)


def zstd(raw: bytes) -> bytes:
    """Two frames, one behind the other, as appended logs have them."""
    half = len(raw) // 2
    return b"".join(pyarrow.compress(part, "zstd", asbytes=True) for part in (raw[:half], raw[half:]))


PACKERS: list[tuple[str, Callable[[bytes], bytes]]] = [
    (".gz", gzip.compress),
    (".bz2", bz2.compress),
    (".xz", lzma.compress),
    (".zst", zstd),
]


@pytest.mark.parametrize(("ending", "pack"), PACKERS, ids=[name for name, _ in PACKERS])
def test_packed_files_are_read_as_what_is_in_them(tmp_path: Path, ending: str, pack: Callable[[bytes], bytes]) -> None:
    texts = {"rows.jsonl": LINES, "rows.json": json.dumps(ROWS), "rows.csv": TABLE}
    for name, text in texts.items():
        for encoding in ("utf-8", "utf-16"):
            path = tmp_path / (name + ending)
            path.write_bytes(pack(text.encode(encoding)))
            assert [raw.value for raw in read(path)] == ROWS, (name, encoding)
            assert recognise(path).shape == "prompt_completion"
    assert run(tmp_path, f"rows.jsonl{ending}", requests=[f"rows.jsonl{ending}"]).dataset.ledger.read == 12


def test_the_bytes_say_how_a_file_is_packed_and_not_its_name(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(gzip.compress(LINES.encode()))
    (tmp_path / "plain.jsonl.gz").write_bytes(LINES.encode())
    for name in ("rows.jsonl", "plain.jsonl.gz"):
        assert [raw.value for raw in read(tmp_path / name)] == ROWS


@pytest.mark.parametrize(("ending", "pack"), PACKERS, ids=[name for name, _ in PACKERS])
def test_a_broken_packing_is_told(tmp_path: Path, ending: str, pack: Callable[[bytes], bytes]) -> None:
    raw = pack(LINES.encode())
    for name, broken in (("cut", raw[: len(raw) * 2 // 3]), ("wrong", raw[:-12] + b"\xff" * 12)):
        path = tmp_path / f"{name}.jsonl{ending}"
        path.write_bytes(broken)
        with pytest.raises(DataError, match="packing is broken") as caught:
            list(read(path))
        assert (caught.value.exit_code, caught.value.where) == (2, str(path))


def test_archives_and_spreadsheets_say_what_to_do(tmp_path: Path) -> None:
    for name in ("rows.zip", "rows.csv"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("train.csv", TABLE)
            archive.writestr("__MACOSX/train.csv", "")
        with pytest.raises(DataError, match="zip archive") as caught:
            recognise(tmp_path / name)
        assert caught.value.remedy == "Unpack it, and name the file inside. It holds train.csv."
    for name in ("faq.xlsx", "faq.csv"):
        with zipfile.ZipFile(tmp_path / name, "w") as sheet:
            sheet.writestr("[Content_Types].xml", "")
        with pytest.raises(DataError, match="spreadsheet") as caught:
            recognise(tmp_path / name)
        assert "as CSV" in caught.value.remedy
    (tmp_path / "rows.parquet.gz").write_bytes(gzip.compress(b"PAR1"))
    with pytest.raises(DataError, match="packed by gzip"):
        recognise(tmp_path / "rows.parquet.gz")
