"""The chat template that a base is asked with: its own, the one a recipe names, or ours for bases without one."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from tunewright.errors import ModelError
from tunewright.recipe import ModelSpec

# The day that a template writes which asks for today's.
DAY = datetime.date(2026, 1, 1)
_TODAY = re.compile(r"strftime_now\(\s*(['\"])(.*?)\1\s*\)")
# What templates call the switch: Qwen3 and most others; DeepSeek since V3.1, and Granite, which are off unless asked.
_SWITCH, _OTHER = "enable_thinking", "thinking"
_SET = re.compile(rf"(?:{{% set (?:{_SWITCH}|{_OTHER}) = (?:true|false) %}})+\n?")
# A base that was never spoken to knows words and its own end of text. New tokens for the turns would be random numbers,
# which adapters leave as they are.
_PLAIN = (
    "{% for message in messages %}"
    "{{ '### ' + message['role'] | capitalize + ':\\n' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}"
    "{{ '\\n\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '### Assistant:\\n' }}{% endif %}"
)
_REMEDY = (
    "Set model.template: plain in the recipe (--template plain with init): turns begin with ### User: and "
    "### Assistant:, answers end with the base's own end of text. Or name a Jinja file of yours there, or use the "
    "model's instruct variant."
)


def template_of(spec: ModelSpec, tokenizer: PreTrainedTokenizerBase, root: Path) -> Any:
    """The template, or several by name, that conversations are written with: `spec.template`, else the tokenizer's.

    A file is looked for relative to `root`. Raises `ModelError` where there is none to be had.
    """
    own = getattr(tokenizer, "chat_template", None)
    if spec.template == "plain":
        return _plain(spec, tokenizer)
    if spec.template is not None:
        return _from_file(root / Path(spec.template).expanduser())
    if not own:
        raise ModelError(
            "the tokenizer has no chat template, so there is no telling how a conversation is written for it.",
            where=spec.id,
            remedy=_REMEDY,
        )
    if isinstance(own, dict) and "default" not in own:
        raise ModelError(
            f"the tokenizer has several chat templates ({', '.join(own)}), and none of them is the default.",
            where=spec.id,
            remedy="Write the right one into a file and name it as model.template.",
        )
    return own


def _plain(spec: ModelSpec, tokenizer: PreTrainedTokenizerBase) -> str:
    """Our template, begun with a token only where the tokenizer begins texts so by itself (K3)."""
    if not tokenizer.eos_token:
        raise ModelError(
            "the tokenizer has no end of text, and an answer that ends with none is never done.",
            where=spec.id,
            remedy="Name one as `eos_token` in its tokenizer_config.json, which the model was trained with.",
        )
    begun = tokenizer("x")["input_ids"][:1] == [tokenizer.bos_token_id]
    return ("{{ bos_token }}" if begun else "") + _PLAIN


def _from_file(path: Path) -> str:
    try:
        template = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ModelError(
            f"this chat template cannot be read: {error}.",
            where=f"model.template: {path}",
            remedy="Name a Jinja file, relative to the recipe, or `plain`.",
        ) from error
    if not template.strip():
        raise ModelError("this chat template is empty.", where=f"model.template: {path}")
    return template


def dated(template: Any) -> Any:
    """A chat template, or several by name, that writes `DAY` where it would write the day it is asked on.

    Else a run of two days would have learnt two prompts, and be measured and served with a third.
    """
    if isinstance(template, dict):
        return {name: dated(one) for name, one in template.items()}
    return _TODAY.sub(lambda call: json.dumps(DAY.strftime(call[2])), template)


def switched(template: Any, thinking: bool = False) -> Any:
    """A chat template, or several by name, whose thinking switch is on (`thinking`) or off, whoever asks.

    On, it asks for thoughts, and where the rows do not have any, most templates write an empty one before the answer;
    off, they write that in the prompt, so that the answer starts where the prompt ends. Asked for as an option it
    would be so here alone: a server that reads our export would ask with another prompt than the one learnt.
    """
    if isinstance(template, dict):
        return {name: switched(one, thinking) for name, one in template.items()}
    own = _SET.sub("", template, count=1) if _SET.match(template) else template
    names = [name for name in (_SWITCH, *([_OTHER] if thinking else [])) if re.search(rf"\b{name}\b", own)]
    said = "".join(f"{{% set {name} = {'true' if thinking else 'false'} %}}" for name in names)
    # A line's end behind a statement is not written: one that is the template's own has to stay.
    return said + ("\n" if said and own.startswith("\n") else "") + own
