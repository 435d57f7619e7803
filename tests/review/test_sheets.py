import csv

import pytest

from tunewright.errors import DataError
from tunewright.records import Case, Prediction, Suite
from tunewright.review import read_sheets, write_sheets
from tunewright.review.sheets import CHOICE


@pytest.fixture
def review(tmp_path):
    cases = tuple(
        Case(
            id=f"c{i}", messages=({"role": "system", "content": "S"}, {"role": "user", "content": f"q{i}"}), expected=""
        )
        for i in range(40)
    )
    suite = Suite(id="s", cases=cases, scorers=("exact",), primary="exact")

    def rows(arm, word):
        texts = ["same" if i < 5 else f"={word} {i}" for i in range(40)]
        return [Prediction(case=f"c{i}", arm=arm, text=t, score=None, seconds=0) for i, t in enumerate(texts)]

    sheets = write_sheets(suite, rows("tuned", "good"), rows("base", "bad"), tmp_path, reviewers=3, cases=30)
    return tmp_path, sheets


def fill(sheet, choose):
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row[CHOICE] = choose(row)
    with sheet.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def better(row):
    return "A" if "good" in row["answer A"] else "b "


def test_sheets_are_blind_shuffled_and_safe_to_open(review):
    folder, sheets = review
    tables = []
    for sheet in sheets:
        text = sheet.read_text()
        assert "tuned" not in text and "base" not in text
        with sheet.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 30 and not any("same" in r["answer A"] for r in rows)
        assert all(r["answer A"].startswith("'=") for r in rows)
        assert {"good" in r["answer A"] for r in rows} == {True, False}
        tables.append([(r["item"], "good" in r["answer A"]) for r in rows])
    assert tables[0] != tables[1]
    assert "A, B or tie" in (folder / "rubric.txt").read_text()


def test_a_clear_preference_is_read_back_through_the_blinding(review):
    folder, sheets = review
    fill(sheets[0], better)
    fill(sheets[1], better)
    fill(sheets[2], lambda row: "tie" if row["item"] == "001" else "" if row["item"] == "002" else better(row))
    found = read_sheets(folder)
    assert (found.first, found.second, found.reviewers) == ("tuned", "base", 3)
    assert found.votes == 89 and found.ties == 1 and found.cases == 30
    assert found.share > 0.98 and found.low > 0.9 and found.p < 0.001
    assert found.agreement["observed"] > 0.95


def test_filled_sheets_are_not_written_over(review):
    folder, sheets = review
    suite = Suite(id="s", cases=(Case(id="c", messages=(), expected=""),), scorers=("exact",), primary="exact")
    one, other = ([Prediction(case="c", arm=t, text=t, score=None, seconds=0)] for t in ("a", "b"))
    before = read_sheets_text(sheets)
    assert write_sheets(suite, one, other, folder, rubric="Short is good.") and read_sheets_text(sheets) != before
    assert (
        folder / "rubric.txt"
    ).read_text() == "Short is good.\nWrite A, B or tie; leave a row empty if you cannot judge it.\n"
    fill(sheets[0], lambda row: "A")
    kept = read_sheets_text(sheets)
    with pytest.raises(DataError, match="votes stand in it"):
        write_sheets(suite, one, other, folder)
    assert read_sheets_text(sheets) == kept


def read_sheets_text(sheets):
    return [sheet.read_text() for sheet in sheets]


@pytest.mark.parametrize("mark", [";", "\t"])
def test_what_spreadsheets_make_of_a_sheet_is_read(review, mark):
    folder, sheets = review
    assert sheets[0].read_bytes().startswith(b"\xef\xbb\xbf"), "without it accents are garbled where sheets are opened"
    fill(sheets[0], better)
    with sheets[0].open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    with sheets[0].open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=mark).writerows(rows)
    assert read_sheets(folder).votes == 30
    sheets[0].write_bytes("item,ä".encode("cp1252"))
    with pytest.raises(DataError, match="UTF-8"):
        read_sheets(folder)


def test_cases_of_one_source_are_one_witness(tmp_path):
    cases = tuple(Case(id=f"c{i}", messages=({"role": "user", "content": f"q{i}"},), expected="", group=f"s{i % 3}")
                  for i in range(30))  # fmt: skip
    suite = Suite(id="s", cases=cases, scorers=("exact",), primary="exact")
    one, other = ([Prediction(case=c.id, arm=w, text=w, score=None, seconds=0) for c in cases] for w in ("good", "bad"))
    (sheet,) = write_sheets(suite, one, other, tmp_path, reviewers=1)
    fill(sheet, better)
    found = read_sheets(tmp_path)
    # As of three coins, not of thirty.
    assert found.share == 1 and found.votes == 30 and found.p == 0.25 and found.low < 0.5 < found.high


def test_always_choosing_a_is_no_preference(review):
    folder, sheets = review
    fill(sheets[0], lambda row: "A")
    found = read_sheets(folder)
    assert found.low < 0.5 < found.high and found.agreement == {}


def test_sheets_with_mistakes_say_where(review, tmp_path):
    folder, sheets = review
    with pytest.raises(DataError, match="no sheet holds a vote"):
        read_sheets(folder)
    fill(sheets[1], lambda row: "C")
    with pytest.raises(DataError, match="not A, B or tie") as caught:
        read_sheets(folder)
    assert caught.value.where == "sheet-2.csv:2"
    with pytest.raises(DataError, match="no review"):
        read_sheets(tmp_path / "elsewhere")


def test_arms_that_answer_alike_need_no_review(tmp_path):
    case = Case(id="c", messages=({"role": "user", "content": "q"},), expected="")
    suite = Suite(id="s", cases=(case,), scorers=("exact",), primary="exact")
    rows = [Prediction(case="c", arm="x", text="same", score=None, seconds=0)]
    with pytest.raises(DataError, match="same answers"):
        write_sheets(suite, rows, rows, tmp_path)
