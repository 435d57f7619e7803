"""Datasets of the hub: kept by commit, read as saved folders are, and a clear word where there is no hub."""

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import httpx2
import huggingface_hub
import huggingface_hub.errors
import pytest
from pydantic import ValidationError

from tunewright.data import load
from tunewright.errors import DataError
from tunewright.recipe import DataSpec

from .helpers import jsonl, pairs, run

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NOT_SPLIT = {"test": 0, "validation": 0}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """A hub of one dataset; what it was asked for."""
    calls: list[tuple[Any, ...]] = []
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    rows = {"text": [f"text {i} of it" for i in range(20)], "label": [0, 1] * 10}

    def load_dataset(name: str, config: str | None, *, split: str, revision: str) -> datasets.Dataset:
        calls.append((name, config, split, revision))
        return datasets.Dataset.from_dict(rows, features)

    def dataset_info(self: Any, name: str, revision: str | None = None) -> SimpleNamespace:
        if name != "org/name":
            response = httpx2.Response(404, request=httpx2.Request("GET", "https://hub.test"))
            raise huggingface_hub.errors.RepositoryNotFoundError(f"no dataset {name}", response=response)
        calls.append(("info", revision))
        return SimpleNamespace(sha=COMMIT)

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [])
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", dataset_info)
    return calls


def test_a_dataset_of_the_hub_is_kept_and_recorded_by_its_commit(tmp_path: Path, asked: list[tuple[Any, ...]]) -> None:
    source = {"path": "hub:org/name", "revision": "main", "config": "small", "split": "all", "license": "MIT"}
    result = run(tmp_path, [source], split=NOT_SPLIT)
    assert asked == [("info", "main"), ("org/name", "small", "all", COMMIT)]
    (recorded,) = result.dataset.sources
    assert recorded.path == f"hub:org/name@{COMMIT} small all" and recorded.license == "MIT" and recorded.rows == 20
    assert [e.label for e in load(result.path, "train")] == ["no", "yes"] * 10
    run(tmp_path, [source], split=NOT_SPLIT)
    assert asked[2:] == [("info", "main")]  # whether main is still that commit; the rows are here


def test_a_commit_that_is_here_needs_no_hub(
    tmp_path: Path, asked: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = {"path": "hub:org/name", "revision": COMMIT}
    first = run(tmp_path, [source])
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert run(tmp_path, [source]).dataset.id == first.dataset.id
    assert asked == [("org/name", None, "train", COMMIT)]


def test_what_cannot_be_had_is_said(
    tmp_path: Path, asked: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="no dataset org/other") as other:
        run(tmp_path, ["hub:org/other"])
    assert "revision" in other.value.remedy
    with pytest.raises(DataError, match="no id of a dataset"):
        run(tmp_path, ["hub:org/name/more"])

    def unreachable(*_: Any) -> None:
        raise OSError("no name service")

    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    with pytest.raises(DataError, match="cannot be reached from this machine") as gone:
        run(tmp_path, ["hub:org/name"])
    assert "Without a network" in gone.value.remedy and not asked


def test_the_prefix_tells_the_hub_from_a_path(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file") as missing:
        run(tmp_path, ["org/name"])
    assert "hub:org/name" in missing.value.remedy
    jsonl(tmp_path / "train.jsonl", pairs(10))
    with pytest.raises(ValidationError, match="datasets of the hub"):
        DataSpec.model_validate({"train": [{"path": "train.jsonl", "revision": "main"}]})
