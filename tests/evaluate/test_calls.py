"""Tool calls are read in whatever form a family's template writes them, and are then what suites expect."""

import json

import pytest

from tests.render.tokenizers import tiny
from tunewright.errors import RecipeError
from tunewright.evaluate.arms import rescored
from tunewright.evaluate.calls import in_our_form
from tunewright.evaluate.scorers import with_calls
from tunewright.evaluate.suites import make_suite
from tunewright.recipe import SuiteSpec
from tunewright.records import Example, Message, Prediction
from tunewright.render import Renderer

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "code": {"type": "string"}},
        },
    },
}
CALL = {"name": "weather", "arguments": {"city": 'Nürnberg, "old" town', "days": 3, "code": "007"}}
OTHER = {"name": "weather", "arguments": {"city": "Rome", "days": 1, "code": "x"}}

TURN = "<|im_start|>{{ m.role }}\n"
END = "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
EACH = "{% for m in messages %}" + TURN + "{{ m.content or '' }}{% if m.tool_calls is defined %}"

LISTED = "[{% for c in m.tool_calls %}{{ c.function | tojson }}{{ ',' if not loop.last }}{% endfor %}]"


def form(calls: str) -> str:
    """A template that writes calls so."""
    return EACH + calls + "{% endif %}" + END


# In the manner of the families' own.
FORMS = {
    "hermes": "{% for c in m.tool_calls %}<tool_call>\n{{ c.function | tojson }}\n</tool_call>{% endfor %}",
    "llama": "{% for c in m.tool_calls %}{{ ';' if not loop.first }}"
    '{"name": "{{ c.function.name }}", "parameters": {{ c.function.arguments | tojson }}}{% endfor %}',
    "llama with a tag": "<|python_tag|>"
    '{"name": "{{ m.tool_calls[0].function.name }}", "parameters": {{ m.tool_calls[0].function.arguments | tojson }}}',
    "mistral": "[TOOL_CALLS] [{% for c in m.tool_calls %}{{ (c.function | tojson)[:-1] }}"
    "{% if c.id is not defined or c.id | length != 9 %}{{ raise_exception('ids of nine') }}{% endif %}"
    ', "id": "{{ c.id }}"}{{ \', \' if not loop.last }}{% endfor %}]',
    "mistral, newer": "{% for c in m.tool_calls %}[TOOL_CALLS]{{ c.function.name }}[ARGS]"
    "{{ c.function.arguments | tojson }}{% endfor %}",
    "granite": f"<|tool_call|>{LISTED}",
    "phi": f"<|tool_call|>{LISTED}<|/tool_call|>",
    "deepseek": "<｜tool▁calls▁begin｜>{% for c in m.tool_calls %}<｜tool▁call▁begin｜>function<｜tool▁sep｜>"
    "{{ c.function.name }}\n```json\n{{ c.function.arguments | tojson }}\n```<｜tool▁call▁end｜>{% endfor %}"
    "<｜tool▁calls▁end｜>",
    "deepseek, newer": "<｜tool▁calls▁begin｜>{% for c in m.tool_calls %}<｜tool▁call▁begin｜>{{ c.function.name }}"
    "<｜tool▁sep｜>{{ c.function.arguments | tojson }}<｜tool▁call▁end｜>{% endfor %}<｜tool▁calls▁end｜>",
    "coder": "{% for c in m.tool_calls %}<tool_call>\n<function={{ c.function.name }}>\n"
    "{% for k, v in c.function.arguments.items() %}<parameter={{ k }}>\n{{ v }}\n</parameter>\n{% endfor %}"
    "</function>\n</tool_call>{% endfor %}",
    "glm": "{% for c in m.tool_calls %}<tool_call>{{ c.function.name }}\n"
    "{% for k, v in c.function.arguments.items() %}<arg_key>{{ k }}</arg_key>\n<arg_value>{{ v }}</arg_value>\n"
    "{% endfor %}</tool_call>{% endfor %}",
    "seed": "{% for c in m.tool_calls %}<seed:tool_call>\n<function={{ c.function.name }}>\n"
    "{% for k, v in c.function.arguments.items() %}<parameter={{ k }}>{{ v }}</parameter>\n{% endfor %}"
    "</function>\n</seed:tool_call>{% endfor %}",
    "invoke": '<some:calls>\n{% for c in m.tool_calls %}<invoke name="{{ c.function.name }}">\n'
    '{% for k, v in c.function.arguments.items() %}<parameter name="{{ k }}">{{ v }}</parameter>\n{% endfor %}'
    "</invoke>\n{% endfor %}</some:calls>",
    "kimi": "<|tool_calls_section_begin|>{% for c in m.tool_calls %}<|tool_call_begin|>functions.{{ c.function.name }}"
    ":{{ loop.index0 }}<|tool_call_argument_begin|>{{ c.function.arguments | tojson }}<|tool_call_end|>{% endfor %}"
    "<|tool_calls_section_end|>",
    "gemma": "{% for c in m.tool_calls %}<|tool_call>call:{{ c.function.name }}{{ '{' }}"
    '{% for k, v in c.function.arguments.items() %}{{ k }}:{% if v is string %}<|"|>{{ v }}<|"|>{% else %}{{ v }}'
    "{% endif %}{{ ',' if not loop.last }}{% endfor %}{{ '}' }}<tool_call|>{% endfor %}",
    "functions": "{% for c in m.tool_calls %}<function={{ c.function.name }}>{{ c.function.arguments | tojson }}"
    "</function>{% endfor %}",
    "command": '<|START_ACTION|>[{% for c in m.tool_calls %}{"tool_call_id": "{{ loop.index0 }}", '
    '"tool_name": "{{ c.function.name }}", "parameters": {{ c.function.arguments | tojson }}}'
    "{{ ', ' if not loop.last }}{% endfor %}]<|END_ACTION|>",
    "function call": "<|function_call|>{{ m.tool_calls[0].function | tojson }}",
    "nemotron": f"<TOOLCALL>{LISTED}</TOOLCALL>",
    "lines": "<function_calls>{% for c in m.tool_calls %}{{ c.function.name }}("
    "{% for k, v in c.function.arguments.items() %}{{ k }}={{ v | tojson }}{{ ', ' if not loop.last }}{% endfor %})\n"
    "{% endfor %}</function_calls>",
    "pythonic": "[{% for c in m.tool_calls %}{{ c.function.name }}({% for k, v in c.function.arguments.items() %}"
    "{{ k }}={{ v | tojson }}{{ ', ' if not loop.last }}{% endfor %}){{ ', ' if not loop.last }}{% endfor %}]",
}


def said(name: str, answer: Message) -> str:
    """What a model that learnt the row perfectly would say."""
    renderer = Renderer(tiny(form(FORMS[name]), ["<s>", "<|im_start|>", "<|im_end|>"]))
    row = Example((Message("user", "weather?"), answer), tools=(WEATHER,))
    made = renderer.render(row)
    return renderer.decode(made.ids[made.prompt_length :])


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("calls", [(CALL,), (CALL, OTHER)], ids=["one", "two"])
def test_what_a_template_writes_is_what_a_suite_expects(name, calls):
    if name in ("llama with a tag", "function call") and len(calls) > 1:
        pytest.skip("it writes one call")
    found = in_our_form(said(name, Message("assistant", "", calls)), (WEATHER,))
    parts = [json.loads(part.split("</tool_call>")[0]) for part in found.split("<tool_call>")[1:]]
    assert parts == list(calls)
    assert in_our_form(found, (WEATHER,)) == found, "what is in our form stays"


@pytest.mark.parametrize("name", [name for name in FORMS if name not in ("llama", "hermes")])
def test_words_before_a_call_stay_words(name):
    found = in_our_form(said(name, Message("assistant", "One moment.", (CALL,))), (WEATHER,))
    assert found == with_calls("One moment.", (CALL,))


HELD = {
    "city": "Zürich <b> & it's",
    "days": 2,
    "on": False,
    "at": {"lat": 1.5, "deep": [1, None, True]},
    "tags": ["a\nb"],
}
TYPED = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer"},
                "on": {"type": "boolean"},
                "at": {"type": "object"},
                "tags": {"type": "array"},
            },
        },
    },
}


@pytest.mark.parametrize(
    "text",
    [
        # Values as Python writes them, where a template does not write JSON.
        "<tool_call>\n<function=weather>\n<parameter=city>\nZürich <b> & it's\n</parameter>\n<parameter=days>\n2\n"
        "</parameter>\n<parameter=on>\nFalse\n</parameter>\n<parameter=at>\n{'lat': 1.5, 'deep': [1, None, True]}\n"
        "</parameter>\n<parameter=tags>\n['a\\nb']\n</parameter>\n</function>\n</tool_call>",
        # Values as JSON writes them, in calls as Python does.
        '[weather(city="Zürich <b> & it\'s", days=2, on=false, at={"lat": 1.5, "deep": [1, null, true]}, '
        'tags=["a\\nb"])]',
        '<|tool_call>call:weather{at:{deep:[1,None,true],lat:1.5},city:<|"|>Zürich <b> & it\'s<|"|>,days:2,on:false,'
        'tags:[<|"|>a\nb<|"|>]}<tool_call|>',
        "<|channel|>analysis<|message|>It rains<|end|><|start|>assistant<|channel|>commentary to=functions.weather "
        f"<|constrain|>json<|message|>{json.dumps(HELD)}",
        f" to=functions.weather<|channel|>commentary json<|message|>{json.dumps(HELD)}",
        f"<|python_start|><|python_end|>{json.dumps({'name': 'weather', 'parameters': HELD})}",
    ],
)
def test_values_of_every_kind_are_read_back(text):
    found = in_our_form(text, (TYPED,))
    assert json.loads(found.split("<tool_call>")[1].split("</tool_call>")[0]) == {"name": "weather", "arguments": HELD}
    assert found.split("<tool_call>")[0].strip() in ("", "It rains")


@pytest.mark.parametrize(
    "text",
    [
        "It will rain.",
        '<invoke name="weather"><city>Rome</city></invoke>',
        '<|tool_call>call:weather{city:<|"|>Rome<tool_call|>',
        "<function_calls>weather(</function_calls>",
        "<function=weather>{</function>",
        " to=functions.weather<|channel|>commentary json<|message|>{",
        "",
        '{"city": "Rome", "days": 3}',
        '{"name": "Rome"}',
        '{"name": "weather", "parameters": {"city": ',
        "[TOOL_CALLS] nothing",
        "[TOOL_CALLS] [1, 2]",
        "[weather('Rome')]",
        "[see (the note)]",
        '[{"name": "weather", "size": 3}]',
        "<|tool_call|>[{]",
        "[" * 100_000,
        "[f(" + "(" * 5_000 + ")]",
    ],
)
def test_what_is_no_call_stays_as_it_is(text):
    assert in_our_form(text, (WEATHER,)) == text


def test_a_template_that_wants_ids_is_given_them_and_its_prompt_is_what_was_learnt():
    renderer = Renderer(tiny(form(FORMS["mistral"]), ["<s>", "<|im_start|>", "<|im_end|>"]))
    plain = Renderer(tiny(form(FORMS["hermes"]), ["<s>", "<|im_start|>", "<|im_end|>"]))
    turns = (
        Message("user", "weather?"),
        Message("assistant", "", (CALL, OTHER)),
        Message("tool", "rain"),
        Message("tool", "sun"),
        Message("assistant", "Rain, then sun."),
    )
    made = renderer.render(Example(turns, tools=(WEATHER,)))
    text = renderer.tokenizer.decode(made.ids)
    assert '"id": "call00100"' in text and '"id": "call00101"' in text
    assert list(made.ids[: made.prompt_length]) == renderer.prompt(turns[:-1], (WEATHER,))
    assert "call00100" not in plain.text(turns)
    assert renderer.fingerprint != plain.fingerprint


ROWS = [
    Example((Message("user", f"q{i}"), Message("assistant", "", (CALL,))), row=f"r:{i}", tools=(WEATHER,))
    for i in range(40)
]


def test_a_suite_scores_calls_in_the_bases_own_form():
    suite = make_suite(ROWS, SuiteSpec(), seed=0, known=ROWS, said=lambda row: said("llama", row.answer))
    assert suite.primary == "tool_calls"
    case, text = suite.cases[0], said("llama", Message("assistant", "", (CALL,)))
    assert "<tool_call>" not in text
    made = rescored(suite, case, Prediction(case=case.id, arm="tuned", text=text, score=None, seconds=0))
    assert made.score == 1.0 and made.scores["exact"] == 1.0 and made.text == case.expected
    # A task without tools may be answered with any JSON.
    bare = case.model_copy(update={"tools": ()})
    assert rescored(suite, bare, Prediction(case=case.id, arm="x", text=text, score=None, seconds=0)).text == text


def test_a_form_that_nobody_can_read_is_told_before_anything_is_trained():
    with pytest.raises(RecipeError, match="cannot be read: 'weather, please'"):
        make_suite(ROWS, SuiteSpec(), seed=0, known=ROWS, said=lambda row: "weather, please")
    other = make_suite(ROWS, SuiteSpec(scorers=("normalised",)), seed=0, known=ROWS, said=lambda row: "weather, please")
    assert other.primary == "normalised"
