"""K8: changing one packed example leaves the others' logits bit-identical."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.train.families import model_of, rows
from tunewright.layout import MicroBatch, computing, pack
from tunewright.records import Rendered
from tunewright.train import Settings, fused
from tunewright.train.adapters import prepare
from tunewright.train.streams import Part


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


@pytest.mark.parametrize("family", ["llama", "qwen3", "phi3", "gemma2", "gpt-neox"])
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


@pytest.mark.parametrize("family", ["llama", "qwen2", "mistral-sliding"])
def test_others_do_not_notice_in_the_written_out_decoder(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gives losses and no logits, so what is looked at are the states that its head gets, one for each target."""
    seen: list[torch.Tensor] = []

    def head(states: torch.Tensor, *_: object) -> tuple[float, None]:
        seen.append(states.clone())
        return 0.0, None

    monkeypatch.setattr(fused, "loss_and_grad", head)
    decoder = fused.Decoder(prepare(model_of(family), Settings(rank=4, alpha=8.0)), torch.float32)
    examples = [replace(row, weights=(0.0, *[1.0] * (len(row.ids) - 1))) for row in rows(6)]
    changed = examples[2]
    tail = tuple((token + 1) % 90 + 3 for token in changed.ids[-6:])
    others = [*examples[:2], replace(changed, ids=(*changed.ids[:-6], *tail)), *examples[3:]]
    batches = [_packed(examples), _packed(others)]
    for batch in batches:
        decoder.loss(1.0, Part.whole(batch))
    differing = torch.nonzero(batches[0].ids != batches[1].ids).flatten()
    ours = next(s for s in batches[0].segments if s.start <= int(differing[0]) < s.start + s.length)
    inside = (batches[0].states >= ours.start) & (batches[0].states < ours.start + ours.length)
    targets = len(batches[0].states)
    left, right = (states[:targets] for states in seen)
    assert 0 < int(inside.sum()) < targets
    assert torch.equal(left[~inside], right[~inside])
    assert not torch.equal(left[inside], right[inside])
