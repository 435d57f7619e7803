"""What leaves the house holds no password of a database or a server that the recipe names."""

from __future__ import annotations

import json

import pytest

from tests.export.test_card import RUN
from tunewright import journey
from tunewright.export import manifest, without_passwords
from tunewright.joins.workshop import begin_run


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("postgresql://me:hunter2@db.example/x", "postgresql://me:***@db.example/x"),
        ("postgresql+psycopg://me:hun/ter@2@db/x?a=b@c", "postgresql+psycopg://me:***@db/x?a=b@c"),
        ("redis://:hunter2@db:6379/0", "redis://:***@db:6379/0"),
        ("see https://me:hunter2@a.example/v1, https://b.example:8080/v1 and me@c.example", None),
        ("https://b.example:8080/v1", "https://b.example:8080/v1"),
        ("tickets.jsonl", "tickets.jsonl"),
    ],
)
def test_a_password_in_a_url_is_masked_and_nothing_else(said: str, left: str | None) -> None:
    left = left or "see https://me:***@a.example/v1, https://b.example:8080/v1 and me@c.example"
    assert without_passwords({"data": {"train": [{"path": said, "weight": 1.0}]}, "on": (said, None)}) == {
        "data": {"train": [{"path": left, "weight": 1.0}]},
        "on": [left, None],
    }


def test_the_manifest_holds_none_of_a_run_that_does() -> None:
    train = [{"path": "postgresql://me:hunter2@db/x", "query": "SELECT 1"}]
    facts = manifest(RUN.model_copy(update={"recipe": {"data": {"train": train}}}), frozenset({0}))
    assert "hunter2" not in json.dumps(facts)
    assert facts["recipe"]["data"]["train"] == [{"path": "postgresql://me:***@db/x", "query": "SELECT 1"}]


def test_a_runs_record_holds_none(project) -> None:
    folder = project(recipe="judge: {url: 'https://me:hunter2@judge.example/v1', model: m}\n")
    record = begin_run(journey.open_project(folder)).record.read_text()
    assert "hunter2" not in record and "https://me:***@judge.example/v1" in record


def test_no_page_shows_one_that_was_given_beside_the_recipe(project) -> None:
    folder = project(recipe="arms: [classifier]\n")
    opened = journey.open_project(folder, ["judge={url: 'https://me:hunter2@judge.example/v1', model: m}"])
    pages = [journey.check(opened).report, journey.baseline(opened).report]
    for page in pages:
        assert "hunter2" not in page.read_text() and "me:***@judge.example" in page.read_text()
