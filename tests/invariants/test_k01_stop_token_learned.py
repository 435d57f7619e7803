"""K1: every supervised turn ends with its end-of-turn token in the labels, also when pad == eos."""

import pytest

from tests.render.conversations import GEMMA_LIKE, GOLDEN, LLAMA_LIKE, MISTRAL_LIKE, SPECIAL, TOOLS
from tests.render.tokenizers import tiny
from tunewright import models
from tunewright.export import write_merged
from tunewright.render import Renderer


@pytest.mark.parametrize("name", GOLDEN)
def test_each_turn_of_the_seedling_ends_with_the_stop_token(name, seedling_renderer):
    rendered = seedling_renderer.render(GOLDEN[name])
    supervised = [i for i, w in zip(rendered.ids, rendered.weights, strict=True) if w > 0]
    turns = sum(m.role == "assistant" for m in GOLDEN[name].messages)
    assert supervised[-1] == seedling_renderer.stop_id
    assert supervised.count(seedling_renderer.stop_id) == turns
    assert rendered.ids[-1] == seedling_renderer.stop_id


def test_tool_call_turns_end_with_it_too(seedling_renderer):
    rendered = seedling_renderer.render(TOOLS)
    supervised = [i for i, w in zip(rendered.ids, rendered.weights, strict=True) if w > 0]
    assert supervised.count(seedling_renderer.stop_id) == 2


@pytest.mark.parametrize("pad_is_eos", [False, True])
@pytest.mark.parametrize("template", [LLAMA_LIKE, GEMMA_LIKE, MISTRAL_LIKE])
def test_other_templates_also_when_pad_is_the_end_token(template, pad_is_eos):
    renderer = Renderer(tiny(template, SPECIAL[template], pad_is_eos=pad_is_eos))
    rendered = renderer.render(GOLDEN["two turns"])
    stops = [i for i, w in zip(rendered.ids, rendered.weights, strict=True) if w > 0 and i == renderer.stop_id]
    assert len(stops) == 2


def test_every_terminator_reaches_the_generation_config(tmp_path, seedling_renderer):
    base = models.load("seedling")
    base.model.generation_config.eos_token_id = None
    write_merged(base.model, tmp_path / "m", {"base": {}}, base.tokenizer, seedling_renderer.stop_ids)
    again = models.load(str(tmp_path / "m"))
    assert set(again.model.generation_config.eos_token_id) == set(seedling_renderer.stop_ids)
