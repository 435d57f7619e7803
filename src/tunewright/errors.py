"""Everything that can go wrong in a way a person can mend.

One tree. Each class is also the builtin it resembles, so callers who know nothing of us can still catch it.
A message says what is wrong; `where` says in which file, line or setting; `remedy` says what to do next.
"""


class TunewrightError(Exception):
    """Base of all our errors.

    `exit_code` is what the command line returns: 2 when the input cannot be used, 1 when the machine is in trouble.
    """

    exit_code = 2

    def __init__(self, message: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        head = f"{self.where}: {self.message}" if self.where else self.message
        return f"{head}\n    {self.remedy}" if self.remedy else head

    def as_dict(self) -> dict[str, str]:
        """The error as `--json` prints it."""
        return {
            "type": type(self).__name__,
            "message": self.message,
            "where": self.where,
            "remedy": self.remedy,
        }


class RecipeError(TunewrightError, ValueError):
    """The recipe cannot be read or asks for something that does not exist."""


class DataError(TunewrightError, ValueError):
    """A data file is missing, empty, or of no recognisable shape."""


class ModelError(TunewrightError, ValueError):
    """What was named as a model is not one that can be used."""


class RenderError(TunewrightError, ValueError):
    """A conversation cannot be rendered so that the loss mask covers exactly the assistant's words."""


class RunError(TunewrightError, LookupError):
    """A run is missing, unfinished, or does not fit what was asked of it."""


class ScorerError(TunewrightError, ValueError):
    """A scorer is unknown or cannot score the cases given to it."""


class StorageError(TunewrightError, OSError):
    """The disk refused: full, read-only or gone. The message says what was kept."""

    exit_code = 1


class TrainingError(TunewrightError, RuntimeError):
    """Training cannot go on: losses are not numbers, nothing is trainable, memory is out at batch one."""

    exit_code = 1


class EndpointError(TunewrightError, ConnectionError):
    """A server that was asked for answers refuses them, or does not answer."""

    exit_code = 1


class Interrupted(TunewrightError, RuntimeError):
    """Stopped by a signal after the step was finished and the state saved."""

    exit_code = 130
