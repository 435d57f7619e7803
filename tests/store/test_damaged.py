"""A file of ours that was cut off, or that another release wrote; a disk that refuses: what, where, how to mend it."""

import json
import resource
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from safetensors import SafetensorError

from tunewright.errors import RunError, StorageError
from tunewright.records import RunRecord
from tunewright.store import append_line, directory, read_json, read_lines, write_json


def test_a_record_cut_off_in_the_middle_is_told_as_damaged(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_json(path, {"id": "a", "more": [1, 2, 3]})
    path.write_text(path.read_text()[:-4])
    with pytest.raises(RunError, match="is damaged") as told:
        read_json(path, RunRecord)
    assert told.value.where == str(path) and told.value.remedy


def test_a_record_of_another_form_names_the_field(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_json(path, {"id": "a"})
    with pytest.raises(RunError, match="is not a RunRecord") as told:
        read_json(path, RunRecord)
    assert "created" in told.value.message or "recipe" in told.value.message
    assert read_json(path) == {"id": "a"}


def test_a_torn_line_never_swallows_the_next(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    torn = json.dumps({"text": "é" * 100_000}, ensure_ascii=False).encode()
    for cut in (1, 11, len(torn)):  # 11: in the middle of a character
        path.write_bytes(b'{"text": "one"}\n' + torn[:cut])
        assert list(read_lines(path)) == [{"text": "one"}]
        append_line(path, {"text": "two"})
        assert list(read_lines(path)) == [{"text": "one"}, {"text": "two"}]
    path.write_bytes(torn[:50])
    append_line(path, {"text": "first"})
    assert list(read_lines(path)) == [{"text": "first"}]


def test_a_line_that_the_disk_took_half_of_is_gone_with_the_next(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    append_line(path, {"text": "one"})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40, hard))
    try:
        with pytest.raises(StorageError) as told:
            append_line(path, {"text": "two" * 100})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert told.value.where == str(path) and path.stat().st_size == 40
    append_line(path, {"text": "three"})
    assert [row["text"] for row in read_lines(path)] == ["one", "three"]


def test_many_writers_of_one_file_lose_no_line(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    long = "x" * 40_000

    def write(who: int) -> None:
        for number in range(20):
            append_line(path, {"who": who, "number": number, "text": long})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    said = Counter((row["who"], len(row["text"])) for row in read_lines(path))
    assert said == {(who, len(long)): 20 for who in range(8)}


def test_a_damaged_line_between_others_is_told_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    path.write_text('{"a": 1}\n{"a": \n{"a": 3}\n')
    with pytest.raises(RunError, match="line 2 is damaged") as told:
        list(read_lines(path))
    assert told.value.where == str(path) and told.value.remedy


@pytest.mark.parametrize(
    "error",
    [
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        Exception("No space left on device (os error 28)"),  # as tokenizers has it
    ],
    ids=["weights", "tokenizer"],
)
def test_a_full_disk_is_the_disks_trouble_whoever_tells_of_it(tmp_path: Path, error: Exception) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "before").write_text("kept")
    with pytest.raises(StorageError, match="No space left on device") as told, directory(tmp_path / "made"):
        raise error
    assert told.value.exit_code == 1 and "is kept" in told.value.remedy
    assert [p.name for p in tmp_path.iterdir()] == ["made"] and (tmp_path / "made" / "before").is_file()


@pytest.mark.parametrize("error", [KeyError("a"), SafetensorError("a header too large"), RunError("(os error 28)")])
def test_other_errors_stay_what_they_are(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as told, directory(tmp_path / "made"):
        raise error
    assert told.value is error
