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

from tunewright.evaluate.scorers import with_calls

Call = dict[str, Any]
Tools = Sequence[Mapping[str, Any]]

_OURS = re.compile(r"<tool_call>\s*\{")
# What stands before and behind JSON calls: Mistral, Granite and Phi-4, Llama 3 and 4, GigaChat, Command, Nemotron.
_MARKED = re.compile(
    r"(?P<open>\[TOOL_CALLS\]|<\|(?:tool_call|python_tag|python_end|function_call|START_ACTION)\|>"
    r"|<function_call>|<tool_calls?>|<TOOLCALL>)\s*(?P<body>[\[{].*)",
    re.DOTALL,
)
_BEHIND = re.compile(r"\s*(?:(?:<\|?/[\w|]+>|<\|\w+\|>)\s*)*\Z")
# Mistral since its eleventh tokenizer: the name, then the arguments.
_NAMED = re.compile(r"\[TOOL_CALLS\]\s*([\w.-]+)\s*(?:\[CALL_ID\]\s*\w+\s*)?\[ARGS\]\s*")
_DEEPSEEK = re.compile(
    r"<｜tool▁call▁begin｜>(?:function<｜tool▁sep｜>)?([\w.-]+)(?:<｜tool▁sep｜>|\s*```json)\s*(?=\{)",
)
_KIMI = re.compile(r"<\|tool_call_begin\|>(?:functions\.)?([\w.-]+?)(?::\d+)?<\|tool_call_argument_begin\|>\s*")
_GPT_OSS = re.compile(r"(?:<\|start\|>assistant)?(?:<\|channel\|>\w+)? to=functions\.([\w.-]+)[^{\n]*<\|message\|>\s*")
# Llama 3's own, and Functionary's.
_FUNCTION = re.compile(r"<function=([^>\s]+)>\s*(?=\{)")
# Marks between words and calls that are neither.
_BETWEEN = re.compile(
    r"<｜tool▁calls▁begin｜>.*|<\|tool_calls_section_begin\|>|<\|python_start\|>|<\|start\|>assistant"
    r"|<\|channel\|>\w+|<\|message\|>|<\|end\|>",
    re.DOTALL,
)
# Qwen3-Coder (Seed alike), GLM, and MiniMax (DeepSeek's newest alike): a tag a name or value.
_QWEN = re.compile(r"<(?:\w+:)?tool_call>\s*<function=([^>\n]+)>(.*?)</function>", re.DOTALL)
_QWEN_VALUE = re.compile(r"<parameter=([^>\n]+)>\n?(.*?)\n?</parameter>", re.DOTALL)
_GLM = re.compile(r"<tool_call>\s*([\w.-]+)\s*((?:<arg_key>.*?)?)</tool_call>", re.DOTALL)
_GLM_VALUE = re.compile(r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>", re.DOTALL)
_INVOKE = re.compile(
    r"(?:<[^\s<>/\"]*calls?>\s*)?<[^\s<>/\"]*(?:invoke|function) name=\"([^\"]+)\">"
    r"(.*?)</[^\s<>\"]*(?:invoke|function)>",
    re.DOTALL,
)
_INVOKE_VALUE = re.compile(
    r"<[^\s<>/\"]*param(?:eter)? name=\"([^\"]+)\"[^<>]*>(.*?)</[^\s<>\"]*param(?:eter)?>", re.DOTALL
)
# Gemma 4: keys and names bare, texts between quotes of their own.
_GEMMA = re.compile(r"<\|tool_call>call:([\w.-]+)(\{.*?\})<tool_call\|>", re.DOTALL)
_QUOTE = '<|"|>'
# OLMo 3: a call a line, as Python writes it.
_LINES = re.compile(r"<function_calls>\s*(\w.*?)\s*</function_calls>", re.DOTALL)
# Llama 4 and LFM2: a list of calls as Python writes them.
_PYTHON = re.compile(
    r"(?:<\|tool_call_start\|>|<\|python_start\|>)?\s*(\[\s*[\w.]+\(.*\)\s*\])\s*(?:<\|\w+\|>\s*)?\Z", re.DOTALL
)
_KEYS = {"name", "tool_name", "arguments", "parameters", "id", "tool_call_id", "type"}
# What JSON and Python call the same.
_SAME = {"true": True, "false": False, "null": None}
_JSON = json.JSONDecoder()


def in_our_form(text: str, tools: Tools) -> str:
    """The answer with its tool calls as suites write them, or as it is where it holds none that can be read.

    `tools` are those that were offered, in OpenAI's wrapping: forms without types take those of their parameters.
    """
    if _OURS.search(text):
        return text
    for found in (_xml(text, tools), _named(text), _gemma(text), _marked(text), _bare(text), _pythonic(text)):
        if found is not None:
            words, calls = found
            return with_calls(_BETWEEN.sub("", words).strip(), calls)
    return text


def _xml(text: str, tools: Tools) -> tuple[str, list[Call]] | None:
    for whole, each in ((_QWEN, _QWEN_VALUE), (_GLM, _GLM_VALUE), (_INVOKE, _INVOKE_VALUE)):
        found = list(whole.finditer(text))
        values = [each.findall(one[2]) for one in found]
        if not found or any(one[2].strip() and not held for one, held in zip(found, values, strict=True)):
            continue
        calls = []
        for one, held in zip(found, values, strict=True):
            kinds = _kinds(tools, one[1].strip())
            arguments = {key.strip(): _typed(value, kinds.get(key.strip())) for key, value in held}
            calls.append({"name": one[1].strip(), "arguments": arguments})
        return text[: found[0].start()], calls
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
    """A value that was written bare: text where the tool takes text, else what it is in JSON, or in Python."""
    if kind == "string":
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        pass
    if kind not in ("boolean", "integer", "number", "object", "array", "null"):
        return value
    try:
        return _value(ast.parse(value.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return value


def _named(text: str) -> tuple[str, list[Call]] | None:
    """Calls whose name stands before their arguments."""
    for form in (_NAMED, _DEEPSEEK, _KIMI, _GPT_OSS, _FUNCTION):
        found = list(form.finditer(text))
        if found:
            try:
                calls = [{"name": one[1], "arguments": _JSON.raw_decode(text, one.end())[0]} for one in found]
            except (ValueError, RecursionError):
                return None
            return text[: found[0].start()], calls
    return None


def _gemma(text: str) -> tuple[str, list[Call]] | None:
    """Words that stand behind the calls, as its template puts them, are words before them."""
    found = list(_GEMMA.finditer(text))
    try:
        calls = [{"name": one[1], "arguments": json.loads(_quoted(one[2]))} for one in found]
    except (ValueError, RecursionError):
        return None
    return (_GEMMA.sub("", text), calls) if calls else None


def _quoted(body: str) -> str:
    """Gemma's arguments as JSON."""
    parts = body.split(_QUOTE)
    for place, part in enumerate(parts):
        if place % 2:
            parts[place] = json.dumps(part)
        else:
            part = re.sub(r"([{,]\s*)([^\s{}\[\],:\"]+)\s*:", lambda key: f"{key[1]}{json.dumps(key[2])}:", part)
            parts[place] = re.sub(r"\bNone\b", "null", part)
    return "".join(parts)


def _marked(text: str) -> tuple[str, list[Call]] | None:
    found = _MARKED.search(text)
    calls = _values(found["body"]) if found else None
    return (text[: found.start()], calls) if found and calls else None


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
    if not isinstance(inner, Mapping) or inner.keys() - _KEYS:
        raise ValueError("no call")
    name, arguments = inner.get("name", inner.get("tool_name")), inner.get("arguments", inner.get("parameters"))
    if not isinstance(name, str) or arguments is None:
        raise ValueError("no call, or one without arguments")
    return {"name": name, "arguments": arguments}


def _pythonic(text: str) -> tuple[str, list[Call]] | None:
    lines = _LINES.search(text)
    found = lines or _PYTHON.search(text)
    if found is None:
        return None
    try:
        tree = ast.parse(found[1].strip(), mode="exec" if lines else "eval")
        calls = [_written(one) for one in _expressions(tree)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return (text[: found.start()], calls) if calls else None


def _expressions(tree: ast.AST) -> list[ast.expr]:
    """The members of the one list, or the lines."""
    if isinstance(tree, ast.Module):
        return [line.value for line in tree.body if isinstance(line, ast.Expr)]
    listed = tree.body if isinstance(tree, ast.Expression) else None
    if not isinstance(listed, ast.List):
        raise ValueError("no list")
    return listed.elts


def _written(node: ast.expr) -> Call:
    """Raises `ValueError` for what is no call with names and plain values."""
    if not isinstance(node, ast.Call) or node.args or any(k.arg is None for k in node.keywords):
        raise ValueError("no call")
    return {"name": ast.unparse(node.func), "arguments": {str(k.arg): _value(k.value) for k in node.keywords}}


def _value(node: ast.expr) -> Any:
    """A plain value, with JSON's words for what Python calls otherwise. Raises `ValueError` for anything else."""
    for parent in ast.walk(node):
        for name, child in ast.iter_fields(parent):
            if isinstance(child, list):
                child[:] = [_constant(one) for one in child]
            elif isinstance(child, ast.Name):
                setattr(parent, name, _constant(child))
    return ast.literal_eval(_constant(node))


def _constant(node: Any) -> Any:
    known = isinstance(node, ast.Name) and node.id in _SAME
    return ast.copy_location(ast.Constant(_SAME[node.id]), node) if known else node
