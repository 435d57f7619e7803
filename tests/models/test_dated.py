"""A template that writes the day it is asked on, or asks for thoughts, writes the same whenever and whoever asks."""

import pytest
from transformers import AutoTokenizer
from transformers.utils import chat_template_utils

from tests.render.conversations import GOLDEN, THINKING_LIKE, example
from tests.render.tokenizers import tiny
from tunewright import models
from tunewright.models.template import dated, switched
from tunewright.render import Renderer

HEAD = "{%- if strftime_now is defined %}{%- set today = strftime_now('%d %b %Y') %}{%- endif %}Today: {{ today }}\n"
TURNS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.mark.parametrize(
    ("asked", "written"),
    [
        ('{{ "Current date: " + strftime_now("%Y-%m-%d") }}', "Current date: 2026-01-01"),
        ("{{ strftime_now( '%d %B %Y' ) }}", "01 January 2026"),
        ("{{ strftime_now('say \"%d\"') }}", 'say "01"'),
        ("{{ date_string }}", ""),
    ],
)
def test_every_form_of_the_day_is_written_out(asked, written):
    tokenizer = tiny(dated(asked), ["<s>", "<|im_end|>"])
    assert tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False) == written
    assert dated({"default": asked, "tool_use": "x"}) == {"default": dated(asked), "tool_use": "x"}


def test_training_asking_and_what_is_exported_agree_whatever_the_day(tmp_path, monkeypatch):
    models.load("seedling").model.save_pretrained(tmp_path)
    tokenizer = models.load("seedling").tokenizer
    tokenizer.chat_template = HEAD + TURNS
    tokenizer.save_pretrained(tmp_path)
    row, base = example(("user", "hello"), ("assistant", "there")), models.load(str(tmp_path))
    made = Renderer(base.tokenizer).render(row)
    assert "Today: 01 Jan 2026" in base.tokenizer.decode(made.ids)

    monkeypatch.setattr(chat_template_utils, "datetime", None)  # whoever looks at the clock fails
    assert list(made.ids[: made.prompt_length]) == Renderer(base.tokenizer).prompt(row.prompt)
    base.tokenizer.save_pretrained(tmp_path / "exported")
    plain = AutoTokenizer.from_pretrained(tmp_path / "exported")
    asked = [{"role": "user", "content": "hello"}]
    assert plain.apply_chat_template(asked, add_generation_prompt=True, return_dict=True)["input_ids"] == list(
        made.ids[: made.prompt_length]
    )
    assert Renderer(plain).fingerprint == Renderer(base.tokenizer).fingerprint


@pytest.mark.parametrize("start", ["", "\n", "{#- a note #}", "{%- set default = enable_thinking | default(true) %}"])
def test_thinking_is_off_in_what_is_exported(tmp_path, start):
    models.load("seedling").model.save_pretrained(tmp_path)
    tokenizer = models.load("seedling").tokenizer
    tokenizer.chat_template = start + THINKING_LIKE
    tokenizer.save_pretrained(tmp_path)
    row, base = GOLDEN["one turn"], models.load(str(tmp_path))
    made = Renderer(base.tokenizer).render(row)
    assert list(made.ids) == list(Renderer(tokenizer).render(row).ids), "the same as with the switch turned off"
    prompt = list(made.ids[: made.prompt_length])
    base.model.save_pretrained(tmp_path / "exported")
    base.tokenizer.save_pretrained(tmp_path / "exported")
    plain = AutoTokenizer.from_pretrained(tmp_path / "exported")
    asked = [{"role": "user", "content": "hi"}]
    for more in ({}, {"enable_thinking": True}):
        ids = plain.apply_chat_template(asked, add_generation_prompt=True, return_dict=True, **more)["input_ids"]
        assert ids == prompt
    again = models.load(str(tmp_path / "exported")).tokenizer
    assert again.chat_template == base.tokenizer.chat_template
    assert Renderer(again).fingerprint == Renderer(base.tokenizer).fingerprint


def test_a_template_without_a_switch_stays_as_it_is():
    assert switched({"default": TURNS}) == {"default": TURNS}
