"""The loop: steps with a fixed meaning, guarded, saved and scored on the way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from tunewright.errors import Interrupted, RunError, TrainingError
from tunewright.records import Rendered, sequences
from tunewright.train import checkpoint as checkpoints
from tunewright.train.adapters import assert_alive, prepare, trainable
from tunewright.train.choice import Choice, choose
from tunewright.train.events import Events, Listener, peak_gb
from tunewright.train.facts import facts
from tunewright.train.memory import first_room, is_out_of_memory
from tunewright.train.optimizer import adamw, set_rate, trained
from tunewright.train.order import checkpoint_steps, extremes, learning_rate, step_examples, total_steps
from tunewright.train.ranks import Ranks
from tunewright.train.settings import FitResult, Settings
from tunewright.train.step import Batch, Computer

Score = Callable[[torch.nn.Module], float]
# Steps in a row whose numbers are not finite before the run gives up. One is skipped: a single spike can pass.
_PATIENCE = 3


@dataclass
class _Run:
    """What the steps of one run share."""

    model: Any
    train: Sequence[Rendered]
    validation: Sequence[Rendered]
    settings: Settings
    folder: Path
    events: Events
    optimizer: torch.optim.Optimizer
    choice: Choice
    budget: int
    ranks: Ranks
    should_stop: Callable[[], bool]
    losses: list[float] = field(default_factory=list)
    bad: int = 0
    tokens: int = 0
    seconds: float = 0.0

    @property
    def computer(self) -> Computer:
        return self.choice.computer

    @property
    def device(self) -> torch.device:
        return self.computer.device

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        return list(trained(self.optimizer).values())


def fit(
    model: Any,
    train: Sequence[Rendered],
    validation: Sequence[Rendered],
    settings: Settings,
    *,
    directory: Path,
    score: Score | None = None,
    on_event: Listener | None = None,
    resume: bool = False,
    should_stop: Callable[[], bool] | None = None,
) -> FitResult:
    """Tune `model` on `train` and give the tuned model with the best checkpoint's weights.

    `model` is a plain transformers causal LM; it is changed in place. `directory` receives `events.jsonl` and
    `checkpoints/step-N/`. `score` judges the model at each checkpoint (greater is better) and chooses the best;
    without it the validation loss does, and without validation rows the last one is taken. With `resume` the run
    goes on from its newest checkpoint, to the same losses and weights as if it had never stopped.

    Several processes started together take each step together, and every one of them calls this; `directory` is the
    same folder for all. Only the first writes, scores and is listened to.

    Raises `Interrupted` after a saved step when `should_stop` says so or `score` raises it (the resumed run measures
    anew what was stopped); `TrainingError` when losses are not numbers, nothing is trainable, nothing is supervised, or
    memory is out at a single example; `StorageError` when the disk refuses.
    """
    if not any(example.supervised for example in sequences(train)):
        raise TrainingError("no training example has a supervised token.", remedy="Check the data's assistant turns.")
    torch.manual_seed(settings.seed)
    run = _begin(model, train, validation, settings, directory, on_event, should_stop or (lambda: False))
    total, step, measured = total_steps(len(train), settings), 0, True
    if resume:
        step, measured = _resume(run)
    run.events.tell("start", **_facts(run, total, step))
    saves = checkpoint_steps(total, settings)
    run.model.train()
    if step in saves and not measured and not _checkpoint(run, step, score):
        raise _interrupted(run, step, total)
    while step < total:
        _step(run, step, total)
        step += 1
        stopping = step < total and run.ranks.any(run.should_stop())
        if step in saves:
            stopping = not _checkpoint(run, step, score) or stopping
        elif stopping:
            _checkpoint(run, step, None, measure=False)
        if stopping:
            raise _interrupted(run, step, total)
    return _end(run, total)


def _interrupted(run: _Run, step: int, total: int) -> Interrupted:
    return Interrupted(
        f"stopped after step {step} of {total}; the state is saved.",
        where=str(run.folder),
        remedy="Resume to go on exactly where it stopped.",
    )


def _begin(
    model: Any,
    train: Sequence[Rendered],
    validation: Sequence[Rendered],
    settings: Settings,
    directory: Path,
    on_event: Listener | None,
    should_stop: Callable[[], bool],
) -> _Run:
    directory.mkdir(parents=True, exist_ok=True)
    ranks = Ranks.join()
    model = prepare(model, settings)
    named = trainable(model)
    ranks.alike(list(named.values()))
    examples = extremes(train)
    choice = choose(model, examples, settings)
    longest = len(examples[-1].ids)
    room = first_room(model, settings, longest, ranks.neighbours, choice.computer.bytes_per_token)
    if room.recompute and (settings.activation_checkpointing is True or choice.computer.can_recompute):
        choice.computer.recompute()
    return _Run(
        model=model,
        train=train,
        validation=[row for row in validation if any(each.supervised for each in sequences([row]))],
        settings=settings,
        folder=directory,
        events=Events(directory / "events.jsonl" if ranks.first else None, on_event if ranks.first else None),
        optimizer=adamw(named, settings),
        choice=choice,
        budget=room.tokens,
        ranks=ranks,
        should_stop=should_stop,
    )


def _resume(run: _Run) -> tuple[int, bool]:
    """The step after which the run goes on, and whether what was saved there was measured."""
    found = checkpoints.saved(run.folder / "checkpoints")
    if not found:
        run.events.rewind(0)
        return 0, True
    last = found[-1]
    if last.state["settings"] != run.settings.model_dump(mode="json") or last.state["examples"] != len(run.train):
        raise RunError(
            "the run was started with other settings or data, so it cannot go on with these.",
            where=str(last.path),
            remedy="Resume with the recipe and data of the run, or start a new run.",
        )
    checkpoints.restore(last, run.model, run.optimizer)
    _as_it_was(run, last.state.get("rooms"))
    run.computer.refresh()
    run.losses, run.tokens, run.seconds = last.state["losses"], last.state["tokens"], last.state["seconds"]
    run.events.rewind(last.step)
    return last.step, last.state.get("measured", True)


def _as_it_was(run: _Run, rooms: list[list[Any]] | None) -> None:
    """Compute in micro-batches of the size that the run had: in others the same sums come out rounded otherwise.

    What is free now has no part in it, unless it is less than a third of what was free then.
    """
    if not rooms:
        return
    tokens, recomputes, kept = rooms[run.ranks.rank if len(rooms) == run.ranks.count else 0]
    run.budget = min(tokens, 3 * run.budget)
    if kept != run.computer.kept:
        run.choice = replace(run.choice, computer=run.computer.keeping(kept))
    if recomputes:
        run.computer.recompute()


def _facts(run: _Run, total: int, step: int) -> dict[str, Any]:
    return {
        "step": step,
        "steps": total,
        "examples": len(run.train),
        "validation_examples": len(run.validation),
        **facts(run.model, run.parameters, run.choice, run.settings),
        "processes": run.ranks.count,
        "micro_batch_tokens": run.budget,
    }


def _layout(run: _Run, examples: Sequence[Rendered], budget: int) -> list[Batch]:
    return [batch for rows in run.settings.micro_batches(examples) for batch in run.computer.lay_out(rows, budget)]


def _step(run: _Run, step: int, total: int) -> None:
    began = time.perf_counter()
    rows = [run.train[index] for index in step_examples(step, len(run.train), run.settings)]
    examples = list(sequences(rows))
    run.ranks.reseed(run.settings.seed, step)
    loss = _gradients(run, examples, step)
    norm = float(torch.nn.utils.clip_grad_norm_(run.parameters, run.settings.max_grad_norm))
    rate = learning_rate(step, total, run.settings)
    finite = math.isfinite(loss) and math.isfinite(norm)
    if finite:
        set_rate(run.optimizer, rate)
        run.optimizer.step()
        run.computer.refresh()
    run.optimizer.zero_grad(set_to_none=True)
    spent = time.perf_counter() - began
    tokens = sum(len(example.ids) for example in examples)
    run.losses.append(loss)
    run.tokens += tokens
    run.seconds += spent
    run.events.tell(
        "step",
        step=step + 1,
        loss=loss,
        learning_rate=rate,
        grad_norm=norm,
        examples=len(rows),
        supervised_tokens=sum(example.supervised for example in examples),
        tokens_per_second=tokens / spent,
        peak_gb=peak_gb(run.device),
        seconds=spent,
        **({} if finite else {"skipped": "the loss or its gradient is not a number"}),
    )
    run.bad = 0 if finite else run.bad + 1
    if run.bad >= _PATIENCE:
        raise TrainingError(
            f"the loss was not a number in {_PATIENCE} steps in a row, the last of them step {step + 1}; "
            "none of them changed the weights.",
            where=str(run.folder),
            remedy="Halve the learning rate, use float32, or look for a broken example in the data.",
        )


def _gradients(run: _Run, examples: Sequence[Rendered], step: int) -> float:
    """The step's loss, its gradients left on the parameters; with a smaller micro-batch when memory runs out.

    Each process computes its share of the rows; whichever runs out of memory, all compute the step again.
    """
    mine = run.ranks.share(examples)
    while True:
        batches = _layout(run, mine, run.budget)
        total = run.ranks.total(sum(batch.weight for batch in batches))
        loss, out = 0.0, False
        try:
            loss = run.computer.accumulate(batches, total) if total else 0.0
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            out = True
        if not run.ranks.any(out):
            run.ranks.add_up(run.parameters)
            return run.ranks.total(loss)
        run.optimizer.zero_grad(set_to_none=True)
        _lower(run, batches, step, out)


def _lower(run: _Run, batches: Sequence[Batch], step: int, out: bool) -> None:
    """Halve the micro-batch of the process whose memory is `out`; at a single example, compute layers again instead.

    Raises `TrainingError` when that is done already, or forbidden.
    """
    largest = max((batch.tokens for batch in batches), default=0)
    if run.ranks.any(out and all(batch.examples == 1 for batch in batches)):
        computer = run.computer
        if run.settings.activation_checkpointing == "auto" and computer.can_recompute and not computer.recomputes:
            computer.recompute()
            run.events.tell("memory", step=step + 1, activation_checkpointing=True)
            return
        raise TrainingError(
            f"memory is out for a single example of {largest} tokens.",
            where=f"step {step + 1}",
            remedy="Lower train.max_length, use a smaller base, or a machine with more memory.",
        )
    if out:
        run.budget = largest // 2
        run.events.tell("memory", step=step + 1, micro_batch_tokens=run.budget)


def _checkpoint(run: _Run, step: int, score: Score | None, measure: bool = True) -> bool:
    """Measure and save; false where the measuring was stopped, and what is saved is still to be measured."""
    run.model.eval()
    loss = value = None
    if measure:
        value, measure = run.ranks.once(lambda: _scored(run, score))
        loss, measure = _validation_loss(run) if measure else (None, False)
        value = value if measure else None
        if loss is not None or value is not None:
            run.events.tell("validation", step=step, loss=loss, score=value)
    state = {
        "step": step,
        "measured": measure,
        "validation_loss": loss,
        "score": value,
        "losses": run.losses,
        "tokens": run.tokens,
        "seconds": run.seconds,
        "examples": len(run.train),
        "settings": run.settings.model_dump(mode="json"),
        "rooms": run.ranks.each([run.budget, run.computer.recomputes, run.computer.kept]),
    }
    folder = run.folder / "checkpoints"
    run.ranks.once(lambda: checkpoints.save(folder, run.model, run.optimizer, state) and None)
    kept = checkpoints.saved(folder)
    run.model.train()
    run.events.tell("checkpoint", step=step, path=f"checkpoints/step-{step}", best_step=checkpoints.best(kept).step)
    return measure


def _scored(run: _Run, score: Score | None) -> tuple[float | None, bool]:
    """The model's score, if anybody scores, and whether it was let finish."""
    try:
        return float(score(run.model)) if score else None, True
    except Interrupted:
        return None, False


def _validation_loss(run: _Run) -> tuple[float | None, bool]:
    """Loss per supervised weight over the validation rows (None: there are none), and whether it was let finish."""
    if not run.validation:
        return None, True
    mine, budget = run.ranks.share(list(sequences(run.validation))), run.budget
    while True:
        batches = _layout(run, mine, budget)
        loss, weight, out, stopped = 0.0, 0.0, False, False
        try:
            loss, weight, stopped = _summed(run, batches)
        except (RuntimeError, MemoryError) as error:
            # Of its own accord: steps, which have fitted so far, stay as large as they were.
            if not is_out_of_memory(error) or all(batch.examples == 1 for batch in batches):
                raise
            out, budget = True, max(batch.tokens for batch in batches) // 2
        if run.ranks.any(stopped):  # whichever process was asked, all leave it unfinished
            return None, False
        if not run.ranks.any(out):
            return run.ranks.total(loss) / run.ranks.total(weight), True


def _summed(run: _Run, batches: Sequence[Batch]) -> tuple[float, float, bool]:
    """This process's sums of losses and weights, and whether it was asked to stop before it had them all."""
    loss = weight = 0.0
    for batch in batches:
        if run.should_stop():
            return loss, weight, True
        more, heavier = run.computer.summed_loss([batch])
        loss, weight = loss + more, weight + heavier
    return loss, weight, False


def _end(run: _Run, total: int) -> FitResult:
    kept = checkpoints.saved(run.folder / "checkpoints")
    chosen = checkpoints.best(kept)
    if chosen.step != kept[-1].step:
        checkpoints.restore_weights(chosen.path, run.model)
    assert_alive(run.model)
    run.computer.recompute(False)
    run.computer.close()
    tail = run.losses[-max(1, len(run.losses) // 10) :]
    result = FitResult(
        model=run.model.eval(),
        steps=total,
        best_step=chosen.step,
        best=chosen.path,
        last=kept[-1].path,
        train_loss=sum(tail) / len(tail),
        validation_loss=chosen.validation_loss,
        validation_score=chosen.score,
        trainable_parameters=sum(p.numel() for p in run.parameters),
        tokens_per_second=run.tokens / max(run.seconds, 1e-9),
        peak_gb=peak_gb(run.device),
        seconds=run.seconds,
    )
    run.events.tell("end", step=total, best_step=result.best_step, train_loss=result.train_loss)
    return result
