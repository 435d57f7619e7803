"""A fake engine that answers from a table, and small suites."""

import pytest

from tunewright.records import Example, Generation, Message
from tunewright.thoughts import apart


class FakeEngine:
    """Answers with what `answer(prompt)` gives; token ids are code points, 3 is the stop token."""

    def __init__(self, answer, identity="fake", positions=1 << 40):
        self.answer = answer
        self.positions = positions
        self.identity = identity
        self.asked = []

    def generate(self, prompts, sampling, progress=None, arrived=None):
        found = []
        for place, prompt in enumerate(prompts):
            self.asked.append(tuple(prompt))
            ids = [ord(c) for c in self.answer("".join(map(chr, prompt)))][: sampling.max_new_tokens - 1]
            found.append(Generation((*ids, 3), 0.01))
            if arrived is not None:
                arrived(place, found[-1])
            if progress is not None:
                progress(1)
        return found

    def logprobs(self, sequences, starts, progress=None):
        raise NotImplementedError


def render(messages, tools):
    return [ord(c) for m in messages for c in f"{m['role']}:{m['content']}\n"]


def read(ids):
    return apart("".join(map(chr, ids)))


def example(text, answer, row, **more):
    return Example((Message("user", text), Message("assistant", answer)), row=row, **more)


@pytest.fixture
def tickets():
    """40 requests with one of four labels each."""
    labels = ("billing", "delivery", "refund", "other")
    return [example(f"request {i} about {labels[i % 4]}", labels[i % 4], f"t.jsonl:{i + 1}") for i in range(40)]
