"""Takes files, gives an immutable dataset version and what was found wrong with it."""

from tunewright.data import versions
from tunewright.data.auditing import Audit, audit
from tunewright.data.conversion import convert
from tunewright.data.fixing import fix
from tunewright.data.recognition import recognise
from tunewright.data.suites import Asked
from tunewright.data.version import load

__all__ = ["Asked", "Audit", "audit", "convert", "fix", "load", "recognise", "versions"]
