"""The entry point: runs a command and turns whatever happens into an exit code and, at most, three lines."""

from __future__ import annotations

import shlex
import signal
import sys
import warnings
from types import FrameType
from typing import Any

from typer.exceptions import Abort, Exit, TyperException

from tunewright.cli.app import app
from tunewright.cli.state import stop
from tunewright.errors import Interrupted, StorageError, TunewrightError


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit the process with the code that CONTRACTS give."""
    given = sys.argv[1:] if arguments is None else arguments
    as_json, debug = "--json" in given, "--debug" in given
    if not debug:
        # What libraries tell their developers is not for the person at the terminal.
        warnings.filterwarnings("ignore")
    signal.signal(signal.SIGINT, _on_signal)
    signal.signal(signal.SIGTERM, _on_signal)
    try:
        code = app(given, prog_name="tunewright", standalone_mode=False)
        if stop.signal and code == 128 + signal.SIGINT:  # the parser made an exit of the signal, whichever it was
            raise KeyboardInterrupt
    except Interrupted as error:
        error.remedy = error.remedy or _again(given)
        code = _tell(error, as_json, 128 + (stop.signal or signal.SIGINT))
    except TunewrightError as error:
        if debug:
            raise
        code = _tell(error, as_json, error.exit_code)
    except TyperException as error:
        asked = getattr(error, "ctx", None)  # where the words were not understood: of the command that they belong to
        remedy = f"See: {asked.command_path if asked else 'tunewright'} --help"
        code = _tell(TunewrightError(error.format_message(), remedy=remedy), as_json, 2)
    except (Abort, KeyboardInterrupt):
        stopped = Interrupted("stopped; what was complete is kept.", remedy=_again(given))
        code = _tell(stopped, as_json, 128 + (stop.signal or signal.SIGINT))
    except Exit as error:
        code = error.exit_code
    except OSError as error:
        if debug:
            raise
        code = _tell(_refused(error), as_json, 1)
    except Exception as error:
        if debug:
            raise
        unexpected = TunewrightError(
            f"{type(error).__name__}: {error}", remedy="This is our mistake. --debug shows where it happened."
        )
        code = _tell(unexpected, as_json, 1)
    sys.exit(code if isinstance(code, int) else 0)


def _again(given: list[str]) -> str:
    """How to go on after a stop that could not wait for a safe place, or that came before a run had begun."""
    going_on, command = stop.going_on(), shlex.join(["tunewright", *given])
    return f"Go on with: {going_on}" if going_on else f"Go on with the same command: {command}"


def _refused(error: OSError) -> StorageError:
    """What the machine refused, where nobody nearer to it said so."""
    return StorageError(
        f"the machine refused: {error.strerror or error}.",
        where=str(error.filename or ""),
        remedy="Free some space or mend the permissions, then run the same command again; what was complete is kept.",
    )


def _tell(error: TunewrightError, as_json: bool, code: int) -> int:
    if as_json:
        import json

        sys.stdout.write(json.dumps({"error": error.as_dict()}, ensure_ascii=False, indent=2) + "\n")
    else:
        sys.stderr.write(f"{error}\n")
    return code


def _on_signal(number: int, _frame: FrameType | None) -> Any:
    """The first signal asks the running stage to stop at its next safe place; a second one does not wait."""
    if stop.requested or not stop.patient:
        stop.signal = number
        raise KeyboardInterrupt
    stop.requested, stop.signal = True, number
    sys.stderr.write("\nstopping after this step; press again to stop at once\n")
