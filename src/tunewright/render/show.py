"""A rendered example as text pieces, supervised or not, for people to look at."""

from __future__ import annotations

from collections.abc import Iterator

from tunewright.records import Rendered
from tunewright.render.renderer import Renderer


def spans(renderer: Renderer, rendered: Rendered) -> Iterator[tuple[str, bool]]:
    """`(text, supervised)` pieces of `rendered`, in order; joined they are the whole text the model sees."""
    start = 0
    flags = [w > 0 for w in rendered.weights]
    for i in range(1, len(flags) + 1):
        if i == len(flags) or flags[i] != flags[start]:
            text = renderer.tokenizer.decode(list(rendered.ids[start:i]), clean_up_tokenization_spaces=False)
            yield str(text), flags[start]
            start = i
