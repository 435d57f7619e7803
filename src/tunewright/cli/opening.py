"""How a command was asked to work, and the project that it opens so."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.cli.options import belongs

if TYPE_CHECKING:
    from tunewright.cli.terminal import Terminal
    from tunewright.joins.workshop import Project


class Opening:
    """Settings given beside the recipe, gates to pass and why, strictness; and the terminal that is told how it goes.

    Raises `RecipeError` for a gate that there is not, and for one without a reason.
    """

    def __init__(
        self,
        as_json: bool,
        sets: Sequence[str] | None = None,
        allow: Sequence[str] | None = None,
        because: str | None = None,
        strict: bool = False,
    ) -> None:
        self.as_json, self.sets = as_json, tuple(sets or ())
        self._passed = {"allow": _permitted(allow or (), (because or "").strip()), "strict": strict}

    @cached_property
    def terminal(self) -> Terminal:
        from tunewright.cli.terminal import Terminal

        return Terminal(as_json=self.as_json)

    def project(self, path: Path, *more: str) -> Project:
        """The project at `path`, with `more` settings."""
        from tunewright import journey

        return journey.open_project(path, [*self.sets, *more], **self._options())

    def files(self, train: Sequence[Path], test: Sequence[Path] | None, *more: str, **about: Any) -> Project:
        """Data files without a recipe; `about` as `journey.open_files` has it."""
        from tunewright import journey

        settings = [*self.sets, *more]
        return journey.open_files(train, test or (), overrides=settings, **about, **self._options())

    def run(self, path: Path, name: str | None, *, trained: bool = True, resume: bool = False) -> Project:
        """The project as its run was started, settings given beside the recipe then included; they are told."""
        from tunewright import journey
        from tunewright.cli import words

        project = journey.open_run(path, name, self.sets, trained=trained, resume=resume, **self._options())
        for line in words.settings_kept(project.overrides, len(self.sets)):
            self.terminal.say(line, style="dim")
        return project

    def begun(self, path: Path, resume: bool, which: str | None) -> Project:
        """The project to start a run of, or to go on with the run called `which`, or the newest unfinished."""
        if resume:
            project = self.run(path, which, resume=True)
            begun = project.begun.id if project.begun else ""
            self.terminal.say(f"  goes on with run {begun}", style="dim")
            return project
        belongs({"--run": which}, "with --resume", "Without it, a new run begins.")
        return self.project(path)

    def _options(self) -> dict[str, Any]:
        from tunewright.cli.state import stop

        return {**self._passed, "tell": self.terminal, "should_stop": stop.asked}


def _permitted(allow: Sequence[str], because: str) -> dict[str, str]:
    from tunewright.errors import RecipeError
    from tunewright.records import GATES

    unknown = [name for name in allow if name not in GATES]
    if unknown:
        raise RecipeError(f"there is no gate `{unknown[0]}`.", where="--allow", remedy=f"Gates: {', '.join(GATES)}.")
    if allow and not because:
        raise RecipeError("--allow needs a reason.", remedy='Add --because "why this gate may be passed".')
    return dict.fromkeys(allow, because)
