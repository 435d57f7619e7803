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
from .network import Row, Seedling, Shape, parameters, read
from .optimizer import Optimizers
from .package import write
from .replay import Replayed
from .stages import PARTS, Schedule

SEED = 0
AVERAGE = (
    0.98  # of the running average of the weights, taken every ten steps: usable weights while the rate is still high
)


class Run:
    """All that changes, and how it is kept."""

    def __init__(self, shape: Shape, mixture: Mixture, schedule: Schedule, dtype: torch.dtype, device: str = "cpu"):
        torch.manual_seed(SEED)
        self.model = Seedling(shape, dtype).to(device)
        self.optimizers = Optimizers(self.model, dtype)
        self.average = {n: p.detach().clone() for n, p in self.model.named_parameters()}
        self.mixture, self.schedule, self.device = mixture, schedule, device
        self.step, self.tokens, self.seconds = 0, 0, 0.0

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
        state = torch.load(path, weights_only=True, map_location=self.device)
        self.model.load_state_dict(state["model"])
        self.optimizers.load_state_dict(state["optimizers"])
        self.average = state["average"]
        self.mixture.given = Counter(state["given"])
        torch.set_rng_state(state["random"].cpu())
        self.step, self.tokens, self.seconds = state["counts"]

    @torch.no_grad()
    def take_average(self, kept: float = AVERAGE) -> None:
        torch._foreach_lerp_(list(self.average.values()), list(self.model.parameters()), 1 - kept)


def gradients(run: Run) -> Callable[[Row], tuple]:
    """What a row is worth: its loss (a sum), and the gradient of each parameter."""
    parameters = list(run.model.parameters())

    def of(row: Row) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        nats = run.model.loss(row)
        return nats.detach(), torch.autograd.grad(nats, parameters)

    return of


def train_step(run: Run, hands: Callable[[list[Row]], list]) -> tuple[torch.Tensor, float]:
    """One optimiser step over the parts' weighted losses by the step's total weight: its loss and the rate.

    The loss stays where it is computed: reading it would make a GPU wait.
    """
    stage = run.schedule.stages[run.schedule.at(run.step)[0]]
    batches = [run.mixture.batch(run.step, number, part) for number, part in enumerate(stage.parts)]
    weight = sum(float(weights.sum()) for _, weights in batches)
    weighed = [(ids, weights / weight) for ids, weights in batches]
    # A core is fastest with what stays in its caches, a GPU with all at once.
    rows = [Row.of(weighed)] if run.device == "cuda" else [Row.of([one]) for one in weighed]
    losses, parts = zip(*hands(rows), strict=True)
    summed = list(parts[0])
    for grads in parts[1:]:
        torch._foreach_add_(summed, grads)
    for p, grad in zip(run.model.parameters(), summed, strict=True):
        p.grad = grad
    scale = run.schedule.rate(run.step)
    run.optimizers.step(scale)
    run.step += 1
    run.tokens += run.mixture.tokens * len(batches)
    if run.step % 10 == 0:
        run.take_average()
    return torch.stack(losses).sum(), scale


@torch.no_grad()
def probe(run: Run, held: dict[str, corpora.Stream], tokens: int = 24_000) -> dict:
    """Bits per byte on the beginning of each held-out source; nats on the second half of repeated random sequences."""
    short = {}
    for name, stream in held.items():
        ids = stream.ids[:tokens]
        short[name] = corpora.Stream(ids, round(stream.bytes_per_token * len(ids)))
    bits = {name: round(bits_per_byte(run.model, stream, device=run.device), 3) for name, stream in short.items()}
    generator = torch.Generator().manual_seed(1)
    half = torch.randint(pieces.FIRST_PLAIN_ID, run.model.shape.vocabulary, (16, 64), generator=generator)
    half = half.to(run.device)
    logits = run.model(torch.cat([half, half], 1))[:, 64:-1].float()
    copying = torch.nn.functional.cross_entropy(logits.flatten(0, 1), half[:, 1:].flatten()).item()
    return {"bits_per_byte": bits, "copying": round(copying, 3)}


def grow(run: Run, held: dict[str, corpora.Stream], work: Path, every: int, second: bool) -> None:
    run.model.compile()
    worth, schedule = gradients(run), run.schedule
    hands = Replayed(worth, run.device) if run.device == "cuda" else Hands(worth, second)
    notes, probes = max(1, min(100, schedule.steps // 50)), max(1, schedule.steps // 10)
    log = (work / "log.jsonl").open("a")

    def note(**what: object) -> None:
        line = json.dumps(what)
        log.write(line + "\n")
        log.flush()
        print(line, flush=True)

    if run.step == 0:
        note(step=0, **probe(run, held))
    facts = {"device": run.device, "tokens_per_step": run.mixture.tokens * PARTS, "peak": schedule.peak}
    note(
        event="start",
        step=run.step,
        of=schedule.steps,
        parameters=parameters(run.model),
        **asdict(run.model.shape),
        **facts,
    )
    clock, read = time.perf_counter(), run.tokens
    while run.step < schedule.steps:
        number = schedule.at(run.step)[0]
        loss, scale = train_step(run, hands)
        if run.step % notes == 0 or run.step == schedule.steps:
            nats, took = round(loss.item(), 4), time.perf_counter() - clock
            run.seconds += took
            figures = {"tokens": run.tokens, "seconds": round(run.seconds), "rate": round(scale, 4)}
            speed = round((run.tokens - read) / took)
            note(step=run.step, stage=schedule.stages[number].name, loss=nats, **figures, tokens_per_second=speed)
            clock, read = time.perf_counter(), run.tokens
        if run.step % every == 0 or run.step == schedule.steps:
            run.save(work / "checkpoint.pt")
        if run.step % probes == 0:
            note(step=run.step, **probe(run, held))
            clock, read = time.perf_counter(), run.tokens
        if schedule.at(run.step)[0] != number:
            done = run.step == schedule.steps
            name, weights = schedule.stages[number].name, dict(run.model.named_parameters()) if done else run.average
            write(work / name, run.model.shape, weights, work / "tokenizer.json")
            note(step=run.step, event="stage done", stage=name, averaged=not done)


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
    parser.add_argument("--steps", type=int, default=6000, help="all of them: the stages share them")
    parser.add_argument("--peak", type=float, default=1.0, help="of the optimisers' own rates; less than 1 to go on")
    parser.add_argument("--micro", type=int, default=2048, help="tokens of a micro-batch; a step has four")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--mlp", type=int, default=Shape.mlp, help="neurons of each MLP, without --first")
    parser.add_argument("--layers", type=int, default=Shape.layers, help="likewise")
    parser.add_argument("--own", type=int, default=16000, help="conversations of our own tasks, of each kind")
    parser.add_argument("--every", type=int, default=150, help="steps between checkpoints")
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    shape = Shape.of(options.first) if options.first else Shape(mlp=options.mlp, layers=options.layers)
    tokenizer = pieces.load(prepared_tokenizer(options.corpus, options.work, shape.vocabulary))
    pools, held = prepare(options.corpus, tokenizer, options.work, options.own)
    mixture = Mixture(pools, shape.vocabulary, options.seed, options.micro)
    schedule = Schedule(options.steps, options.peak)
    run = Run(shape, mixture, schedule, getattr(torch, options.dtype), options.device)
    if (options.work / "checkpoint.pt").exists():
        run.load(options.work / "checkpoint.pt")
    elif options.first:
        read(run.model, options.first)
        run.take_average(0.0)
    grow(run, held, options.work, options.every, options.second)


if __name__ == "__main__":
    main()
