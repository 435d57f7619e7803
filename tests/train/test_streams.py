"""Two parts of a micro-batch at once: the same gradients, the same bits each time, and never half of an answer."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from tests.train.families import model_of, rows
from tunewright.records import Rendered
from tunewright.train import Settings, streams
from tunewright.train.adapters import prepare, trainable
from tunewright.train.fused import Decoder
from tunewright.train.plain import gradients
from tunewright.train.step import Computer

SETTINGS = Settings(rank=4, alpha=8.0, effective_batch_size=8)


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr(streams, "LEAST", 2)
    yield
    torch.set_num_threads(before)


def _examples(kind: str) -> list[Rendered]:
    """`trees`: every two rows share a prefix, and none with the others; `tree`: all share one."""
    if kind == "tree":
        return rows(8)
    made = []
    for pair in range(4):
        made += rows(2, prefix=20 + 3 * pair, seed=pair)
    assert len({row.ids[:3] for row in made}) == 4
    return made


def _computer(family: str = "llama", method: str = "lora", kept: bool = False) -> Computer:
    model = prepare(model_of(family), SETTINGS.model_copy(update={"method": method}))
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.1)
    return Computer(model.eval(), "float32", "forest", fused=True, share=True, kept=kept)


def _computed(computer: Computer, examples: list[Rendered], budget: int = 10_000) -> float:
    batches = computer.lay_out(examples, budget)
    return computer.accumulate(batches, sum(batch.weight for batch in batches))


def _manner(computer: Computer, examples: list[Rendered]) -> str:
    """How one micro-batch of the examples is computed."""
    (batch,) = computer.lay_out(examples, 10_000)
    jobs = computer._streams(batch)  # type: ignore[arg-type]
    assert sum(part.tokens for parts in jobs for part in parts) == batch.tokens
    if len(jobs) == 1:
        return "whole"
    return "apart" if jobs[0][0].side is None else "cut"


def _cut(batch: Any, row: int) -> list[list[streams.Part]]:
    return [[part] for part in streams.Part.cut(batch, row)]


def _taken(model: Any) -> dict[str, torch.Tensor]:
    found = {name: p.grad.clone() for name, p in trainable(model).items() if p.grad is not None}
    model.zero_grad()
    return found


@pytest.mark.parametrize("family", ["llama", "qwen2", "mistral-sliding"])
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize(("kind", "manner"), [("trees", "apart"), ("tree", "cut")])
@pytest.mark.parametrize("budget", [10_000, 150])
def test_gradients_are_those_of_one_example_at_a_time(
    family: str, recompute: bool, kind: str, manner: str, budget: int
) -> None:
    computer, examples = _computer(family), _examples(kind)
    computer.recompute(recompute)
    assert _manner(computer, examples) == manner
    loss = _computed(computer, examples, budget)
    got = _taken(computer.model)
    assert loss == pytest.approx(gradients(computer.model, examples), rel=1e-6)
    want = _taken(computer.model)
    assert got.keys() == want.keys()
    largest = max(float(grad.norm()) for grad in want.values())
    for name, grad in want.items():
        assert float((got[name] - grad).norm() / grad.norm().clamp(min=1e-4 * largest)) <= 1e-5, name


@pytest.mark.parametrize("row", [1, 7, 40, 100])
def test_wherever_the_rows_are_cut(row: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a prefix, with no target on one side; in a row's own tokens; anywhere."""
    computer, examples = _computer(), _examples("tree")
    gradients(computer.model, examples)
    want = _taken(computer.model)
    for at in (row, -row):
        monkeypatch.setattr(computer, "_streams", lambda batch, at=at: _cut(batch, at if at > 0 else batch.tokens + at))
        _computed(computer, examples)
        got = _taken(computer.model)
        for name, grad in want.items():
            assert float((got[name] - grad).norm()) <= 1e-5 * float(grad.norm()), name


@pytest.mark.parametrize("kind", ["trees", "tree"])
def test_the_same_bits_every_time(kind: str) -> None:
    computer, examples = _computer(), _examples(kind)
    found = [(_computed(computer, examples), _taken(computer.model)) for _ in range(6)]
    for loss, grads in found[1:]:
        assert loss == found[0][0]
        assert all(torch.equal(grads[name], found[0][1][name]) for name in grads)


@pytest.mark.parametrize("kind", ["trees", "tree"])
def test_validation_too(kind: str) -> None:
    computer, examples = _computer(), _examples(kind)
    batches = computer.lay_out(examples, 10_000)
    in_parts = computer.summed_loss(batches)
    torch.set_num_threads(1)
    assert _manner(computer, examples) == "whole"
    assert in_parts == pytest.approx(computer.summed_loss(batches), rel=1e-6)
    assert not _taken(computer.model)


@pytest.mark.parametrize("threads", [1, 2])
def test_bunch_after_bunch(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same loss and gradients, and of the activations only a bunch's at a time."""
    computer, examples = _computer(), _examples("trees")
    torch.set_num_threads(threads)
    (batch,) = computer.lay_out(examples, 10_000)

    def bunches() -> list[int]:
        return [len(parts) for parts in computer._streams(batch)]  # type: ignore[arg-type]

    monkeypatch.setattr(streams, "AT_ONCE", 10_000)
    assert bunches() == [1] * threads
    loss, want = _computed(computer, examples), _taken(computer.model)
    monkeypatch.setattr(streams, "AT_ONCE", 40)
    assert min(bunches()) >= 3
    assert _computed(computer, examples) == pytest.approx(loss, rel=1e-6)
    got = _taken(computer.model)
    for name, grad in want.items():
        assert float((got[name] - grad).norm()) <= 1e-5 * float(grad.norm()), name


def test_a_small_batch_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LEAST", 100_000)
    assert _manner(_computer(), _examples("trees")) == "whole"


@pytest.mark.parametrize(("kept", "manner"), [(True, "apart"), (False, "whole")])
def test_layers_that_lend_each_other_a_place_are_not_computed_twice_at_once(kept: bool, manner: str) -> None:
    computer, examples = _computer(method="qlora", kept=kept), _examples("trees")
    assert _manner(computer, examples) == manner
    assert _computed(computer, examples) == pytest.approx(gradients(computer.model, examples), rel=1e-6)


def test_each_stream_has_half_of_the_threads_and_the_caller_keeps_its_own() -> None:
    both = streams.Streams()
    for threads in (2, 4, 2):
        torch.set_num_threads(threads)
        for _ in range(2):
            assert both.both(lambda parts, grads: torch.get_num_threads(), _jobs()) == [threads // 2] * 2
            assert torch.get_num_threads() == threads
        began: list[int] = []
        other = threading.Thread(target=lambda began=began: began.append(_after_a_product()))
        other.start()
        other.join()
        assert began == [threads]
    both.close()


def _jobs() -> list[tuple[list[streams.Part], None]]:
    (batch,) = _computer().lay_out(_examples("tree"), 10_000)
    return [(parts, None) for parts in _cut(batch, 9)]


def _after_a_product() -> int:
    torch.mm(torch.ones(9, 9), torch.ones(9, 9))
    torch.ones(100_000).add_(1)
    return torch.get_num_threads()


@pytest.mark.parametrize("kind", ["trees", "tree"])
@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_in_one_part_is_told_when_both_have_ended(
    kind: str, failing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    computer, examples = _computer(), _examples(kind)
    begun, ended, lock = [], [], threading.Lock()
    real_begin, real_loss = Decoder._begin, Decoder.loss

    def begin(self: Decoder, part: Any) -> Any:
        with lock:
            begun.append(part)
            number = len(begun) - 1
        if number == failing:
            raise MemoryError("no room")
        return real_begin(self, part)

    def loss(self: Decoder, *given: Any) -> float:
        try:
            return real_loss(self, *given)
        finally:
            ended.append(given)

    monkeypatch.setattr(Decoder, "_begin", begin)
    monkeypatch.setattr(Decoder, "loss", loss)
    with pytest.raises(MemoryError, match="no room"):
        _computed(computer, examples)
    assert len(ended) == 2
    # A step that has not come to its end leaves no gradients: it is computed again in smaller pieces.
    assert not _taken(computer.model)


def test_a_stop_in_the_midst_is_told_when_both_have_ended() -> None:
    """Ctrl-C reaches the thread that waits; the two that compute are not left behind with the weights."""
    ended: list[int] = []

    def compute(parts: list[streams.Part], _: None) -> float:
        (part,) = parts
        if part.first == 0:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(0.3)
        ended.append(part.first)
        return 0.0

    both = streams.Streams()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a command run earlier may have left its own
    try:
        with pytest.raises(KeyboardInterrupt):
            both.both(compute, _jobs())
    finally:
        signal.signal(signal.SIGINT, before)
    assert sorted(ended) == [0, 9]
    assert both.both(lambda parts, _: float(parts[0].first), _jobs()) == [0.0, 9.0]
    both.close()


def test_where_no_second_thread_can_begin_the_first_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    begin, begun = threading.Thread.start, []

    def start(thread: threading.Thread) -> None:
        begun.append(thread)
        if len(begun) == 2:
            raise RuntimeError("can't start new thread")
        begin(thread)

    jobs = _jobs()
    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(RuntimeError, match="new thread"):
        streams.Streams().both(lambda parts, _: 0.0, jobs)
    begun[0].join(timeout=20)
    assert not begun[0].is_alive()
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("row", [0, 1, -1])
@pytest.mark.parametrize("kind", ["one row", "equal rows", "weightless"])
def test_odd_batches_cut_anywhere(kind: str, row: int, monkeypatch: pytest.MonkeyPatch) -> None:
    computer, (one, *others) = _computer(), rows(5)
    without = [Rendered(each.ids, (0.0,) * len(each.ids), each.prompt_length) for each in others]
    examples = {"one row": [one], "equal rows": [one] * 40, "weightless": [one, *without]}[kind]
    (batch,) = computer.lay_out(examples, 10_000)
    at = row % (batch.tokens + 1)
    gradients(computer.model, examples)
    want = _taken(computer.model)
    monkeypatch.setattr(computer, "_streams", lambda batch: _cut(batch, at))
    _computed(computer, examples)
    got = _taken(computer.model)
    for name, grad in want.items():
        assert float((got[name] - grad).norm()) <= 1e-5 * float(grad.norm()), name


def test_a_batch_that_predicts_nothing_is_not_computed() -> None:
    computer = _computer()
    nothing = [Rendered(row.ids, (0.0,) * len(row.ids), row.prompt_length) for row in rows(3)]
    assert computer.accumulate(computer.lay_out(nothing, 10_000), 1.0) == 0.0
    assert not _taken(computer.model)
