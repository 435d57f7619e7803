"""What a person sees: one line a stage, the moving one last; plain lines when nobody is watching a terminal."""

from __future__ import annotations

import json
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

_BAR = 22
_WIDEST = 100
# Where what a stage found begins, and what its seconds take.
_INDENT, _CLOCK = " " * 14, 9


class Terminal:
    """Implements the journey's `Teller`: stages begin, progress and end with what they found.

    With `as_json` all of this goes to stderr, so that stdout carries the one document.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        stream: TextIO = sys.stderr if as_json else sys.stdout
        # Much of what is said is the user's own words: a `[1]` or `:key:` in them is no markup.
        self.out = Console(file=stream, highlight=False, soft_wrap=True, markup=False, emoji=False)
        self.as_json = as_json
        self.seconds: dict[str, float] = {}
        self._live = self.out.is_terminal
        self._last_plain = time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[list[str]]:
        """A stage of the journey. The block puts what it found into the list it is given."""
        began = time.perf_counter()
        self._last_plain = began
        found: list[str] = []
        self._draw(f"    {name}")
        try:
            yield found
        except BaseException:
            self._erase()
            raise
        self._erase()
        took = time.perf_counter() - began
        self.seconds[name] = round(self.seconds.get(name, 0.0) + took, 2)
        failed = bool(found) and found[0].startswith("!")
        mark, style = ("!", "yellow") if failed else ("✓", "green")
        first, *rest = self._lines(found[0].lstrip("!") if found else "", _CLOCK)
        line = Text.assemble("  ", (mark, style), f" {name:<9} {first}")
        line.pad_right(max(1, self._width - _CLOCK - line.cell_len))
        line.append(f"{_duration(took):>{_CLOCK}}", style="dim")
        self.out.print(line)
        for more in rest:
            self.say(_INDENT + more)
        for more in found[1:]:
            for each in self._lines(more):
                self.say(_INDENT + each, "dim")

    @property
    def _width(self) -> int:
        """Columns of a stage's line. A file has no edge to break at."""
        whole = _WIDEST + _CLOCK
        return max(40, min(self.out.width, whole)) if self._live else whole

    def _lines(self, text: str, spare: int = 0) -> list[str]:
        """What a stage found, broken between words where the terminal ends, `spare` columns before."""
        if not self._live:
            return [text]
        room = self._width - len(_INDENT) - spare
        return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]

    def progress(self, name: str, done: int, total: int | None, note: str = "") -> None:
        """Move the current line. Off a terminal, a plain line at most every ten seconds."""
        counted = f"{done:,}/{total:,}" if total else f"{done:,}"
        if not self._live:
            now = time.perf_counter()
            if now - self._last_plain >= 10:
                self._last_plain = now
                self.out.print(f"    {name} {counted}  {note}")
            return
        bar = ""
        if total:
            full = min(_BAR, int(_BAR * done / total))
            bar = "━" * full + "╸" * (full < _BAR) + "─" * (_BAR - full - 1)
        self._draw(f"    {name} {bar}  {counted}  {note}")

    def say(self, text: str = "", style: str | None = None) -> None:
        self.out.print(Text(text, style=style or ""))

    def paragraph(self, text: str, style: str | None = None, *, first: str = "", rest: str = "") -> None:
        """Text broken between words where the terminal ends: its first line after `first`, the others after `rest`."""
        width = max(30, min(self.out.width, _WIDEST))
        wrap = textwrap.TextWrapper(width, first, rest, break_long_words=False, break_on_hyphens=False)
        for line in wrap.wrap(text) or [first]:
            self.say(line, style)

    def document(self, value: Any) -> None:
        """The one JSON document on stdout, where it was asked for."""
        if not self.as_json:
            return
        sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
        sys.stdout.flush()

    def _draw(self, line: str) -> None:
        if self._live:
            width = max(20, self.out.width - 1)
            self.out.file.write("\r\x1b[2K" + line[:width])
            self.out.file.flush()

    def _erase(self) -> None:
        if self._live:
            self.out.file.write("\r\x1b[2K")
            self.out.file.flush()


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{int(seconds // 60)} m {int(seconds % 60):02d} s"
