"""Records from a folder of text or Markdown files: a file is a record, its subfolder or its head says the answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tunewright.data.encoding import decode

ENDINGS = (".txt", ".text", ".md", ".markdown")


class _Written(yaml.BaseLoader):
    """Every value is the text that is written, be it `no`, `12:30` or `0123`; only `null`, `~` and nothing are none."""


_Written.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Written.add_constructor("tag:yaml.org,2002:null", lambda loader, node: None)


def texts_of(folder: Path) -> list[Path]:
    """The text and Markdown files of `folder` and below, by name; hidden ones and READMEs are none of them."""
    found = [p for p in folder.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file()]
    return sorted(p for p in found if p.stem.lower() != "readme" and not _hidden(p.relative_to(folder)))


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def answered(folder: Path) -> bool:
    """Whether the files say answers: all lie in subfolders (several: their names are labels), or have a head."""
    paths = texts_of(folder)
    return bool(paths) and (len(_labels(folder, paths)) > 1 or any(_headed(path) for path in paths))


def texts(folder: Path) -> Iterator[tuple[dict[str, Any], str, bool]]:
    """A record per file, what is wrong with it (or nothing), and whether its bytes were not UTF-8.

    A record has `text`, then `label` where the subfolders' names are labels, and whatever the file's head (YAML
    between two lines `---`) names.
    """
    paths = texts_of(folder)
    labels = _labels(folder, paths)
    for path in paths:
        whole, repaired = decode(path.read_bytes())
        head, body, fault = _split(whole.removeprefix("\ufeff"))
        label = {"label": path.relative_to(folder).parts[0]} if len(labels) > 1 else {}
        yield {"text": body.strip(), **label, **head}, f"{path.relative_to(folder)}: {fault}" if fault else "", repaired


def _labels(folder: Path, paths: list[Path]) -> set[str]:
    """Names of the first subfolders, when every file lies in one."""
    parts = [path.relative_to(folder).parts for path in paths]
    return {part[0] for part in parts} if all(len(part) > 1 for part in parts) else set()


def _headed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8).removeprefix(b"\xef\xbb\xbf").startswith((b"---\n", b"---\r\n"))


def _split(whole: str) -> tuple[dict[str, Any], str, str]:
    """The head's fields, the text after it, and what is wrong with the head."""
    lines = whole.splitlines(keepends=True)
    if not lines or lines[0].rstrip() != "---":
        return {}, whole, ""
    end = next((i for i, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), None)
    if end is None:
        return {}, whole, ""
    try:
        head = yaml.load("".join(lines[1:end]), Loader=_Written)  # noqa: S506  (it builds text, lists and maps alone)
    except (yaml.YAMLError, RecursionError) as error:
        return {}, whole, f"the head is not YAML: {str(error).splitlines()[0]}"
    fields = head if isinstance(head, dict) else {}
    return {str(k): v for k, v in fields.items()}, "".join(lines[end + 1 :]), ""
