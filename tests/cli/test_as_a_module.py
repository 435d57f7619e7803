"""`python -m tunewright` is the command."""

from __future__ import annotations

import runpy

import pytest


def test_the_module_is_the_command(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["tunewright", "--version"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("tunewright", run_name="__main__")
    assert not ended.value.code
    assert capsys.readouterr().out.strip()[0].isdigit()
