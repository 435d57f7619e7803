"""An audit is made once for the same files, settings and code, and anew as soon as any of them changes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tunewright import journey
from tunewright.joins import remembered, workshop


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How often an audit was really made."""
    found: list[str] = []
    real = workshop.audit

    def audit(*given: Any, **options: Any) -> Any:
        found.append("made")
        return real(*given, **options)

    monkeypatch.setattr(workshop, "audit", audit)
    return found


def test_the_same_audit_is_read_and_not_made(project: Any, made: list[str]) -> None:
    folder = project()
    first = journey.open_project(folder).audit
    again = journey.open_project(folder).audit
    assert made == ["made"]
    assert again.as_dict() == first.as_dict() and again.path == first.path and again.fluency == first.fluency
    assert len(journey.open_project(folder).examples("train")) == first.dataset.splits["train"]


def test_whatever_changes_makes_it_anew(project: Any, made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder: Path = project()
    rows = folder.parent / "rows.jsonl"
    before = journey.open_project(folder).audit

    def anew(**options: Any) -> Any:
        made.clear()
        opened = journey.open_project(folder, **options).audit
        return opened if made else None

    assert anew() is None
    assert anew(overrides=["data.system=Be brief."]).dataset.id != before.dataset.id
    assert anew(overrides=["gates.bad_rows=0.5"])
    assert anew(overrides=["train.max_length=512"])
    assert anew(allow={"leak": "we know"})
    assert anew() and anew() is None
    with rows.open("a") as file:
        file.write(rows.read_text().splitlines()[0].replace("Item 0", "Item 99") + "\n")
    more = anew()
    assert more.dataset.ledger.read == before.dataset.ledger.read + 1
    shutil.rmtree(more.path)
    assert anew().path.is_dir()
    (folder / ".tunewright" / "audit.json").write_text("{")
    assert anew() and anew() is None
    monkeypatch.setattr(remembered, "version", lambda name: "another")
    assert anew()


def test_a_copied_project_reads_its_own_versions(project: Any, made: list[str]) -> None:
    folder: Path = project()
    journey.open_project(folder).audit  # noqa: B018
    shutil.copytree(folder, folder.parent / "copy")
    shutil.rmtree(folder)
    path = journey.open_project(folder.parent / "copy").audit.path
    assert made == ["made"] and path.is_relative_to(folder.parent / "copy") and path.is_dir()


def test_what_lies_outside_our_files_is_looked_at_each_time(project: Any) -> None:
    opened = journey.open_project(project())
    recipe, root = opened.recipe, opened.folder.root
    assert remembered.key_of(recipe, root, ()) is not None
    gone = recipe.model_copy(update={"data": recipe.data.model_copy(update={"embedding": "base"})})
    assert remembered.key_of(gone, root, ()) is None
    query = recipe.data.train[0].model_copy(update={"path": "sqlite:///x.db", "query": "SELECT 1"})
    assert remembered.key_of(
        recipe.model_copy(update={"data": recipe.data.model_copy(update={"train": (query,)})}), root, ()
    ) is None  # fmt: skip
