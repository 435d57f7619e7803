"""Answers held to a JSON schema while they are generated, by llguidance."""

from __future__ import annotations

from functools import cache
from typing import Any

import llguidance.hf
import numpy as np
import torch
from llguidance import LLMatcher

from tunewright.errors import RecipeError

# One layout, that of `json.dumps`: with free white space a weak model writes spaces for ever.
LAYOUT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class GrammarState:
    """How far one answer has got; which tokens may come next."""

    def __init__(self, matcher: Any, stop_ids: frozenset[int]) -> None:
        self._matcher = matcher
        self._stops = sorted(stop_ids)

    def allowed(self, size: int) -> torch.Tensor:
        """A flag per token of a vocabulary of `size`. Once the answer is complete only stop tokens are left."""
        flags = torch.zeros(size, dtype=torch.bool)
        if self._matcher.is_stopped():
            flags[self._stops] = True
            return flags
        bits = np.unpackbits(np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8), bitorder="little")
        known = min(size, len(bits))
        flags[:known] = torch.from_numpy(bits[:known].astype(bool))
        return flags

    def take(self, token: int) -> None:
        """Note the token that was chosen. After the end nothing is noted."""
        if not self._matcher.is_stopped():
            self._matcher.consume_token(token)


class Grammar:
    """Makes states for schemas over one tokenizer's vocabulary. `stop_ids` end an answer."""

    def __init__(self, tokenizer: Any, stop_ids: frozenset[int]) -> None:
        self._vocabulary = llguidance.hf.from_tokenizer(tokenizer, eos_token=sorted(stop_ids))
        self._stop_ids = stop_ids
        self._compile = cache(self._compiled)

    def state(self, schema: str) -> GrammarState:
        """The state before the first token. Raises `RecipeError` for a schema that cannot be held to."""
        return GrammarState(self._compile(schema).deep_copy(), self._stop_ids)

    def _compiled(self, schema: str) -> Any:
        try:
            matcher = LLMatcher(self._vocabulary, LLMatcher.grammar_from_json_schema(schema, overrides=LAYOUT))
        except ValueError as error:
            raise _unusable(str(error)) from None
        if matcher.is_error():
            raise _unusable(matcher.get_error())
        return matcher


def _unusable(reason: str) -> RecipeError:
    first = reason.strip().splitlines()[0] if reason.strip() else "unknown reason"
    return RecipeError(f"the JSON schema cannot be used for decoding: {first}", where="suite.json_schema")
