"""Tool calls as the families of models write them, read into the one form that suites have.

A model is tuned to write calls as its own chat template does. Scores, pages and people compare them with what a suite
expects, which is `<tool_call>{"name": …, "arguments": …}</tool_call>`; so whatever form an answer has, it is read here.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tunewright.evaluate.scorers import expected_text

Call = dict[str, Any]
Tools = Sequence[Mapping[str, Any]]

_OURS = re.compile(r"<tool_call>\s*\{")
# What stands before and behind JSON calls: Mistral, Granite and Phi-4, Llama 3, older Granite.
_MARKED = re.compile(
    r"(?P<open>\[TOOL_CALLS\]|<\|tool_call\|>|<\|python_tag\|>|<function_call>|<tool_calls?>)\s*(?P<body>[\[{].*)",
    re.DOTALL,
)
_BEHIND = re.compile(r"\s*(?:<\|?/[\w|]+>)*\s*\Z")
# Mistral since its eleventh tokenizer: the name, then the arguments.
_NAMED = re.compile(r"\[TOOL_CALLS\]\s*([\w.-]+)\s*(?:\[CALL_ID\]\s*\w+\s*)?\[ARGS\]\s*")
_DEEPSEEK = re.compile(
    r"<｜tool▁call▁begin｜>(?:function<｜tool▁sep｜>)?([\w.-]+)(?:<｜tool▁sep｜>|\s*```json)\s*(?=\{)",
)
# Qwen3-Coder and GLM: a tag a name or value.
_QWEN = re.compile(r"<tool_call>\s*<function=([^>\n]+)>(.*?)</function>", re.DOTALL)
_QWEN_VALUE = re.compile(r"<parameter=([^>\n]+)>\n?(.*?)\n?</parameter>", re.DOTALL)
_GLM = re.compile(r"<tool_call>\s*([\w.-]+)\s*((?:<arg_key>.*?)?)</tool_call>", re.DOTALL)
_GLM_VALUE = re.compile(r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>", re.DOTALL)
# Llama 4 and LFM2: a list of calls as Python writes them.
_PYTHON = re.compile(
    r"(?:<\|tool_call_start\|>|<\|python_start\|>)?\s*(\[\s*[\w.]+\(.*\)\s*\])\s*(?:<\|\w+\|>\s*)?\Z", re.DOTALL
)
_KEYS = {"name", "arguments", "parameters", "id", "type"}
_JSON = json.JSONDecoder()


def in_our_form(text: str, tools: Tools) -> str:
    """The answer with its tool calls as suites write them, or as it is where it holds none that can be read.

    `tools` are those that were offered, in OpenAI's wrapping: forms without types take those of their parameters.
    """
    if _OURS.search(text):
        return text
    for found in (_xml(text, tools), _named(text), _marked(text), _bare(text), _pythonic(text)):
        if found is not None:
            return expected_text(*found)
    return text


def _xml(text: str, tools: Tools) -> tuple[str, list[Call]] | None:
    for whole, each in ((_QWEN, _QWEN_VALUE), (_GLM, _GLM_VALUE)):
        found = list(whole.finditer(text))
        if found:
            kinds = [_kinds(tools, one[1].strip()) for one in found]
            calls = [
                {
                    "name": one[1].strip(),
                    "arguments": {k.strip(): _typed(v, kind.get(k.strip())) for k, v in each.findall(one[2])},
                }
                for one, kind in zip(found, kinds, strict=True)
            ]
            return text[: found[0].start()].strip(), calls
    return None


def _kinds(tools: Tools, name: str) -> dict[str, Any]:
    """The JSON type of each parameter of tool `name`."""
    for tool in tools:
        function = tool.get("function", tool)
        if function.get("name") == name:
            known = (function.get("parameters") or {}).get("properties") or {}
            return {key: one.get("type") for key, one in known.items() if isinstance(one, Mapping)}
    return {}


def _typed(value: str, kind: Any) -> Any:
    """A value that was written bare: text where the tool takes text, else what it is in JSON."""
    if kind == "string":
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _named(text: str) -> tuple[str, list[Call]] | None:
    """Calls whose name stands before their arguments."""
    for form in (_NAMED, _DEEPSEEK):
        found = list(form.finditer(text))
        if found:
            try:
                calls = [{"name": one[1], "arguments": _JSON.raw_decode(text, one.end())[0]} for one in found]
            except (ValueError, RecursionError):
                return None
            return re.split(r"<｜tool▁calls▁begin｜>", text[: found[0].start()])[0].strip(), calls
    return None


def _marked(text: str) -> tuple[str, list[Call]] | None:
    found = _MARKED.search(text)
    calls = _values(found["body"]) if found else None
    return (text[: found.start()].strip(), calls) if found and calls else None


def _bare(text: str) -> tuple[str, list[Call]] | None:
    """Llama 3 writes nothing but the call."""
    calls = _values(text.strip()) if text.lstrip()[:1] in ("{", "[") else None
    return ("", calls) if calls else None


def _values(body: str) -> list[Call] | None:
    """All calls of a text that is nothing but JSON calls or lists of them; None where it is not."""
    calls: list[Call] = []
    try:
        for value in _sequence(body):
            calls += [_call(one) for one in (value if isinstance(value, list) else [value])]
    except (ValueError, RecursionError):
        return None
    return calls


def _sequence(body: str) -> Iterator[Any]:
    at = 0
    while not _BEHIND.match(body, at):
        value, at = _JSON.raw_decode(body, at)
        yield value
        while at < len(body) and body[at] in " \n\t;,":
            at += 1


def _call(value: Any) -> Call:
    """Raises `ValueError` for what is no call."""
    inner = value.get("function", value) if isinstance(value, Mapping) else None
    if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str) or inner.keys() - _KEYS:
        raise ValueError("no call")
    arguments = inner.get("arguments", inner.get("parameters"))
    if arguments is None:
        raise ValueError("a call without arguments")
    return {"name": inner["name"], "arguments": arguments}


def _pythonic(text: str) -> tuple[str, list[Call]] | None:
    found = _PYTHON.search(text)
    if found is None:
        return None
    try:
        tree = ast.parse(found[1].strip(), mode="eval").body
        assert isinstance(tree, ast.List)
        calls = [_written(one) for one in tree.elts]
    except (SyntaxError, ValueError, AssertionError, RecursionError, MemoryError):
        return None
    return text[: found.start()].strip(), calls


def _written(node: ast.expr) -> Call:
    """Raises `ValueError` for what is no call with names and plain values."""
    if not isinstance(node, ast.Call) or node.args or any(k.arg is None for k in node.keywords):
        raise ValueError("no call")
    return {"name": ast.unparse(node.func), "arguments": {str(k.arg): ast.literal_eval(k.value) for k in node.keywords}}
