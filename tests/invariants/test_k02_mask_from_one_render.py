"""K2: the mask comes from one rendering of the whole conversation and is proved by decoding."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.render.conversations import (
    ENDLESS,
    GEMMA_LIKE,
    GOLDEN,
    LLAMA_LIKE,
    MISTRAL_LIKE,
    PHI_LIKE,
    REWRITING,
    SPACED_LIKE,
    SPECIAL,
    SYSTEMLESS_LIKE,
    THINKING_LIKE,
    TOOLS,
    TRIMMING,
    example,
)
from tests.render.tokenizers import tiny
from tunewright.errors import RenderError
from tunewright.records import Example, Message
from tunewright.render import Renderer, spans

IM = ["<|im_start|>", "<|im_end|>"]


def said(renderer: Renderer, row: Example) -> list[str]:
    return [text for text, supervised in spans(renderer, renderer.render(row)) if supervised]


@pytest.mark.parametrize("name", GOLDEN)
def test_supervised_text_is_what_the_assistant_says(name, seedling_renderer):
    # The seedling's tokenizer writes NFC, so what is learned is the composed form.
    wanted = [
        unicodedata.normalize("NFC", m.content) + "<|im_end|>" for m in GOLDEN[name].messages if m.role == "assistant"
    ]
    assert said(seedling_renderer, GOLDEN[name]) == wanted


@pytest.mark.parametrize("template", [LLAMA_LIKE, GEMMA_LIKE, MISTRAL_LIKE])
@pytest.mark.parametrize("name", ["one turn", "two turns", "unicode", "newlines", "leading space"])
def test_other_families(template, name):
    renderer = Renderer(tiny(template, SPECIAL[template]))
    wanted = [m.content + renderer.terminator for m in GOLDEN[name].messages if m.role == "assistant"]
    assert said(renderer, GOLDEN[name]) == wanted


@pytest.mark.parametrize(
    ("template", "around"),
    [(PHI_LIKE, ("", "<|end|>")), (SPACED_LIKE, (" ", " </s>")), (SYSTEMLESS_LIKE, ("", "<end_of_turn>"))],
)
@pytest.mark.parametrize("name", ["one turn", "two turns", "unicode", "system"])
def test_what_a_template_writes_around_any_answer_is_learned_with_it(template, around, name):
    renderer = Renderer(tiny(template, SPECIAL[template]))
    answers = [m.content for m in GOLDEN[name].messages if m.role == "assistant"]
    assert said(renderer, GOLDEN[name]) == [around[0] + answer + around[1] for answer in answers]
    rendered = renderer.render(GOLDEN[name])
    assert list(rendered.ids[: rendered.prompt_length]) == renderer.prompt(GOLDEN[name].prompt)
    # And is no part of what the model is read to have said.
    assert renderer.decode(rendered.ids[rendered.prompt_length :]) == answers[-1]


def test_where_a_template_refuses_a_system_turn_its_words_stand_before_the_users():
    renderer = Renderer(tiny(SYSTEMLESS_LIKE, SPECIAL[SYSTEMLESS_LIKE]))
    assert "<start_of_turn>user\nBe brief.\n\nWhy?<end_of_turn>" in renderer.text(GOLDEN["system"].messages)
    taken = Renderer(tiny(GEMMA_LIKE, SPECIAL[GEMMA_LIKE]))
    assert "<start_of_turn>system\nBe brief.<end_of_turn>" in taken.text(GOLDEN["system"].messages)
    with pytest.raises(RenderError, match="System role not supported"):  # nobody's words to stand before
        renderer.prompt([Message("system", "Be brief.")])


def test_tool_calls_are_supervised_whole(seedling_renderer):
    first, second = said(seedling_renderer, TOOLS)
    assert first == '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call><|im_end|>'
    assert second == "Clear.<|im_end|>"


def test_a_thinking_switch_is_turned_off_in_prompt_and_answer_alike():
    renderer = Renderer(tiny(THINKING_LIKE, IM))
    assert said(renderer, GOLDEN["one turn"]) == ["hello<|im_end|>"]


def test_a_template_that_trims_answers_is_refused_with_both_strings():
    renderer = Renderer(tiny(TRIMMING, IM))
    with pytest.raises(RenderError) as caught:
        renderer.render(GOLDEN["leading space"])
    assert "'  indented<|im_end|>'" in str(caught.value)
    assert "'indented<|im_end|>'" in str(caught.value)
    assert "golden:1" in str(caught.value)


def test_a_template_that_rewrites_earlier_turns_is_refused():
    renderer = Renderer(tiny(REWRITING, IM))
    row = example(("user", "a"), ("assistant", "<think>x</think>b"), ("user", "c"), ("assistant", "d"))
    with pytest.raises(RenderError, match="differently"):
        renderer.render(row)


def test_a_template_without_an_end_of_turn_is_refused():
    with pytest.raises(RenderError, match="never learn to stop"):
        Renderer(tiny(ENDLESS, IM))


def test_nothing_to_learn_is_an_error(seedling_renderer):
    with pytest.raises(RenderError, match="no assistant turn"):
        seedling_renderer.render(Example((Message("user", "x"),), row="f:1"))


words = st.text(st.characters(exclude_categories=["Cs", "Co", "Cn"]), max_size=30)


@settings(max_examples=60, deadline=None)
@given(turns=st.lists(st.tuples(words, words), min_size=1, max_size=3))
def test_any_text_is_masked_exactly(turns, seedling_renderer):
    # A person's text that spells a control token would be read as one; the data room reports such rows.
    turns = [(u.replace("<|", ""), a.replace("<|", "")) for u, a in turns]
    row = example(*[t for u, a in turns for t in (("user", u), ("assistant", a))])
    normal = seedling_renderer.tokenizer.backend_tokenizer.normalizer
    keep = normal.normalize_str if normal else (lambda s: s)
    assert said(seedling_renderer, row) == [keep(a) + "<|im_end|>" for _, a in turns]


def test_nothing_is_learned_of_a_first_token_that_nothing_stands_before():
    """No state predicts it; packed behind another row, that row's last one would."""
    bare = "{% for m in messages %}{{ m['content'] }}</s>{% endfor %}"
    row = Renderer(tiny(bare, ["<s>", "</s>"])).render(example(("assistant", "hello there")))
    assert row.weights == (0.0, *[1.0] * (len(row.ids) - 1))
