"""Golden conversations and chat templates in the manner of several families, written for these tests."""

from tunewright.records import Example, Message

WEATHER = {"name": "weather", "description": "Weather of a city.", "parameters": {"type": "object", "properties": {}}}


def example(*turns: tuple[str, str], **more: object) -> Example:
    return Example(tuple(Message(r, c) for r, c in turns), row="golden:1", **more)  # type: ignore[arg-type]


GOLDEN = {
    "one turn": example(("user", "hi"), ("assistant", "hello")),
    "system": example(("system", "Be brief."), ("user", "Why?"), ("assistant", "Because.")),
    "two turns": example(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")),
    "unicode": example(("user", "naïve 東京 🙂"), ("assistant", "Ünï ✓ 東")),
    "leading space": example(("user", " x "), ("assistant", "  indented")),
    "empty user": example(("user", ""), ("assistant", "What do you need?")),
    "newlines": example(("user", "a\n\nb"), ("assistant", "c\n\nd\n")),
    "decomposed": example(("user", "cafe\u0301?"), ("assistant", "e\u0301 \ufa2a")),
    "the marker inside": example(("user", "say <|im_end|>?"), ("assistant", "no")),
}
TOOLS = Example(
    (
        Message("user", "Weather in Rome?"),
        Message("assistant", "", ({"name": "weather", "arguments": {"city": "Rome"}},)),
        Message("tool", '{"sky": "clear"}'),
        Message("assistant", "Clear."),
    ),
    row="golden:2",
    tools=(WEATHER,),
)

LLAMA_LIKE = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
GEMMA_LIKE = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content }}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
MISTRAL_LIKE = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% elif m.role == 'assistant' %}{{ m.content }}{{ eos_token }}{% else %}{{ m.content }}\n{% endif %}{% endfor %}"
)
THINKING_LIKE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and loop.last %}"
    "{% if '</think>' not in m.content %}<think>\n\n</think>\n\n{% endif %}{{ m.content }}"
    "{% else %}{{ m.content.split('</think>')[-1] }}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
TRIMMING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
REWRITING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{{ m.content if loop.last or m.role != 'assistant' else m.content.split('</think>')[-1] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ENDLESS = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
# An end of text behind a last turn alone.
PHI_LIKE = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}"
)
# No generation prompt, and spaces around any answer.
SPACED_LIKE = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% elif m.role == 'assistant' %} {{ m.content | trim }} {{ eos_token }}{% else %}{{ m.content }}\n{% endif %}"
    "{% endfor %}"
)
# No place for a system's turn.
SYSTEMLESS_LIKE = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content | trim }}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
# The system's turn before the user's last, and nowhere once that is answered.
LATE_SYSTEM_LIKE = (
    "{{ bos_token }}{% set said = messages[0].content if messages[0].role == 'system' else '' %}"
    "{% for m in messages %}{% if m.role == 'user' %}[INST]{{ said ~ '\n\n' if loop.last and said }}"
    "{{ m.content }}[/INST]"
    "{% elif m.role == 'assistant' %}{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
# A prompt that ends with an empty thought, which is not written before the answer; calls end otherwise than words.
UNWRITTEN_LIKE = (
    "{{ bos_token }}{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}"
    "{% if m.role != 'tool' and not (m.role == 'assistant' and loop.index0 and "
    "messages[loop.index0 - 1].role == 'tool') %}<|turn>{{ m.role }}\n{% endif %}{% if m.tool_calls is defined %}"
    "<|call>{{ m.tool_calls[0].function.name }}{{ m.tool_calls[0].function.arguments | tojson }}<call|><|given>"
    "{% elif m.role == 'tool' %}{{ m.content }}<given|>{% else %}{{ m.content | trim }}<turn|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt and messages[-1].role != 'tool' %}<|turn>assistant\n<think></think>{% endif %}"
)
# A prompt that opens a thought, which is left out of what was said.
OPENING_LIKE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content.split('</think>')[-1] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)
# Answers in a channel that the model has to name; another end for the last turn.
CHANNEL_LIKE = (
    "{% for m in messages %}<|start|>{{ m.role }}{% if m.role == 'assistant' %}<|channel|>final{% endif %}<|message|>"
    "{{ m.content }}{{ '<|return|>' if loop.last and m.role == 'assistant' else '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
# No end of its own: an answer ends where the next turn begins, words with the user's token, calls with the tool's.
NEXT_TURN_LIKE = (
    "[gMASK]{% if tools %}<|system|>{{ '\\n' ~ tools | tojson }}{% endif %}{% for m in messages %}"
    "{% if m.role == 'tool' %}<|observation|>{% else %}<|{{ m.role }}|>{% endif %}"
    "{% if m.role == 'assistant' %}{{ '\\n<think></think>' }}{% endif %}"
    "{% if m.content %}{{ '\\n' ~ m.content | trim }}{% endif %}"
    "{% if m.tool_calls is defined %}{{ '\\n<tool_call>' ~ m.tool_calls[0].function.name }}"
    "{{ m.tool_calls[0].function.arguments | tojson }}</tool_call>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{{ '\\n<think></think>' }}{% endif %}"
)
# Calls, tools and what they give back are left out.
WORDS_ONLY_LIKE = (
    "{% for m in messages %}{% if m.role in ('system', 'user', 'assistant') %}<|im_start|>{{ m.role }}\n"
    "{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = {
    LATE_SYSTEM_LIKE: ["<s>", "</s>", "[INST]", "[/INST]"],
    UNWRITTEN_LIKE: [
        "<bos>",
        "<|turn>",
        "<think>",
        "</think>",
        "<|call>",
        "<call|>",
        "<|given>",
        "<given|>",
        "<turn|>",
    ],
    NEXT_TURN_LIKE: ["[gMASK]", "<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"],
    CHANNEL_LIKE: ["<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>"],
    OPENING_LIKE: ["<|im_start|>", "<think>", "</think>", "<|im_end|>"],
    WORDS_ONLY_LIKE: ["<|im_start|>", "<|im_end|>"],
    PHI_LIKE: ["<s>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>"],
    SPACED_LIKE: ["<s>", "</s>", "[INST]", "[/INST]"],
    SYSTEMLESS_LIKE: ["<bos>", "<start_of_turn>", "<end_of_turn>"],
    LLAMA_LIKE: ["<|begin|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
    GEMMA_LIKE: ["<bos>", "<start_of_turn>", "<end_of_turn>"],
    MISTRAL_LIKE: ["<s>", "</s>", "[INST]", "[/INST]"],
}
# Thoughts in a field of their own or in the words; an empty one before a last answer without; earlier ones dropped.
FIELDS_LIKE = (
    "{%- set at = namespace(asked=-1) -%}"
    "{%- for m in messages %}{% if m.role == 'user' %}{% set at.asked = loop.index0 %}{% endif %}{% endfor -%}"
    "{%- for m in messages -%}{{- '<|im_start|>' ~ m.role ~ '\n' -}}"
    "{%- set thought = '' -%}{%- set words = m.content or '' -%}"
    "{%- if m.role == 'assistant' -%}"
    "{%- if m.reasoning_content is string -%}{%- set thought = m.reasoning_content -%}"
    "{%- elif '</think>' in words -%}"
    "{%- set thought = words.split('</think>')[0].split('<think>')[-1].strip('\n') -%}"
    "{%- set words = words.split('</think>')[-1].lstrip('\n') -%}{%- endif -%}"
    "{%- if loop.index0 > at.asked and (loop.last or thought) -%}"
    "{{- '<think>\n' ~ thought ~ '\n</think>\n\n' -}}{%- endif -%}{%- endif -%}"
    "{{- words -}}{%- if m.tool_calls -%}{{- '<call>' ~ m.tool_calls[0].function.name ~ '</call>' -}}{%- endif -%}"
    "{{- '<|im_end|>\n' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}"
    "{%- if enable_thinking is defined and enable_thinking is false -%}{{- '<think>\n\n</think>\n\n' -}}{%- endif -%}"
    "{%- endif -%}"
)
# The same with a prompt that always begins a thought, and no switch.
FORCED_LIKE = FIELDS_LIKE.replace("enable_thinking is defined and enable_thinking is false", "true").replace(
    "<think>\n\n</think>\n\n' -}}{%- endif -%}{%- endif", "<think>\n' -}}{%- endif -%}{%- endif"
)
# OPENING_LIKE as a user mends it: answers are written as they are.
MENDED = OPENING_LIKE.replace("m.content.split('</think>')[-1]", "m.content")
