"""YAML with line numbers: a mistake is answered with its line and the setting that was probably meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from tunewright.errors import RecipeError

# Any real recipe is far smaller; a few lines of nested aliases can stand for billions.
_MOST_NODES = 10_000
Where = tuple[str | int, ...]
SpecT = TypeVar("SpecT", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads `2e-4` as the number a person means (YAML 1.1 reads text)."""


_Loader.yaml_implicit_resolvers = {k: list(v) for k, v in yaml.SafeLoader.yaml_implicit_resolvers.items()}

_SCIENTIFIC = re.compile(r"^[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+$")
_NUMBER = ("tag:yaml.org,2002:float", _SCIENTIFIC, list("-+0123456789"))
_Loader.add_implicit_resolver(*_NUMBER)


class _Dumper(yaml.SafeDumper):
    """SafeDumper that puts a text into quotes which `_Loader` would read as a number."""


_Dumper.yaml_implicit_resolvers = {k: list(v) for k, v in yaml.SafeDumper.yaml_implicit_resolvers.items()}
_Dumper.add_implicit_resolver(*_NUMBER)


def _lines(node: yaml.Node, at: Where = ()) -> dict[Where, int]:
    """Line (from 1) of every key and item below `node`."""
    found: dict[Where, int] = {}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*at, key.value)
            found[here] = key.start_mark.line + 1
            found |= _lines(value, here)
    elif isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            found[(*at, i)] = item.start_mark.line + 1
            found |= _lines(item, (*at, i))
    return found


def _duplicates(node: yaml.Node, name: str) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise RecipeError(
                    f"`{key.value}` is given twice (first on line {seen[key.value]}).",
                    where=f"{name}:{line}",
                    remedy="Keep one of the two.",
                )
            seen[key.value] = line
            _duplicates(value, name)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _duplicates(item, name)


def read_spec(
    spec: type[SpecT], path: Path | Mapping[str, Any], overrides: Sequence[str] = ()
) -> tuple[SpecT, dict[str, Any]]:
    """The settings at `path` (a file, or a folder with `tunewright.yaml`; or given as such) and the values as given.

    Raises `RecipeError` with file, line and remedy.
    """
    if isinstance(path, Mapping):
        return parse_spec(spec, recipe_yaml(path), "the command line", overrides)
    if path.is_dir():
        path = path / "tunewright.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RecipeError(
            "there is no recipe here.",
            where=str(path),
            remedy="Make one: tunewright init DIR --data FILE",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot be read: {error}", where=str(path)) from error
    return parse_spec(spec, text, path.name, overrides)


def parse_spec(
    spec: type[SpecT], text: str, name: str = "tunewright.yaml", overrides: Sequence[str] = ()
) -> tuple[SpecT, dict[str, Any]]:
    """Like `read_spec`, from text; `name` is what errors call the file."""
    node, given = _read(text, name)
    if not isinstance(given, dict) or node is None:
        raise RecipeError("not a recipe: settings as `key: value` lines are expected.", where=name)
    _duplicates(node, name)
    for override in overrides:
        _override(given, override)
    lines = _lines(node)
    try:
        return spec.model_validate(given), given
    except ValidationError as error:
        raise _explain(spec, error, given, lines, text.splitlines(), name) from None


def _read(text: str, name: str) -> tuple[yaml.Node | None, Any]:
    """YAML as nodes with lines, and as plain values. Nothing in it can build objects, or grow when written out."""
    try:
        node = yaml.compose(text, Loader=_Loader)
        if node is not None and _written_out(node, {}) > _MOST_NODES:
            raise RecipeError("its aliases stand for too much.", where=name, remedy="Write the values out.")
        return node, yaml.load(text, Loader=_Loader)  # noqa: S506  (a SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        raise RecipeError(f"not YAML: {getattr(error, 'problem', error)}", where=where) from error
    except ValueError as error:  # such as 2026-99-99, which YAML takes for a date
        raise RecipeError(f"a value cannot be read: {error}.", where=name, remedy="Put it in quotes.") from error
    except RecursionError:
        raise RecipeError("is nested too deeply to be a recipe.", where=name) from None


def _written_out(node: yaml.Node, known: dict[int, int]) -> int:
    """How many nodes there would be with every alias written out; a circle counts as too many."""
    if id(node) not in known:
        known[id(node)] = _MOST_NODES + 1
        below = node.value if isinstance(node, yaml.SequenceNode) else ()
        if isinstance(node, yaml.MappingNode):
            below = [part for pair in node.value for part in pair]
        known[id(node)] = 1 + sum(_written_out(part, known) for part in below)
    return known[id(node)]


def _override(given: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"`--set {override}` has no value.", remedy="Write it as --set train.rank=8")
    *parents, last = key.split(".")
    at = given
    for part in parents:
        inner = at.setdefault(part, {})
        if part == "model" and isinstance(inner, str):  # its name alone, as most recipes have it
            inner = at[part] = {"id": inner}
        if not isinstance(inner, dict):
            raise RecipeError(f"`--set {override}`: `{part}` has no settings below it.")
        at = inner
    at[last] = _read(value, f"--set {override}")[1]


def _explain(
    spec: type[BaseModel],
    error: ValidationError,
    given: Mapping[str, Any],
    lines: dict[Where, int],
    text: list[str],
    name: str,
) -> RecipeError:
    """The first mistake, in words, with its line."""
    mistakes = error.errors()
    # An unknown key explains more than the value errors it may cause elsewhere.
    mistake = next((m for m in mistakes if m["type"] == "extra_forbidden"), mistakes[0])
    at = _given_path(mistake["loc"], given)
    dotted = ".".join(str(part) for part in at)
    line = next((lines[at[:n]] for n in range(len(at), 0, -1) if at[:n] in lines), None)
    where = f"{name}:{line}" if line else name
    if mistake["type"] == "extra_forbidden":
        known = _settings_at(spec, at[:-1])
        close = difflib.get_close_matches(str(at[-1]), known, n=1, cutoff=0.6)
        meant = f" Did you mean `{close[0]}`?" if close else f" Known: {', '.join(sorted(known))}."
        message = f"`{dotted}` is not a setting.{meant}"
    elif mistake["type"] == "missing":
        message = f"`{dotted}` is missing."
    else:
        about = f"`{dotted}`: " if dotted else ""
        message = f"{about}{mistake['msg'].removeprefix('Value error, ')}."
    return RecipeError(message, where=where, remedy=_underlined(text, line, at))


def _underlined(text: list[str], line: int | None, at: Where) -> str:
    if not line or not at:
        return ""
    source = text[line - 1]
    key = str(at[-1])
    start = source.find(key)
    if start < 0:
        return source.strip()
    cut = len(source) - len(source.lstrip())
    return f"{source[cut:]}\n    {' ' * (start - cut)}{'^' * len(key)}"


def _given_path(loc: tuple[int | str, ...], given: Any) -> Where:
    """Pydantic's location without the union tags it adds, as far as the given values go."""
    at: list[str | int] = []
    value = given
    for i, part in enumerate(loc):
        if isinstance(value, Mapping) and (part in value or i == len(loc) - 1):
            at.append(part)
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            at.append(part)
            value = value[part]
        elif i == 0:
            at.append(part)
    return tuple(at)


def _settings_at(top: type[BaseModel], at: Where) -> list[str]:
    """Names of the settings that exist below `at`."""
    spec: Any = top
    for part in at:
        if isinstance(part, int) or spec is None:
            continue
        field = spec.model_fields.get(part)
        spec = _spec_in(field.annotation) if field else None
    if spec is None:
        return []
    return [*spec.model_fields, *(["licence"] if "license" in spec.model_fields else [])]


def _spec_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _spec_in(inner)
        if found:
            return found
    return None


def recipe_yaml(values: Mapping[str, Any]) -> str:
    """`values` as a recipe file: one setting a line, in the order given."""
    return str(yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110))
