"""K4: train ids == evaluate ids == serve ids == export ids on golden conversations."""

import pytest
from transformers import AutoTokenizer

from tests.render.conversations import GEMMA_LIKE, GOLDEN, LLAMA_LIKE, MISTRAL_LIKE, SPECIAL, TOOLS, example
from tests.render.tokenizers import tiny
from tunewright.render import Renderer
from tunewright.render.turns import as_dicts, as_tools


@pytest.mark.parametrize("name", [*GOLDEN, "tools"])
def test_the_prompt_is_a_prefix_of_what_was_trained(name, seedling_renderer):
    row = TOOLS if name == "tools" else GOLDEN[name]
    rendered = seedling_renderer.render(row)
    prompt = seedling_renderer.prompt(row.prompt, row.tools)
    assert list(rendered.ids[: rendered.prompt_length]) == prompt


@pytest.mark.parametrize("template", [LLAMA_LIKE, GEMMA_LIKE, MISTRAL_LIKE])
@pytest.mark.parametrize("name", ["one turn", "two turns", "unicode", "newlines", "leading space"])
def test_prompt_prefix_for_other_families(template, name):
    renderer = Renderer(tiny(template, SPECIAL[template]))
    rendered = renderer.render(GOLDEN[name])
    assert list(rendered.ids[: rendered.prompt_length]) == renderer.prompt(GOLDEN[name].prompt)


def test_an_answer_that_starts_with_a_newline_still_follows_its_prompt(seedling_renderer):
    row = example(("user", "x"), ("assistant", "\nanswer"))
    rendered = seedling_renderer.render(row)
    assert list(rendered.ids[: rendered.prompt_length]) == seedling_renderer.prompt(row.prompt)


@pytest.mark.parametrize("name", [*GOLDEN, "tools"])
def test_plain_transformers_gives_the_same_prompt_after_saving(name, tmp_path, seedling_renderer):
    row = TOOLS if name == "tools" else GOLDEN[name]
    seedling_renderer.tokenizer.save_pretrained(tmp_path)
    plain = AutoTokenizer.from_pretrained(tmp_path)
    ids = plain.apply_chat_template(
        as_dicts(row.prompt), tools=as_tools(row.tools), add_generation_prompt=True, return_dict=True
    )["input_ids"]
    assert ids == seedling_renderer.prompt(row.prompt, row.tools)
    assert Renderer(plain, list(seedling_renderer.stop_ids)).fingerprint == seedling_renderer.fingerprint
