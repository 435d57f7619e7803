"""K2: the mask comes from one rendering of the whole conversation and is proved by decoding."""

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.render.conversations import (
    CHANNEL_LIKE,
    ENDLESS,
    GEMMA_LIKE,
    GOLDEN,
    LATE_SYSTEM_LIKE,
    LLAMA_LIKE,
    MISTRAL_LIKE,
    NEXT_TURN_LIKE,
    OPENING_LIKE,
    PHI_LIKE,
    REWRITING,
    SPACED_LIKE,
    SPECIAL,
    SYSTEMLESS_LIKE,
    THINKING_LIKE,
    TOOLS,
    TRIMMING,
    UNWRITTEN_LIKE,
    WORDS_ONLY_LIKE,
    example,
)
from tests.render.tokenizers import tiny
from tunewright.errors import RenderError
from tunewright.models.template import switched
from tunewright.records import Example, Message, sequences
from tunewright.render import Renderer, spans

IM = ["<|im_start|>", "<|im_end|>"]


def said(renderer: Renderer, row: Example) -> list[str]:
    whole = sequences([renderer.render(row)])
    return [text for each in whole for text, supervised in spans(renderer, each) if supervised]


@pytest.mark.parametrize("name", GOLDEN)
def test_supervised_text_is_what_the_assistant_says(name, seedling_renderer):
    # The seedling's tokenizer writes NFC, so what is learned is the composed form.
    wanted = [
        unicodedata.normalize("NFC", m.content) + "<|im_end|>" for m in GOLDEN[name].messages if m.role == "assistant"
    ]
    assert said(seedling_renderer, GOLDEN[name]) == wanted


def test_an_answer_that_is_not_learned_is_read(seedling_renderer):
    turns = (Message("user", "Q"), Message("assistant", "wrong", (), False), Message("user", "Q"))
    row = Example((*turns, Message("assistant", "right")))
    assert said(seedling_renderer, row) == ["right<|im_end|>"]
    assert "wrong<|im_end|>" in seedling_renderer.tokenizer.decode(seedling_renderer.render(row).ids)


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
    renderer = Renderer(tiny(switched(THINKING_LIKE), IM))
    assert said(renderer, GOLDEN["one turn"]) == ["hello<|im_end|>"]


def test_what_a_template_trims_is_learned_as_it_writes_it():
    renderer = Renderer(tiny(TRIMMING, IM))
    for name in ("leading space", "newlines"):
        row = GOLDEN[name]
        assert said(renderer, row) == [row.answer.content.strip() + "<|im_end|>"]
        rendered = renderer.render(row)
        assert list(rendered.ids[: rendered.prompt_length]) == renderer.prompt(row.prompt)


def test_a_template_that_changes_answers_is_refused_with_both_strings():
    renderer = Renderer(tiny(TRIMMING.replace("trim", "upper"), IM))
    with pytest.raises(RenderError) as caught:
        renderer.render(GOLDEN["leading space"])
    assert "'  indented<|im_end|>'" in str(caught.value)
    assert "'  INDENTED<|im_end|>'" in str(caught.value)
    assert "golden:1" in str(caught.value)


@pytest.mark.parametrize("template", [REWRITING, THINKING_LIKE])
def test_an_earlier_answer_that_is_written_otherwise_later_is_learned_as_it_is_asked_for(template):
    """Its prompt, or its end, is another once more turns follow: it has a sequence of its own."""
    renderer = Renderer(tiny(switched(template), IM))
    row = example(("user", "a"), ("assistant", "<think>x</think>b"), ("user", "c"), ("assistant", "d"))
    if template == THINKING_LIKE:
        row = GOLDEN["two turns"]
    first = Example(row.messages[:2], row="golden:1")
    assert said(renderer, row) == [f"{row.messages[1].content}<|im_end|>", "d<|im_end|>"]
    rendered = renderer.render(row)
    assert list(rendered.ids[: rendered.prompt_length]) == renderer.prompt(row.prompt)
    assert list(sequences([rendered])) == [renderer.render(first), replace(rendered, earlier=())]
    assert renderer.facts(row, 100).supervised == rendered.supervised + renderer.facts(first, 100).supervised
    # Where it is not to be learned, or its answer lies behind the longest length, there is no sequence for it.
    unwanted = replace(row, messages=(row.messages[0], replace(row.messages[1], learned=False), *row.messages[2:]))
    assert said(renderer, unwanted) == ["d<|im_end|>"] and not renderer.render(unwanted).earlier
    assert not renderer.render(row, len(renderer.prompt(first.prompt))).earlier
    only = replace(row, messages=(*row.messages[:3], replace(row.messages[3], learned=False)))
    assert said(renderer, only) == [f"{row.messages[1].content}<|im_end|>"]


def test_answers_that_one_text_holds_are_learned_in_it():
    """Of three, the template rewrites the first alone once the third is asked for."""
    rewrites = "{% if loop.index == 2 and messages | length > 4 %}was {% endif %}{{ m.content"
    template = TRIMMING.replace("{{ m.content", rewrites)
    renderer = Renderer(tiny(template, IM))
    row = example(*[(role, word) for word in "abc" for role in ("user", "assistant")])
    assert said(renderer, row) == ["a<|im_end|>", "b<|im_end|>", "c<|im_end|>"]
    assert len(renderer.render(row).earlier) == 1


def test_a_long_conversation_is_kept_once_and_not_once_for_every_answer():
    renderer = Renderer(tiny(switched(THINKING_LIKE), IM))
    turns = [turn for i in range(40) for turn in (("user", f"what is {i}?"), ("assistant", f"{i}"))]
    row = example(*turns)
    rendered = renderer.render(row)
    assert said(renderer, row) == [f"{i}<|im_end|>" for i in range(40)]
    assert [len(each.ids) for each in sequences([rendered])][:2] == [
        len(renderer.render(replace(row, messages=row.messages[:2])).ids),
        len(renderer.render(replace(row, messages=row.messages[:4])).ids),
    ]
    assert sum(len(branch.ids) for branch in rendered.earlier) < 2 * len(rendered.ids)


def test_an_answer_with_a_thought_is_refused_where_the_prompt_has_an_empty_one():
    renderer = Renderer(tiny(switched(THINKING_LIKE), IM))
    row = example(("user", "a"), ("assistant", "<think>\nx\n</think>\n\nb"))
    with pytest.raises(RenderError, match="with a prompt that it does not write before it") as caught:
        renderer.render(row)
    assert "leave the thoughts out of the answers" in caught.value.remedy and caught.value.where == "golden:1"


def test_an_answer_inside_a_thought_that_the_prompt_opens_is_refused():
    renderer = Renderer(tiny(OPENING_LIKE, SPECIAL[OPENING_LIKE]))
    with pytest.raises(RenderError, match="with a prompt that it does not write before it") as caught:
        renderer.render(GOLDEN["one turn"])
    assert "add_generation_prompt" in caught.value.remedy


def test_an_answer_stands_behind_the_prompt_that_asks_for_it():
    specials = SPECIAL[UNWRITTEN_LIKE]
    tokenizer = tiny(UNWRITTEN_LIKE, specials)
    renderer = Renderer(tokenizer, [tokenizer.convert_tokens_to_ids("<|given>")])
    for name in ("one turn", "two turns", "system", "leading space"):
        row = GOLDEN[name]
        answers = [turn.content.strip() for turn in row.messages if turn.role == "assistant"]
        assert said(renderer, row) == [answer + "<turn|>" for answer in answers]
        rendered = renderer.render(row)
        assert list(rendered.ids[: rendered.prompt_length]) == renderer.prompt(row.prompt)
        assert tokenizer.decode(rendered.ids[: rendered.prompt_length]).endswith("<think></think>")
    # A call ends with what the model is known to stop at, and generation stops there.
    call = Example(TOOLS.messages[:2], row="golden:2", tools=TOOLS.tools)
    assert said(renderer, call) == ['<|call>weather{"city": "Rome"}<call|><|given>']
    assert said(renderer, TOOLS) == ['<|call>weather{"city": "Rome"}<call|><|given>', "Clear.<turn|>"]
    assert renderer.stop_ids == set(tokenizer.convert_tokens_to_ids(["<turn|>", "<|given>"]))
    with pytest.raises(RenderError, match="never learn to stop"):  # nobody knows that it stops there
        Renderer(tokenizer).render(call)


def test_an_answer_that_the_next_turn_ends_is_learned_with_that_turns_token():
    tokenizer = tiny(NEXT_TURN_LIKE, SPECIAL[NEXT_TURN_LIKE])
    stops = tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|user|>", "<|observation|>"])
    renderer = Renderer(tokenizer, stops)
    for name in ("one turn", "two turns", "system", "leading space"):
        row = GOLDEN[name]
        answers = [turn.content.strip() for turn in row.messages if turn.role == "assistant"]
        assert said(renderer, row) == [f"\n{answer}<|user|>" for answer in answers]
        rendered = renderer.render(row)
        assert not rendered.earlier and rendered.ids[-1] == renderer.stop_id == stops[1]
        assert list(rendered.ids[: rendered.prompt_length]) == renderer.prompt(row.prompt)
        assert renderer.decode(rendered.ids[rendered.prompt_length :]) == answers[-1]
    call = '\n<tool_call>weather{"city": "Rome"}</tool_call><|observation|>'
    assert said(renderer, TOOLS) == [call, "\nClear.<|user|>"]
    assert said(renderer, replace(TOOLS, messages=TOOLS.messages[:2])) == [call]
    assert renderer.stop_ids == set(stops)
    with pytest.raises(RenderError, match="never learn to stop") as caught:  # nobody knows that it stops there
        Renderer(tokenizer, stops[:1])
    assert "eos_token_id" in caught.value.remedy


def test_a_channel_that_the_model_names_is_learned_with_the_answer():
    renderer = Renderer(tiny(CHANNEL_LIKE, SPECIAL[CHANNEL_LIKE]))
    row = GOLDEN["two turns"]
    assert said(renderer, row) == [f"<|channel|>final<|message|>{answer}<|return|>" for answer in "bd"]
    rendered = renderer.render(row)
    assert list(rendered.ids[: rendered.prompt_length]) == renderer.prompt(row.prompt)
    assert renderer.decode(rendered.ids[rendered.prompt_length :]) == "d"


def test_a_template_that_would_end_an_answer_before_its_words_is_refused():
    template = CHANNEL_LIKE.replace("<|channel|>", "<|return|>")
    with pytest.raises(RenderError, match="would stop before them"):
        Renderer(tiny(template, SPECIAL[CHANNEL_LIKE]))


def test_a_system_turn_that_is_gone_once_it_is_answered_stands_before_the_users():
    renderer = Renderer(tiny(LATE_SYSTEM_LIKE, SPECIAL[LATE_SYSTEM_LIKE]))
    row = example(("system", "Be brief."), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"))
    assert said(renderer, row) == ["b</s>", "d</s>"]
    rendered = renderer.render(row)
    assert renderer.tokenizer.decode(rendered.ids).startswith("<s>[INST]Be brief.\n\na[/INST]b</s>")
    assert list(rendered.ids[: rendered.prompt_length]) == renderer.prompt(row.prompt)


def test_a_system_turn_that_is_left_out_stands_before_the_users():
    template = WORDS_ONLY_LIKE.replace("'system', ", "")
    renderer = Renderer(tiny(template, SPECIAL[WORDS_ONLY_LIKE]))
    assert "<|im_start|>user\nBe brief.\n\nWhy?<|im_end|>" in renderer.text(GOLDEN["system"].messages)


@pytest.mark.parametrize(
    ("turns", "tools", "why"),
    [
        (TOOLS.messages[:2], (), "does not write tool calls: turn 2"),
        ((*GOLDEN["one turn"].messages, *TOOLS.messages[2:]), (), "leaves out what a tool gave back"),
        (GOLDEN["one turn"].messages, TOOLS.tools, "leaves out the tools that the row offers"),
    ],
)
def test_what_a_template_leaves_out_is_told(turns, tools, why):
    renderer = Renderer(tiny(WORDS_ONLY_LIKE, SPECIAL[WORDS_ONLY_LIKE]))
    with pytest.raises(RenderError, match=why) as caught:
        renderer.render(Example(turns, row="golden:2", tools=tools))
    assert caught.value.where == "golden:2" and caught.value.remedy


def test_calls_behind_a_terminator_are_refused():
    """The model would stop before them."""
    template = WORDS_ONLY_LIKE.replace(
        "<|im_end|>",
        "<|im_end|>{% if m.tool_calls is defined %}{{ m.tool_calls[0].function | tojson }}<|im_end|>{% endif %}",
        1,
    )
    with pytest.raises(RenderError, match="changes what the assistant says in turn 2"):
        Renderer(tiny(template, IM)).render(Example(TOOLS.messages[:2], row="golden:2"))


def test_a_template_that_writes_one_of_two_calls_is_refused():
    template = WORDS_ONLY_LIKE.replace(
        "{{ m.content }}",
        "{{ m.content }}{% if m.tool_calls is defined %}{{ m.tool_calls[0].function | tojson }}{% endif %}",
    )
    renderer, call = Renderer(tiny(template, IM)), TOOLS.messages[1].tool_calls
    asked = TOOLS.messages[0]
    assert said(renderer, Example((asked, Message("assistant", "", call)))) != []
    with pytest.raises(RenderError, match="and calls weather, weather"):
        renderer.render(Example((asked, Message("assistant", "", call * 2))))


def test_a_refusal_of_the_templates_own_names_the_row():
    template = "{% if messages | length > 2 %}{{ raise_exception('too long') }}{% endif %}" + TRIMMING
    with pytest.raises(RenderError, match="golden:1: the chat template refuses this conversation: too long"):
        Renderer(tiny(template, IM)).render(GOLDEN["two turns"])


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
