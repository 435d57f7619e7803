"""The probe that chooses the computation looks at as much of the longest example as tells something."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig

from tests.train.families import SMALL
from tunewright.records import Rendered
from tunewright.train import Settings
from tunewright.train.adapters import prepare
from tunewright.train.choice import choose
from tunewright.train.step import Computer

SETTINGS = Settings(rank=2, precision="float32")
LONG = SMALL | {"max_position_embeddings": 4096, "num_hidden_layers": 1}
DYNAMIC = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}


def row(length: int, learnt: range) -> Rendered:
    ids = tuple(3 + i * 7 % 90 for i in range(length))
    return Rendered(ids, tuple(float(i in learnt) for i in range(length)), learnt.start)


@pytest.mark.parametrize(
    ("config", "learnt", "longest"),
    [
        (LlamaConfig(**LONG), range(1400, 1500), 256),
        (LlamaConfig(**LONG), range(400, 1500), 256),  # learnt from before the cut on
        (LlamaConfig(**LONG), range(400, 500), 1500),  # nothing learnt in the end of it
        (LlamaConfig(**LONG, rope_parameters=DYNAMIC), range(1400, 1500), 1500),
        (MistralConfig(**LONG, sliding_window=600), range(1400, 1500), 728),
        (MistralConfig(**LONG, sliding_window=16), range(1400, 1500), 256),
    ],
)
def test_the_end_of_a_long_example_is_enough(
    config: Any, learnt: range, longest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    whole = Computer.lay_out

    def spy(self: Computer, examples: Any, budget: int) -> Any:
        seen.extend(len(example.ids) for example in examples)
        assert all(example.weights[0] == 0 and example.supervised for example in examples)
        assert all(0 <= example.prompt_length <= len(example.ids) for example in examples)
        return whole(self, examples, budget)

    monkeypatch.setattr(Computer, "lay_out", spy)
    model = prepare(AutoModelForCausalLM.from_config(config), SETTINGS)
    choice = choose(model, [row(1500, learnt), row(20, range(10, 20))], SETTINGS)
    assert max(seen) == longest
    assert choice.how.startswith("forest")
    assert not choice.refused
