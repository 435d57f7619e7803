"""Which computation a run uses: the fastest that a probe on this very model finds equal to the plain one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from tunewright.errors import TrainingError, TunewrightError
from tunewright.models import quantised
from tunewright.records import Rendered
from tunewright.train.adapters import trainable
from tunewright.train.fused import why_not
from tunewright.train.head import REFUSALS, Cut, cut
from tunewright.train.memory import give_back, is_out_of_memory
from tunewright.train.settings import Settings
from tunewright.train.step import DTYPES, Computer, Layout

# Float32 sums in another order differ by about 1e-6; a leak between examples by far more than this.
_TOLERANCE = 1e-4
# Two passes that draw nothing at random differ by less than this, if at all.
_CHANCE = 1e-5
# So long an ending of the longest example shows what packing and sharing can do wrong. All of it, through plain modules
# that keep the scores and logits of every token, could take more memory than any step of the run.
_TELLING = 256
_BEYOND_WINDOW = 128
_PLAIN = "one example at a time"


@dataclass(frozen=True)
class Choice:
    """The computation chosen, and why each faster one was not."""

    computer: Computer
    how: str
    refused: tuple[str, ...]


def choose(model: Any, examples: Sequence[Rendered], settings: Settings) -> Choice:
    """The widest layout whose loss and gradients on a few examples equal those of one example at a time.

    The probe runs in float32 on the shortest example and on the end of the longest, twice with another last token, so
    that packing, sharing and a sliding window all show. Dropout makes two passes differ, so it is off in the probe;
    with dropout no prefix is shared, since a shared state would be dropped once for all its examples.
    """
    probe = probe_examples(model, examples)
    model.eval()
    found = cut(model, probe[0].ids)
    _assert_places(model, found, examples)
    # As plain as it can be: the head is cut off only where its logits would be too many.
    needed = found if found is not None and len(probe[-1].ids) > found.most else None
    plain = Computer(model, "float32", "alone", fused=False, share=False, cut=needed)
    try:
        drops, want = _drops(model, probe[0]), outcome(model, plain, probe)
    except REFUSALS as error:
        if settings.precision == "float32" or not plain.narrow or is_out_of_memory(error):
            raise
        # Nothing is there to hold a faster way against; in bfloat16, plainly, the family may be computed all the same.
        computer = Computer(model, settings.precision, "alone", fused=False, share=False, cut=found)
        return Choice(computer, _PLAIN, (f"forest by modules: no probe in float32, {_first_line(error)}",))
    computing = partial(Computer, model, share=settings.share and not drops, cut=found)
    options: list[tuple[str, Layout, bool]] = [("modules", "forest", False), ("modules", "padded", False)]
    refused = []
    reason = why_not(model)
    if reason is None:
        options.insert(0, ("fused", "forest", True))
    else:
        refused.append(f"forest by fused: {reason}")
    for kind, layout, fused in options:
        name = f"{layout} by {kind}"
        try:
            computer = computing("float32", layout, fused=fused)
            gap = _gap(outcome(model, computer, probe), want)
            if drops:
                _trains(model, computer, probe)
        except (TunewrightError, *REFUSALS) as error:
            refused.append(f"{name}: {_first_line(error)}")
            continue
        if gap <= _TOLERANCE:
            kept = fused and keeps(model, settings)
            if settings.precision != "float32" or kept:
                computer = computing(settings.precision, layout, fused=fused, kept=kept)
            return Choice(computer, name, tuple(refused))
        refused.append(f"{name}: differs from one example at a time by {gap:.1e}")
    return Choice(computing(settings.precision, "alone", fused=False), _PLAIN, tuple(refused))


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def keeps(model: Any, settings: Settings) -> bool:
    """Whether weights that are held in 4 bits are read back once for the whole run, rather than in every pass."""
    if settings.dequantise == "auto":
        return quantised.worth_keeping(model, DTYPES[settings.precision])
    return settings.dequantise == "once" and bool(quantised.layers(model))


def _drops(model: Any, example: Rendered) -> bool:
    """True when anything in the model draws random masks in training: two passes over one `example` differ then."""
    # A fresh adapter's dropout shows in no loss: what comes of it is multiplied by zero.
    if any(isinstance(m, torch.nn.Dropout) and m.p > 0 for m in model.modules()):
        return True
    alone = Computer(model, "float32", "alone", fused=False, share=False)
    with _training(model):
        one, other = (alone.summed_loss(alone.lay_out([example], 1))[0] for _ in range(2))
    return bool(abs(one - other) > _CHANCE * abs(one))


def _trains(model: Any, computer: Computer, examples: Sequence[Rendered]) -> None:
    """Raise what `computer` raises in training only, where scores of attention are dropped for instance."""
    with _training(model):
        computer.summed_loss(computer.lay_out(examples, 1_000_000))


@contextlib.contextmanager
def _training(model: Any) -> Iterator[None]:
    """`model` as in training inside the block; the run draws after it what it would have drawn without."""
    with torch.random.fork_rng():
        model.train()
        try:
            yield
        finally:
            model.eval()


def _text_config(model: Any) -> Any:
    config = model.config
    return config.get_text_config() if hasattr(config, "get_text_config") else config


def probe_examples(model: Any, examples: Sequence[Rendered]) -> list[Rendered]:
    """The shortest of `examples`, the end of the longest, and that end with another last token."""
    by_length = sorted((e for e in examples if e.supervised), key=lambda example: len(example.ids))
    shortest, longest = (_ending(example, _telling_length(model)) for example in (by_length[0], by_length[-1]))
    # Any other token will do; the one before it in the same example is surely in the vocabulary.
    ending = longest.ids[-2] if longest.ids[-2] != longest.ids[-1] else longest.ids[0]
    return [shortest, longest, replace(longest, ids=(*longest.ids[:-1], ending))]


def _telling_length(model: Any) -> int | None:
    """How many tokens show all that can go wrong; None where positions are computed otherwise in longer rows."""
    config = _text_config(model)
    ropes = getattr(config, "rope_parameters", None) or {}
    kinds = [ropes, *(value for value in ropes.values() if isinstance(value, dict))]
    if any(kind.get("rope_type") in ("dynamic", "longrope") for kind in kinds):
        return None
    reach = max(getattr(config, name, None) or 0 for name in ("sliding_window", "attention_chunk_size"))
    return max(_TELLING, reach + _BEYOND_WINDOW if reach else 0)


def _ending(example: Rendered, length: int | None) -> Rendered:
    """The last `length` tokens of `example`, if something is learnt there; else all of it."""
    if length is None or len(example.ids) <= length or not any(example.weights[1 - length :]):
        return example
    return replace(
        example,
        ids=example.ids[-length:],
        weights=(0.0, *example.weights[1 - length :]),
        prompt_length=max(0, example.prompt_length - len(example.ids) + length),
    )


def _assert_places(model: Any, found: Cut | None, examples: Sequence[Rendered]) -> None:
    """Raise `TrainingError` for an example with more tokens than the base has places in a table."""
    places = getattr(_text_config(model), "max_position_embeddings", None)
    longest = max(examples, key=lambda example: len(example.ids))
    if places is None or len(longest.ids) <= places:
        return
    row = torch.tensor([longest.ids[: places + 1]], device=next(model.parameters()).device)
    try:
        with torch.no_grad():
            found.states(input_ids=row) if found is not None else model(input_ids=row, use_cache=False)
    except IndexError as error:
        raise TrainingError(
            f"an example has {len(longest.ids):,} tokens, and this base tells no more than {places:,} apart by place.",
            where="train.max_length",
            remedy=f"Set train.max_length to {places} or less: longer examples are cut there, and counted.",
        ) from error


def outcome(model: Any, computer: Computer, examples: Sequence[Rendered]) -> tuple[float, list[torch.Tensor]]:
    """The loss and, per trained tensor, its gradient; the parameters' own gradients are left empty."""
    batches, trained = computer.lay_out(examples, 1_000_000), trainable(model).values()
    try:
        loss = computer.accumulate(batches, sum(batch.weight for batch in batches))
        return loss, [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
    finally:
        # What came to its end half-way has left some too, which the next one would add to.
        for parameter in trained:
            parameter.grad = None
        give_back()


def _gap(got: tuple[float, list[torch.Tensor]], want: tuple[float, list[torch.Tensor]]) -> float:
    """The larger of the relative differences of loss and of all gradients together (nan counts as infinite)."""
    apart = sum(float((a - b).double().square().sum()) for a, b in zip(got[1], want[1], strict=True)) ** 0.5
    size = sum(float(b.double().square().sum()) for b in want[1]) ** 0.5
    gap = max(abs(got[0] - want[0]) / max(abs(want[0]), 1e-9), apart / max(size, 1e-9))
    return gap if gap == gap else float("inf")
