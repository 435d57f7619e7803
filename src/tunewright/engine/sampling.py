"""How the next token is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tunewright.engine.grammar import Grammar, GrammarState


@dataclass(frozen=True, slots=True)
class Sampling:
    """Greedy unless `temperature` is above 0.

    `max_new_tokens` counts the stop token. `top_k` 0 and `top_p` 1 cut nothing off. `seed` fixes every draw: prompt
    number i of a call draws from its own stream, so its result does not depend on its neighbours in a batch.
    `schema` is a JSON schema as text: only tokens that can still become JSON of that schema are allowed.
    """

    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0
    schema: str | None = None

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ValueError("max_new_tokens must be at least 1")
        if self.temperature < 0 or not 0 < self.top_p <= 1 or self.top_k < 0:
            raise ValueError("temperature ≥ 0, 0 < top_p ≤ 1 and top_k ≥ 0 are needed")

    @property
    def greedy(self) -> bool:
        return self.temperature == 0

    def key(self) -> str:
        """What identifies the outcome of sampling, for caches."""
        held = "" if self.schema is None else f":{self.schema}"
        if self.greedy:
            return f"greedy:{self.max_new_tokens}{held}"
        return f"t{self.temperature}:p{self.top_p}:k{self.top_k}:s{self.seed}:{self.max_new_tokens}{held}"


class Chooser:
    """Chooses tokens for the prompts `numbers` of a call: one random stream and, under a schema, one grammar each."""

    def __init__(self, sampling: Sampling, numbers: Sequence[int], grammar: Grammar | None = None) -> None:
        self._sampling = sampling
        self._streams = [] if sampling.greedy else [stream(sampling, n) for n in numbers]
        self._states: list[GrammarState] = []
        if sampling.schema is not None:
            if grammar is None:
                raise ValueError("a schema needs an engine that was given its tokenizer")
            self._states = [grammar.state(sampling.schema) for _ in numbers]

    def __call__(self, logits: torch.Tensor, rows: Sequence[int]) -> list[int]:
        """The next token of each of `rows` (places among the numbers), from their logits (rows, vocabulary)."""
        if self._states:
            allowed = torch.stack([self._states[row].allowed(logits.shape[-1]) for row in rows])
            logits = logits.masked_fill(~allowed.to(logits.device), float("-inf"))
        tokens = choose(logits, self._sampling, [self._streams[row] for row in rows] if self._streams else [])
        for row, token in zip(rows, tokens, strict=True):
            if self._states:
                self._states[row].take(token)
        return tokens


def choose(logits: torch.Tensor, sampling: Sampling, streams: Sequence[torch.Generator]) -> list[int]:
    """The next token of each row of `logits` (rows, vocabulary); `streams` are the rows' random streams."""
    if sampling.greedy:
        return [int(i) for i in _highest(logits).tolist()]
    scaled = logits.float().cpu() / sampling.temperature
    if sampling.top_k:
        least = scaled.topk(min(sampling.top_k, scaled.shape[-1]), dim=-1).values[:, -1:]
        scaled = scaled.masked_fill(scaled < least, float("-inf"))
    probabilities = scaled.softmax(dim=-1)
    if sampling.top_p < 1:
        ordered, order = probabilities.sort(dim=-1, descending=True)
        # A token stays while the mass before it is below top_p: the most likely one always does.
        ordered[ordered.cumsum(dim=-1) - ordered >= sampling.top_p] = 0
        probabilities = torch.zeros_like(probabilities).scatter_(-1, order, ordered)
    return [
        int(torch.multinomial(row, 1, generator=stream)) for row, stream in zip(probabilities, streams, strict=True)
    ]


def _highest(logits: torch.Tensor) -> torch.Tensor:
    """The first highest of each row, as `argmax`, which takes several times as long: the maximum of each stretch is a
    vectorised pass over the logits, and only the first stretch with the highest is searched."""
    rows, size = logits.shape
    stretch = 128
    if size % stretch:
        return logits.max(dim=-1).indices
    pieces = logits.view(rows, -1, stretch)
    which = pieces.amax(dim=-1).max(dim=-1).indices
    best = pieces[torch.arange(rows, device=logits.device), which]
    return which * stretch + best.max(dim=-1).indices


def stream(sampling: Sampling, number: int) -> torch.Generator:
    """The random stream of prompt `number` of a call."""
    generator = torch.Generator()
    generator.manual_seed(sampling.seed * 1_000_003 + number)
    return generator
