"""What is said is said as it is: names and texts of the user's are no markup."""

import pytest

from tunewright.cli.terminal import Terminal

ODD = "data[1].jsonl [bold] [/x] :key: [link=a]b[/link] \\[c]"


def _stage(terminal):
    with terminal.stage("data") as found:
        found += [ODD, ODD]


def _progress(terminal):
    terminal._last_plain = float("-inf")  # off a terminal a line is due every ten seconds
    terminal.progress("data", 1, 2, ODD)


@pytest.mark.parametrize("how", [_stage, _progress, lambda t: t.say(ODD), lambda t: t.out.print(ODD)])
def test_brackets_and_colons_in_what_is_said_stay(capsys, how):
    how(Terminal())
    lines = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines and all(ODD in line for line in lines)


def test_a_file_with_brackets_in_its_name_is_named_as_it_is(cli, rows, tmp_path):
    file = rows([{"prompt": f"Question {i}?", "completion": f"Answer {i}."} for i in range(40)], "data[1].jsonl")
    assert "data[1].jsonl" in cli("init", tmp_path / "made", "--data", file).out
