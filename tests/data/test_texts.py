"""Folders of text and Markdown: subfolders are labels, a head says the answer, and texts alone are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunewright.data import load, recognise
from tunewright.errors import DataError

from .helpers import run

NOT_SPLIT = {"test": 0, "validation": 0}


def _put(path: Path, text: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def test_subfolders_are_labels(tmp_path: Path) -> None:
    for i in range(12):
        label = "spam" if i % 2 else "fine"
        _put(tmp_path / "mails" / label / f"{i:02}.txt", f"A mail of the number {i}.\n\nWith two paragraphs.\n")
    _put(tmp_path / "mails" / "README.md", "What this folder is.")
    _put(tmp_path / "mails" / ".cache" / "x.txt", "hidden")
    result = run(tmp_path, "mails", split=NOT_SPLIT)
    assert result.dataset.sources[0].shape == "labelled_text"
    assert result.dataset.labels == ("fine", "spam")
    assert result.dataset.ledger.read == result.dataset.ledger.kept == 12
    first = load(result.path, "train")[0]
    assert first.messages[-2].content == "A mail of the number 0.\n\nWith two paragraphs."
    assert first.label == "fine"


def test_a_head_says_the_answer(tmp_path: Path) -> None:
    for i in range(6):
        _put(
            tmp_path / "notes" / f"{i}.md",
            f"---\nsummary: Note {i}, shortly told.\n---\n# Note {i}\n\nMany words of {i}.\n",
        )
    _put(tmp_path / "notes" / "6.md", "---\nsummary: [open\n---\nBroken head.\n")
    _put(tmp_path / "notes" / "7.md", b"---\nsummary: Caf\xe9 number 7.\n---\nA text that is not UTF-8.\n")
    result = run(tmp_path, "notes", split=NOT_SPLIT)
    assert result.dataset.ledger.set_aside == {"bad_row": 1}
    assert result.dataset.ledger.changed == 1
    rows = load(result.path, "train")
    assert rows[0].messages[0].content == "# Note 0\n\nMany words of 0."
    assert rows[0].answer.content == "Note 0, shortly told."
    assert rows[-1].answer.content == "Café number 7."


def test_the_version_is_that_of_the_files(tmp_path: Path) -> None:
    for i in range(6):
        _put(tmp_path / "notes" / f"{i}.md", f"---\nsummary: Short {i}.\n---\nLong {i}.\n")
    before = run(tmp_path, "notes", split=NOT_SPLIT)
    assert run(tmp_path, "notes", split=NOT_SPLIT).dataset.id == before.dataset.id
    _put(tmp_path / "notes" / "2.md", "---\nsummary: Another.\n---\nLong 2.\n")
    after = run(tmp_path, "notes", split=NOT_SPLIT)
    assert after.dataset.id != before.dataset.id
    assert after.dataset.sources[0].sha256 != before.dataset.sources[0].sha256


def test_texts_alone_are_no_examples(tmp_path: Path) -> None:
    for i in range(3):
        _put(tmp_path / "docs" / f"{i}.md", f"# Page {i}\n")
    with pytest.raises(DataError) as error:
        recognise(tmp_path / "docs")
    assert "subfolder per label" in error.value.remedy and "rag" in error.value.remedy


@pytest.mark.parametrize("written", ["yes", "no", "12:30", "0123", "2026-11-27", "2026-99-99", "1e3", "true", "0x1F"])
def test_a_head_says_what_is_written_in_it(tmp_path: Path, written: str) -> None:
    for i in range(6):
        _put(tmp_path / "notes" / f"{i}.md", f"---\noutput: Answer {i}.\n---\nQuestion {i}.\n")
    _put(tmp_path / "notes" / "6.md", f"---\noutput: {written}\n---\nQuestion 6.\n")
    result = run(tmp_path, "notes", split=NOT_SPLIT)
    assert result.dataset.ledger.read == result.dataset.ledger.kept == 7
    assert load(result.path, "train")[-1].answer.content == written


@pytest.mark.parametrize("written", ["", "~", "null"])
def test_a_head_that_says_nothing_is_no_answer(tmp_path: Path, written: str) -> None:
    for i in range(6):
        _put(tmp_path / "notes" / f"{i}.md", f"---\noutput: Answer {i}.\n---\nQuestion {i}.\n")
    _put(tmp_path / "notes" / "6.md", f"---\noutput: {written}\n---\nQuestion 6.\n")
    assert run(tmp_path, "notes", split=NOT_SPLIT).dataset.ledger.set_aside == {"empty_output": 1}


def test_a_head_holds_lists_and_maps(tmp_path: Path) -> None:
    for i in range(6):
        _put(tmp_path / "notes" / f"{i}.md", f"---\noutput: {{city: Rome, seats: [{i}, 'null']}}\n---\nQuestion {i}.\n")
    _put(tmp_path / "notes" / "6.md", f"---\noutput: {'[' * 5000}\n---\nToo deep.\n")
    result = run(tmp_path, "notes", split=NOT_SPLIT)
    assert result.dataset.ledger.set_aside == {"bad_row": 1}
    assert load(result.path, "train")[1].answer.content == '{"city": "Rome", "seats": ["1", "null"]}'
