"""Quotes in tables: what they hold is one cell, and where they are only text no row is lost in another's cell."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tunewright.data import load
from tunewright.data.files import read

from .helpers import finding, run


def rows(path: Path, *lines: str) -> list[tuple[str, ...] | str]:
    """What is read of a table of these lines: the cells of each row, or what is wrong with it."""
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    raws = list(read(path))
    assert [raw.number for raw in raws] == list(range(1, len(raws) + 1))
    return [raw.fault or tuple(raw.value.values()) for raw in raws]


@pytest.mark.parametrize(("count", "at", "line"), [(300, 99, '"never ends,a'), (60, 39, 'never ends,"a')])
def test_a_quote_that_never_closes_swallows_no_row(tmp_path: Path, count: int, at: int, line: str) -> None:
    lines = [f"question number {i},{'ab'[i % 2]}" for i in range(count)]
    lines[at] = line
    (tmp_path / "t.csv").write_text("text,label\n" + "\n".join(lines) + "\n", encoding="utf-8")
    result = run(tmp_path, "t.csv", split={"test": 0, "validation": 0})
    assert (result.dataset.ledger.read, result.dataset.ledger.kept) == (count, count)
    read_as = {e.row: (e.messages[0].content, e.label) for e in load(result.path, "train")}
    assert read_as[f"t.csv:{at + 1}"] == tuple(line.split(","))
    assert read_as[f"t.csv:{count}"] == (f"question number {count - 1}", "ab"[(count - 1) % 2])


def test_quotes_in_a_table_that_nobody_quoted_are_text(tmp_path: Path) -> None:
    texts = ['"Hello there', 'He said "ok" to me', '"Win" now', '"All of it"', 'as he said "', "", '"', '""x', "plain"]
    for header in ("label\ttext", '"label"\t"text"'):
        assert rows(tmp_path / "t.tsv", header, *(f"ham\t{text}" for text in texts)) == [("ham", t) for t in texts]


def test_a_quote_closed_by_chance_in_another_row_joins_no_rows(tmp_path: Path) -> None:
    lines = ["label\ttext", "ham\tone", 'ham\t"Hello there', 'ham\tas he said "', "ham\ttwo"]
    assert rows(tmp_path / "t.tsv", *lines) == [tuple(line.split("\t")) for line in lines[1:]]
    # In another column: the row would have fields too few.
    lines = ["text,label", '"never ends,a', 'good,b"', "fine,a"]
    assert rows(tmp_path / "t.csv", *lines) == [tuple(line.split(",")) for line in lines[1:]]
    # A comma on every line may be chance, a label that other rows have is not.
    lines = ["label,text", "ham,one", "ham,two", 'ham,"Hello there', 'ham,as he said "']
    assert rows(tmp_path / "l.csv", *lines) == [tuple(line.split(",")) for line in lines[1:]]


def test_rows_behind_an_open_quote_are_read_as_they_are_quoted(tmp_path: Path) -> None:
    lines = ["text,label", '"never ends,a', "plain,b", '"quoted, fine",a', '"two ""doubled""\nlines",b', "last,a"]
    first, *others = rows(tmp_path / "t.csv", *lines)
    assert first == ('"never ends', "a")
    assert others == [("plain", "b"), ("quoted, fine", "a"), ('two "doubled"\nlines', "b"), ("last", "a")]


def test_a_line_with_an_open_quote_that_is_no_row_is_one_fault(tmp_path: Path) -> None:
    read_as = rows(tmp_path / "t.csv", "text,label", "one,a", '"no label', "two,b", "three,a")
    assert read_as == [("one", "a"), "a quote that opens here is not closed", ("two", "b"), ("three", "a")]
    (tmp_path / "long.csv").write_text("text,label\n" + "".join(f"row {i},a\n" for i in range(40)) + '"no label\nx,b\n')
    result = run(tmp_path, "long.csv")
    assert result.dataset.ledger.read == 42 and result.dataset.ledger.set_aside == {"bad_row": 1}
    assert finding(result, "bad_row").rows == ("long.csv:41",)  # type: ignore[union-attr]


def test_quotes_that_were_not_doubled_cost_no_row(tmp_path: Path) -> None:
    lines = ["label,text", '"ham","He said "hi" to me"', 'spam,"Win, now" he said', 'ham,"He said\n"hi" and left"']
    first, *rest = rows(tmp_path / "t.csv", *lines)
    assert first == ("ham", '"He said "hi" to me"')
    assert [row[0] for row in rest] == ["spam", "ham"] and "left" in rest[1][1]


@pytest.mark.parametrize(("name", "mark"), [("t.csv", ","), ("s.csv", ";"), ("t.tsv", "\t")])
def test_cells_of_several_lines_stay_whole(tmp_path: Path, name: str, mark: str) -> None:
    texts = [f'Dear {who},\n"I wrote; you know", and so on.\nBest, Bob' for who in ("Ann", "Eve", "Joe")]
    texts += [f"Hello {who}; hi\nBest, Bob" for who in ("Ann", "Eve", "Joe")]
    texts += ["one", "two; three, four", "\n".join(f"line {i}, of many" for i in range(200)), "Best", "Best", "end\n"]
    table = [(label, text) for text in texts for label in ("spam", "ham")]
    for columns in (("label", "text"), ("text", "label")):
        with (tmp_path / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=mark)
            writer.writerow(columns)
            writer.writerows(table if columns[0] == "label" else [row[::-1] for row in table])
        read_as = [raw.value for raw in read(tmp_path / name)]
        assert [(row["label"], row["text"]) for row in read_as] == table


def test_a_table_all_in_quotes_is_unwrapped(tmp_path: Path) -> None:
    lines = ['"label"\t"text"', *(f'"ham"\t"text {i}"' for i in range(5)), '"spam"\t"an "odd" one"']
    assert rows(tmp_path / "t.tsv", *lines)[:5] == [("ham", f"text {i}") for i in range(5)]
