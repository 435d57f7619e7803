"""Running the command line in this process: what it printed and the code it ended with."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tunewright.cli import main
from tunewright.cli.state import Stop, stop


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def cli(capsys):
    def run(*arguments: object) -> Ran:
        vars(stop).update(vars(Stop()))
        with pytest.raises(SystemExit) as ended:
            main([str(a) for a in arguments])
        printed = capsys.readouterr()
        return Ran(int(ended.value.code or 0), printed.out, printed.err)

    return run


def typed(remedy: str) -> list[str]:
    """The command that a remedy names, as its words behind `tunewright`."""
    return shlex.split(remedy.partition("tunewright ")[2].partition(" (")[0])


def colours(count: int = 80) -> list[dict]:
    """A task that takes a model minutes to state and seconds to learn: the colour of a thing."""
    things = {"red": ["tomato", "brick", "ruby"], "green": ["leaf", "frog", "pea"], "blue": ["sky", "sea", "jeans"]}
    rows = []
    for i in range(count):
        colour = ["red", "green", "blue"][i % 3]
        thing = things[colour][(i // 3) % 3]
        question = f"Item {i}: what colour is a {thing}?"
        rows.append({"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": colour}]})
    return rows


@pytest.fixture
def rows(tmp_path: Path):
    """Writes rows as JSON lines, returns the file."""

    def write(values: list[Any], name: str = "rows.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join((v if isinstance(v, str) else json.dumps(v)) + "\n" for v in values))
        return path

    return write


@pytest.fixture
def project(tmp_path: Path, rows):
    """A project folder with a small task and little training."""

    def make(values: list[Any] | None = None, recipe: str = "") -> Path:
        data = rows(values if values is not None else colours())
        folder = tmp_path / "project"
        folder.mkdir()
        (folder / "tunewright.yaml").write_text(
            f"model: seedling\ndata:\n  train: [../{data.name}]\n  split: {{test: 0.4, validation: 0.1}}\n"
            "train: {epochs: 1, effective_batch_size: 16, checkpoints: 1}\n" + recipe
        )
        return folder

    return make
