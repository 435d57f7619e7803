"""Whatever is stopped names the command that goes on, and that command can be typed."""

from __future__ import annotations

import os
import signal

import pytest

from tests.command_line import colours, typed
from tunewright.cli.terminal import Terminal


@pytest.fixture
def press(monkeypatch):
    """Presses Ctrl-C, once or oftener, when a stage tells its progress for the first time."""

    def on(stage: str, times: int = 1) -> None:
        real, pressed = Terminal.progress, []

        def progress(self, name, done, total, note=""):
            real(self, name, done, total, note)
            if name == stage and not pressed:
                pressed.append(name)
                for _ in range(times):
                    os.kill(os.getpid(), signal.SIGINT)

        monkeypatch.setattr(Terminal, "progress", progress)

    return on


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--allow", "suite_size", "--because", "a pilot"),
        ("train",),
        ("curve", "--seeds", "1"),
        ("data", "synthesise", "--url", "http://localhost:9/v1", "--model", "teacher"),
    ],
    ids=lambda words: words[0],
)
def test_stopped_while_the_data_is_read_the_same_command_goes_on_for_no_run_has_begun(cli, project, press, words):
    folder = project(colours(200))
    at = 2 if words[0] == "data" else 1
    command = [*words[:at], str(folder), *words[at:]]
    press("data")
    stopped = cli(*command, "--json")
    assert stopped.code == 130, stopped.out + stopped.err
    error = stopped.document["error"]
    assert "stage `data`" in error["message"] and "--resume" not in error["remedy"]
    assert typed(error["remedy"]) == [*command, "--json"]
    assert not (folder / ".tunewright" / "runs").exists()


def test_pressed_again_it_stops_at_once_and_says_how_that_run_goes_on(cli, project, press):
    folder = project(colours(60), "arms: [base, tuned]\ngates: {suite_size: 4}\n")
    press("train", times=2)
    stopped = cli("train", folder)
    run = next((folder / ".tunewright" / "runs").iterdir()).name
    assert stopped.code == 130
    assert f"Go on with: tunewright train {folder} --resume --run {run}" in stopped.err, stopped.err
    went_on = cli(*typed(stopped.err.splitlines()[-1]), "--json")
    assert went_on.code == 0 and went_on.document["run"] == run, went_on.err
