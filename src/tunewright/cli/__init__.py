"""Takes what a person types, gives stages, findings and an exit code. The one door that turns errors into words."""

from tunewright.cli.main import main

__all__ = ["main"]
