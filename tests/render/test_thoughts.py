"""A model that thinks before it answers: both are learned, behind the very prompt it is asked with, and told apart."""

import pytest

from tests.render.conversations import (
    CHANNEL_LIKE,
    FIELDS_LIKE,
    FORCED_LIKE,
    GOLDEN,
    MENDED,
    OPENING_LIKE,
    SPECIAL,
    THINKING_LIKE,
    TOOLS,
    TRIMMING,
)
from tests.render.tokenizers import tiny
from tunewright.errors import RenderError
from tunewright.models.template import switched
from tunewright.records import Example, Message, sequences
from tunewright.render import Renderer, spans
from tunewright.thoughts import Said

IM = ["<|im_start|>", "<think>", "</think>", "<|im_end|>"]
WHOLE = "<think>\n6 and 3\n</think>\n\n9<|im_end|>"
ROW = Example((Message("user", "6+3?"), Message("assistant", "9", thought="6 and 3")), row="golden:1")
BARE = Example((Message("user", "6+3?"), Message("assistant", "9")), row="golden:2")


def thinking(template):
    return Renderer(tiny(switched(template, True), IM), thinking=True)


def learned(renderer, row):
    whole = sequences([renderer.render(row)])
    return "".join(text for each in whole for text, supervised in spans(renderer, each) if supervised)


@pytest.mark.parametrize(
    ("template", "whole", "bare"),
    [
        (FIELDS_LIKE, WHOLE, "<think>\n\n</think>\n\n9<|im_end|>"),
        (THINKING_LIKE, WHOLE, "<think>\n\n</think>\n\n9<|im_end|>"),
        (FORCED_LIKE, WHOLE.removeprefix("<think>\n"), "\n</think>\n\n9<|im_end|>"),
        (MENDED, WHOLE.removeprefix("<think>\n"), "\n</think>\n\n9<|im_end|>"),
        (TRIMMING, WHOLE, "9<|im_end|>"),
    ],
)
def test_thought_answer_and_end_are_learned_behind_the_prompt_that_asks(template, whole, bare):
    renderer = thinking(template)
    assert renderer.writes_thoughts
    for row, wanted in ((ROW, whole), (BARE, bare)):
        rendered = renderer.render(row)
        assert learned(renderer, row) == wanted
        assert list(rendered.ids[: rendered.prompt_length]) == renderer.prompt(row.prompt)
        assert renderer.said(rendered.ids[rendered.prompt_length :]) == Said(row.answer.thought, "9")
        assert renderer.decode(rendered.ids[rendered.prompt_length :]) == "9"


@pytest.mark.parametrize(("template", "opened"), [(FIELDS_LIKE, ""), (FORCED_LIKE, "<think>\n")])
def test_earlier_thoughts_are_dropped_where_later_answers_are_learned_and_learned_with_their_own(template, opened):
    renderer = thinking(template)
    row = Example((*ROW.messages, Message("user", "2+2?"), Message("assistant", "4", thought="twice 2")), row="r")
    text = renderer.tokenizer.decode(renderer.render(row).ids)
    assert "6 and 3" not in text and "\n9<|im_end|>" in text
    last = WHOLE.replace("6 and 3", "twice 2").replace("9", "4")
    assert learned(renderer, row) == "".join(whole.removeprefix(opened) for whole in (WHOLE, last))


def test_where_a_template_keeps_earlier_thoughts_they_are_learned():
    renderer = thinking(TRIMMING)
    row = Example((*ROW.messages, Message("user", "2+2?"), Message("assistant", "4", thought="twice 2")), row="r")
    assert learned(renderer, row) == WHOLE + WHOLE.replace("6 and 3", "twice 2").replace("9", "4")
    assert not renderer.render(row).earlier


def test_a_call_is_learned_with_the_thought_before_it():
    renderer = thinking(FIELDS_LIKE)
    asked, call = TOOLS.messages[:2]
    row = Example((asked, Message("assistant", "", call.tool_calls, thought="look it up")), row="r")
    assert learned(renderer, row) == "<think>\nlook it up\n</think>\n\n<call>weather</call><|im_end|>"
    rendered = renderer.render(row)
    assert renderer.decode(rendered.ids[rendered.prompt_length :]) == "<call>weather</call>"


@pytest.mark.parametrize("template", [FIELDS_LIKE, MENDED])
def test_a_thought_that_never_ends_is_no_answer(template):
    renderer = thinking(template)
    begun = "" if template == MENDED else "<think>\n"
    ids = renderer.tokenizer.encode(begun + "6 and 3 and", add_special_tokens=False)
    assert renderer.said(ids) == Said("6 and 3 and", "", ended=False)
    # Only where no thought was begun is a text without its end an answer.
    plain = renderer.tokenizer.encode("6 and 3", add_special_tokens=False)
    assert renderer.decode(plain) == ("" if template == MENDED else "6 and 3")


@pytest.mark.parametrize("template", [OPENING_LIKE, CHANNEL_LIKE])
def test_a_template_that_takes_thoughts_out_says_what_to_do(template):
    renderer = Renderer(tiny(template, SPECIAL[template]), thinking=True)
    assert not renderer.writes_thoughts
    with pytest.raises(RenderError) as caught:
        renderer.render(ROW)
    assert "model.template: FILE" in caught.value.remedy and caught.value.where == "golden:1"


def test_off_thoughts_are_written_nowhere_and_nothing_is_told_apart():
    off = Renderer(tiny(switched(FIELDS_LIKE), IM))
    assert not off.writes_thoughts
    assert "6 and 3" not in off.text(ROW.messages)
    assert off.fingerprint == Renderer(tiny("{% set enable_thinking = false %}" + FIELDS_LIKE, IM)).fingerprint
    ids = off.tokenizer.encode("<think>\nx\n</think>\n\n9", add_special_tokens=False)
    assert off.said(ids) == Said("", "<think>\nx\n</think>\n\n9")
    prompts = {r.tokenizer.decode(r.prompt(ROW.prompt)) for r in (off, thinking(FIELDS_LIKE))}
    assert len(prompts) == 2 and off.fingerprint != thinking(FIELDS_LIKE).fingerprint
    # Without a switch the template is the same, and what is done with thoughts is not.
    assert Renderer(tiny(TRIMMING, IM)).fingerprint != thinking(TRIMMING).fingerprint


def test_on_it_takes_what_has_no_thoughts_as_before():
    on, off = thinking(TRIMMING), Renderer(tiny(TRIMMING, IM))
    for row in GOLDEN.values():
        assert on.render(row) == off.render(row)


def test_the_switch_is_turned_over_once():
    for template in (FIELDS_LIKE, "\n" + FIELDS_LIKE, "{{ '' if thinking else 'x' }}"):
        on, off = switched(template, True), switched(template)
        assert (switched(on), switched(off, True)) == (off, on)
        assert switched(on, True) == on and switched(off) == off
    assert switched("{{ '' if thinking else 'x' }}", True).startswith("{% set thinking = true %}")
