"""K3: BOS exactly as the template says, never doubled or dropped."""

import pytest

from tests.render.conversations import GEMMA_LIKE, GOLDEN, LLAMA_LIKE, MISTRAL_LIKE, SPECIAL
from tests.render.tokenizers import tiny
from tunewright.render import Renderer


@pytest.mark.parametrize("template", [LLAMA_LIKE, GEMMA_LIKE, MISTRAL_LIKE])
def test_one_bos_where_the_template_writes_one(template):
    tokenizer = tiny(template, SPECIAL[template])
    # A tokenizer that would add BOS by itself must not add a second one.
    from tokenizers.processors import TemplateProcessing

    bos = tokenizer.bos_token
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, tokenizer.bos_token_id)]
    )
    renderer = Renderer(tokenizer)
    row = GOLDEN["two turns"]
    assert renderer.render(row).ids.count(tokenizer.bos_token_id) == 1
    assert renderer.prompt(row.prompt).count(tokenizer.bos_token_id) == 1


def test_none_where_the_template_writes_none(seedling_renderer):
    bos = seedling_renderer.tokenizer.bos_token_id
    assert bos not in seedling_renderer.render(GOLDEN["two turns"]).ids
