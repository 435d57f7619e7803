"""What is said is said as it is: names and texts of the user's are no markup."""

import io
import re

import pytest
from rich.console import Console

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


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_a_stage_breaks_where_the_terminal_ends(columns):
    stream = io.StringIO()
    terminal = Terminal()
    terminal.out = Console(file=stream, force_terminal=True, width=columns, color_system=None, soft_wrap=True)
    terminal._live = True
    found = "412 of 420 rows used · set aside: 1 bad row, 1 empty output, 6 exact duplicate · 330 train / 41 validation"
    with terminal.stage("data") as told:
        told += [found, "Few-shot already reaches 15.7 % [10.7, 21.0]; tuning must beat that by 5 points to pay."]
    lines = re.sub(r"\r\x1b\[2K[^\r]*\r\x1b\[2K", "", stream.getvalue()).splitlines()
    assert max(map(len, lines)) <= columns
    assert lines[0].startswith("  ✓ data      412 of") and lines[0].endswith(" s")
    assert all(line.startswith(" " * 14) and line[14] != " " for line in lines[1:])
    said = " ".join([lines[0].rsplit("  ", 1)[0], *lines[1:]]).split()
    assert said[2:] == " ".join(told).split()


def test_a_file_has_no_edge(capsys):
    with Terminal().stage("data") as told:
        told.append("word " * 40)
    assert len(capsys.readouterr().out.splitlines()) == 1
