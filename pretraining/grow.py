"""Grows the seedling: one readable loop, seeded and resumable. Run it again after any stop and it goes on where it was.

python -m pretraining.grow --corpus ../shared/corpus --work /somewhere/seedling
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch

from . import corpus as corpora
from . import tokenizer as pieces
from .hands import Hands
from .measure import bits_per_byte
from .mixture import Mixture, prepare
from .network import Seedling, Shape, parameters, read
from .optimizer import Optimizers
from .package import write
from .stages import MICRO_TOKENS, PARTS, STAGES, TOTAL, rate, stage_at

SEED = 0
AVERAGE = (
    0.98  # of the running average of the weights, taken every ten steps: usable weights while the rate is still high
)


class Run:
    """All that changes, and how it is kept."""

    def __init__(self, shape: Shape, mixture: Mixture, dtype: torch.dtype):
        torch.manual_seed(SEED)
        self.model = Seedling(shape, dtype)
        self.optimizers = Optimizers(self.model, dtype)
        self.average = {n: p.detach().clone() for n, p in self.model.named_parameters()}
        self.mixture, self.step, self.tokens, self.seconds = mixture, 0, 0, 0.0

    def save(self, path: Path) -> None:
        state = {
            "model": self.model.state_dict(),
            "optimizers": self.optimizers.state_dict(),
            "average": self.average,
            "given": dict(self.mixture.given),
            "random": torch.get_rng_state(),
            "counts": (self.step, self.tokens, self.seconds),
        }
        fresh = path.with_suffix(".new")
        torch.save(state, fresh)
        fresh.replace(path)

    def load(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizers.load_state_dict(state["optimizers"])
        self.average = state["average"]
        self.mixture.given = Counter(state["given"])
        torch.set_rng_state(state["random"])
        self.step, self.tokens, self.seconds = state["counts"]

    @torch.no_grad()
    def take_average(self, kept: float = AVERAGE) -> None:
        for name, p in self.model.named_parameters():
            self.average[name].lerp_(p, 1 - kept)


def gradients(run: Run, loss: Callable) -> Callable[[tuple[torch.Tensor, torch.Tensor]], tuple]:
    """What a part of a step is worth: its loss (a sum), and the gradient of each parameter."""
    parameters = list(run.model.parameters())

    def of(part: tuple[torch.Tensor, torch.Tensor]) -> tuple[float, tuple[torch.Tensor, ...]]:
        nats = loss(*part)
        return nats.item(), torch.autograd.grad(nats, parameters)

    return of


def train_step(run: Run, hands: Hands) -> dict[str, float]:
    """One optimiser step: `PARTS` micro-batches, their weighted losses over the step's total weight."""
    stage = STAGES[stage_at(run.step)[0]]
    batches = [run.mixture.batch(run.step, number, part) for number, part in enumerate(stage.parts)]
    weight = sum(float(weights.sum()) for _, weights in batches)
    nats = 0.0
    for one, grads in hands(batches):
        nats += one / weight
        for p, grad in zip(run.model.parameters(), grads, strict=True):
            p.grad = grad / weight if p.grad is None else p.grad.add_(grad, alpha=1 / weight)
    scale = rate(run.step)
    run.optimizers.step(scale)
    run.step += 1
    run.tokens += MICRO_TOKENS * PARTS
    if run.step % 10 == 0:
        run.take_average()
    return {"loss": nats, "rate": scale}


@torch.no_grad()
def probe(
    run: Run, held: dict[str, corpora.Stream], weights: dict[str, torch.Tensor] | None = None, tokens: int = 24_000
) -> dict:
    """Bits per byte on the beginning of each held-out source; nats on the second half of repeated random sequences."""
    kept = run.model.state_dict()
    if weights:
        run.model.load_state_dict(weights)
        kept = {n: t.clone() for n, t in kept.items()}
    short = {}
    for name, stream in held.items():
        ids = stream.ids[:tokens]
        short[name] = corpora.Stream(ids, round(stream.bytes_per_token * len(ids)))
    bits = {name: round(bits_per_byte(run.model, stream), 3) for name, stream in short.items()}
    generator = torch.Generator().manual_seed(1)
    half = torch.randint(pieces.FIRST_PLAIN_ID, run.model.shape.vocabulary, (16, 64), generator=generator)
    logits = run.model(torch.cat([half, half], 1))[:, 64:-1].float()
    copying = torch.nn.functional.cross_entropy(logits.flatten(0, 1), half[:, 1:].flatten()).item()
    return {"bits_per_byte": bits, "copying": round(copying, 3)}


def grow(run: Run, held: dict[str, corpora.Stream], work: Path, every: int, second: bool) -> None:
    hands = Hands(gradients(run, torch.compile(run.model.loss, dynamic=False)), second)
    log = (work / "log.jsonl").open("a")

    def note(**what: object) -> None:
        line = json.dumps(what)
        log.write(line + "\n")
        log.flush()
        print(line, flush=True)

    if run.step == 0:
        note(step=0, **probe(run, held))
    note(event="start", step=run.step, total=TOTAL, parameters=parameters(run.model), shape=asdict(run.model.shape))
    while run.step < TOTAL:
        number = stage_at(run.step)[0]
        began = time.perf_counter()
        figures = train_step(run, hands)
        run.seconds += time.perf_counter() - began
        if run.step % 20 == 0:
            speed = round(MICRO_TOKENS * PARTS / (time.perf_counter() - began))
            note(
                step=run.step,
                stage=STAGES[number].name,
                tokens=run.tokens,
                seconds=round(run.seconds),
                tokens_per_second=speed,
                **{k: round(v, 4) for k, v in figures.items()},
            )
        if run.step % every == 0 or run.step == TOTAL:
            run.save(work / "checkpoint.pt")
        if run.step % 150 == 0:
            note(step=run.step, **probe(run, held))
        if stage_at(run.step)[0] != number:
            weights = run.average if run.step < TOTAL else dict(run.model.named_parameters())
            write(work / STAGES[number].name, run.model.shape, weights, work / "tokenizer.json")
            run.save(work / STAGES[number].name / "checkpoint.pt")  # to go on from, with more of this stage
            note(step=run.step, event="stage done", stage=STAGES[number].name, averaged=run.step < TOTAL)


def prepared_tokenizer(corpus: Path, work: Path, vocabulary: int) -> Path:
    path = work / "tokenizer.json"
    if not path.exists():
        pick = random.Random(0)
        rows = (row for source in corpora.SOURCES for row in corpora.rows(corpus, source))
        pieces.train((corpora.plain(row) for row in rows if pick.random() < 0.25), vocabulary).save(str(path))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, default=Path("../shared/corpus"))
    parser.add_argument("--work", type=Path, default=Path("build/seedling"))
    parser.add_argument("--first", type=Path, help="the model to go on from: its shape and weights")
    parser.add_argument("--second", action="store_true", help="a second thread, for what a free core can take")
    parser.add_argument("--seed", type=int, default=0, help="which windows are drawn; a new one for each further run")
    parser.add_argument("--own", type=int, default=16000, help="conversations of our own tasks, of each kind")
    parser.add_argument("--every", type=int, default=150, help="steps between checkpoints")
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    shape = Shape.of(options.first) if options.first else Shape()
    tokenizer = pieces.load(prepared_tokenizer(options.corpus, options.work, shape.vocabulary))
    pools, held = prepare(options.corpus, tokenizer, options.work, options.own)
    run = Run(shape, Mixture(pools, shape.vocabulary, options.seed), getattr(torch, options.dtype))
    if (options.work / "checkpoint.pt").exists():
        run.load(options.work / "checkpoint.pt")
    elif options.first:
        read(run.model, options.first)
        run.take_average(0.0)
    grow(run, held, options.work, options.every, options.second)


if __name__ == "__main__":
    main()
