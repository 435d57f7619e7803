"""K8: changing one packed example leaves the others' logits bit-identical."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.train.families import model_of, rows
from tunewright.layout import MicroBatch, computing, pack
from tunewright.records import Rendered


def _logits(family: str, batch: MicroBatch) -> torch.Tensor:
    model = model_of(family)
    with torch.no_grad(), computing(model, batch):
        out: torch.Tensor = model(
            input_ids=batch.ids[None], position_ids=batch.positions[None], use_cache=False
        ).logits[0]
    return out


def _packed(examples: list[Rendered]) -> MicroBatch:
    (batch,) = pack(examples, budget=100_000, share=True)
    return batch


@pytest.mark.parametrize("family", ["llama", "qwen3", "phi3", "gpt-neox"])
def test_others_do_not_notice(family: str) -> None:
    examples = rows(6)
    before = _packed(examples)
    # The last tokens of one example change; its length and its place in the forest stay.
    changed = examples[2]
    tail = tuple((token + 1) % 90 + 3 for token in changed.ids[-6:])
    after = _packed([*examples[:2], replace(changed, ids=(*changed.ids[:-6], *tail)), *examples[3:]])
    differing = torch.nonzero(before.ids != after.ids).flatten()
    assert before.segments == after.segments
    assert 0 < len(differing) <= 6
    ours = next(s for s in before.segments if s.start <= int(differing[0]) < s.start + s.length)
    outside = torch.ones(before.tokens, dtype=torch.bool)
    outside[ours.start : ours.start + ours.length] = False
    left, right = _logits(family, before), _logits(family, after)
    assert torch.equal(left[outside], right[outside])
    assert not torch.equal(left[~outside], right[~outside])
