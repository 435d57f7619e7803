"""Golden prompts, what a model says to them, and the comparison of two models' sayings (K23).

A probe is a prompt with the answer the trained model gave. Two models agree when each would greedily say the same
tokens and gives those tokens the same log-probabilities within a tolerance.
"""

from __future__ import annotations

from collections.abc import Sequence

from tunewright.engine import Sampling, TorchEngine
from tunewright.records import Certificate, Record

TOLERANCE = 1e-4


class Fingerprint(Record):
    """`prompts[i]` answered with `outputs[i]`; `logprobs[i][j]` is the natural-log probability of `outputs[i][j]`.

    `dtype` is what the base's weights were held in: in another the same model gives numbers that are rounded otherwise.
    """

    prompts: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]
    logprobs: tuple[tuple[float, ...], ...]
    dtype: str = "float32"


def pick_probes(prompts: Sequence[Sequence[int]], count: int = 64) -> list[list[int]]:
    """At most `count` different prompts, spread evenly over those given."""
    different = list(dict.fromkeys(tuple(p) for p in prompts))
    step = max(1, len(different) // count)
    return [list(p) for p in different[::step][:count]]


def fingerprint(engine: TorchEngine, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> Fingerprint:
    """What `engine` greedily answers to `prompts`, with log-probabilities."""
    answers = engine.generate(prompts, Sampling(max_new_tokens=max_new_tokens))
    outputs = tuple(a.output_ids for a in answers)
    return Fingerprint(
        prompts=tuple(tuple(p) for p in prompts),
        outputs=outputs,
        logprobs=_logprobs(engine, prompts, outputs),
        dtype=str(next(engine.model.parameters()).dtype).removeprefix("torch."),
    )


def certify(
    trained: Fingerprint,
    exported: TorchEngine,
    base: TorchEngine | None,
    tolerance: float = TOLERANCE,
    wanted: Fingerprint | None = None,
) -> Certificate:
    """Put the trained model's probes to `exported`, and to `base`, which must answer differently.

    `base` None skips the second question (a fully tuned model has no base beside it). `wanted` is what the trained
    model answers in the precision of `exported`, where that is not the one of `trained` and `base`.
    """
    wanted = wanted or trained
    again = fingerprint(exported, wanted.prompts, max((len(o) for o in wanted.outputs), default=1))
    tokens_equal = again.outputs == wanted.outputs
    scored = _logprobs(exported, wanted.prompts, wanted.outputs)
    gap = _gap(wanted.logprobs, scored)
    differs = base is None or _gap(trained.logprobs, _logprobs(base, trained.prompts, trained.outputs)) > 10 * tolerance
    return Certificate(
        ok=tokens_equal and gap <= tolerance and differs,
        probes=len(trained.prompts),
        tokens_equal=tokens_equal,
        logprob_gap=gap,
        differs_from_base=differs,
    )


def _logprobs(
    engine: TorchEngine, prompts: Sequence[Sequence[int]], outputs: Sequence[Sequence[int]]
) -> tuple[tuple[float, ...], ...]:
    sequences = [[*p, *o] for p, o in zip(prompts, outputs, strict=True)]
    return tuple(tuple(row) for row in engine.logprobs(sequences, [len(p) for p in prompts]))


def _gap(left: Sequence[Sequence[float]], right: Sequence[Sequence[float]]) -> float:
    """Largest absolute difference of two ragged tables of log-probabilities."""
    pairs = ((a, b) for rows in zip(left, right, strict=True) for a, b in zip(*rows, strict=True))
    return max((abs(a - b) for a, b in pairs), default=0.0)
