"""What needs no torch loads none, so that a question is answered at once."""

from __future__ import annotations

import subprocess
import sys
import time

from tests.architecture import source

ASK_FOR_HELP = """
import tunewright.cli
try:
    tunewright.cli.main(["--help"])
except SystemExit as end:
    assert not end.code
"""
HEAVY = ("torch", "transformers", "peft", "sklearn", "pyarrow")


def _loaded_by(code: str) -> tuple[set[str], str]:
    """The heavy libraries a fresh interpreter holds after `code`, and what it printed."""
    told = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print('HEAVY', *(set({HEAVY!r}) & sys.modules.keys()))"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    *printed, last = told.stdout.splitlines()
    return set(last.split()[1:]), "\n".join(printed)


def test_the_test_would_notice() -> None:
    assert _loaded_by("import sys; sys.modules['torch'] = sys")[0] == {"torch"}


def test_lower_hallways_and_the_command_line_load_no_torch() -> None:
    parts = [p for p in (*source.LOWER, *source.DOORS, "sample") if p in source.packages()]
    heavy, _ = _loaded_by("\n".join(f"import tunewright.{part}" for part in (*parts, "records", "errors")))
    assert not heavy & {"torch", "transformers", "peft"}


def test_help_answers_at_once() -> None:
    began = time.perf_counter()
    heavy, printed = _loaded_by(ASK_FOR_HELP)
    assert not heavy
    assert "demo" in printed
    assert time.perf_counter() - began < 5, "generous: half a second on a quiet machine"


def test_the_journey_loads_no_models_before_one_is_asked_for() -> None:
    """Whoever checks data need not wait for PEFT and for transformers' modelling."""
    code = "import sys, tunewright.journey\nprint(*sys.modules, sep='\\n')"
    assert not {"peft", "bitsandbytes", "transformers.modeling_utils"} & set(_loaded_by(code)[1].split())
