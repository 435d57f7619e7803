"""`tunewright baseline --models`: several bases on the same cases, the best first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tunewright.cli.show import NO
from tunewright.cli.terminal import Terminal
from tunewright.cli.words import gate_lines
from tunewright.records import arm_label, scored


def rank_bases(models: str, opened: Callable[[str], Any], terminal: Terminal) -> int:
    """Measure each base, print the ranking, say what to do with it; the exit code is a no where a gate of any is."""
    from tunewright.joins.passing import blocks
    from tunewright.ranking import rank

    found = rank(models.split(","), opened)
    terminal.say()
    for place, one in enumerate(found, 1):
        behind = ""
        if one.behind is not None and one.behind_low is not None and one.behind_high is not None:
            span = f"[{100 * one.behind_low:+.1f}, {100 * one.behind_high:+.1f}]"
            behind = f", behind the first by {100 * -one.behind:.1f} points: {span}, p {one.p:.2g}"
        terminal.say(f"{place}. {one.model}: {arm_label(one.arm)} {scored(one)}{behind}")
        words = "" if one.tokens_per_word is None else f" · {one.tokens_per_word:.2f} tokens a word"
        fits = "" if one.fits else ", does not fit here"
        licence = one.licence or "licence not stated"
        size = f"{one.parameters / 1e6:,.1f} M{fits}"
        terminal.say(f"   {size} · {licence}{words} · {one.seconds:.2f} s a case", style="dim")
        for line, style in gate_lines(one.gates, only_no=True):
            terminal.say(f" {line}", style=style)
    terminal.say()
    alike = [one for one in found[1:] if one.behind_high is not None and one.behind_high >= 0]
    if alike:
        smaller = min([found[0], *alike], key=lambda one: one.parameters)
        names = ", ".join(one.model for one in alike)
        terminal.say(
            f"Not told from the first on {found[0].cases:,} cases: {names}. The smallest of them: {smaller.model}."
        )
    terminal.say("An untuned score is no promise of a tuned one: where two are near, tune both.")
    terminal.document({"models": [one.model_dump(mode="json") for one in found]})
    return NO if any(blocks(one.gates) for one in found) else 0
