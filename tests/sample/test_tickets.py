"""The sample project is deterministic, balanced, derivable and has exactly the defects it says it has."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from tunewright.errors import DataError, StorageError
from tunewright.sample import ACTIONS, CATEGORIES, PRIORITIES, PRODUCTS, examples, write
from tunewright.sample.phrases import PRODUCT_TYPOS, TYPOS


def test_same_seed_same_tickets_and_the_first_do_not_depend_on_how_many() -> None:
    assert examples(50, seed=3) == examples(50, seed=3)
    assert examples(50, seed=3) == examples(120, seed=3)[:50]
    assert examples(50, seed=3) != examples(50, seed=4)


def test_fields_take_known_values_and_none_of_them_is_rare() -> None:
    tickets = examples(412)
    for field, values in (("category", CATEGORIES), ("priority", PRIORITIES), ("action", ACTIONS)):
        counts = Counter(getattr(t, field) for t in tickets)
        assert set(counts) == set(values)
        assert min(counts.values()) >= 15, counts
        assert max(counts.values()) <= 0.55 * len(tickets), counts
    assert {t.product for t in tickets} == {*PRODUCTS, None}
    assert 0.2 < sum(t.order_id is None for t in tickets) / len(tickets) < 0.5


def test_every_answer_can_be_read_off_the_words() -> None:
    for ticket in examples(412):
        if ticket.order_id is not None:
            assert re.search(rf"(?<![\d-]){ticket.order_id}(?![\w-])", ticket.text), ticket
        else:
            assert not re.search(r"(order|#)\D{0,10}\d{4}", ticket.text, re.IGNORECASE), ticket
        named = [p for p in PRODUCTS if p in ticket.text.lower() or PRODUCT_TYPOS[p] in ticket.text.lower()]
        assert named == ([ticket.product] if ticket.product else []), ticket
        assert json.loads(ticket.answer()) == {
            "category": ticket.category,
            "priority": ticket.priority,
            "product": ticket.product,
            "order_id": ticket.order_id,
            "action": ticket.action,
        }


def test_edge_cases_are_there() -> None:
    texts = [t.text for t in examples(412)]
    assert sum(len(set(re.findall(r"\b\d{4}\b", t)) - {"2024"}) > 1 for t in texts) >= 10, "two order numbers"
    assert sum(t.startswith(("Fwd", "FW", "From", "fwd", "fw", "from", "----")) for t in texts) >= 10, "forwarded"
    assert sum(bool(re.search(r"[$€]\d", t)) for t in texts) >= 15, "prices"
    assert sum(any(slip in t for slip in TYPOS.values()) for t in texts) >= 30, "typing slips"
    assert sum("!!" in t or "angry" in t or "lawyer" in t for t in texts) >= 20, "anger"
    assert sum("do not send a new one" in t or "No refund" in t or "no refund" in t for t in texts) >= 5, "negations"


def test_no_two_tickets_are_the_same_words_and_none_is_long() -> None:
    tickets = examples(412)
    assert len({re.sub(r"\W", "", t.text.casefold()) for t in tickets}) == len(tickets)
    assert max(len(t.text) for t in tickets) <= 190
    assert max(len(t.answer()) for t in tickets) <= 120


def test_the_file_has_420_rows_six_repeats_and_two_broken(tmp_path: Path) -> None:
    path = write(tmp_path / "sample")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 420
    good, broken, empty = [], 0, 0
    for line in lines:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            broken += 1
            continue
        assert [m["role"] for m in row["messages"]] == ["user", "assistant"]
        if not row["messages"][1]["content"]:
            empty += 1
            continue
        assert set(json.loads(row["messages"][1]["content"])) == {
            "category",
            "priority",
            "product",
            "order_id",
            "action",
        }
        good.append(line)
    assert (broken, empty) == (1, 1)
    assert len(good) - len(set(good)) == 6
    assert (tmp_path / "sample" / "README.md").read_text().count("420") == 1


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    assert write(tmp_path / "a").read_bytes() == write(tmp_path / "b").read_bytes()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageError) as caught:
        write(tmp_path / "file")
    assert "file" in caught.value.where


def test_writing_again_is_fine_and_another_file_is_never_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "sample"
    rows = write(folder, {"more.txt": "more"}).read_bytes()
    assert write(folder, {"more.txt": "more"}).read_bytes() == rows
    (folder / "README.md").write_text("mine")
    (folder / "more.txt").unlink()
    with pytest.raises(DataError, match=r"README\.md: there already") as told:
        write(folder, {"more.txt": "more"})
    assert told.value.where == str(folder) and "--out" in told.value.remedy and "delete" in told.value.remedy
    assert (folder / "README.md").read_text() == "mine" and not (folder / "more.txt").exists(), "nothing was written"
