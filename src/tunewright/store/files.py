"""Atomic files and directories: a reader sees the old state or the new one, never half of it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, overload

from pydantic import BaseModel, ValidationError

from tunewright.errors import RunError, StorageError

Record = TypeVar("Record", bound=BaseModel)


@contextlib.contextmanager
def _disk(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals into an error that names the path."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(
            f"could not write: {error.strerror or error}",
            where=str(path),
            remedy="Free some space or choose another folder, then run the same command again; "
            "what was complete before is kept.",
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write `text` so that `path` is always either the old or the whole new content."""
    with _disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


@overload
def read_json(path: Path) -> Any:
    """Whatever value we wrote there."""


@overload
def read_json(path: Path, kind: type[Record]) -> Record:
    """The record of that kind that we wrote there."""


def read_json(path: Path, kind: type[BaseModel] | None = None) -> Any:
    """The value of a JSON file that we wrote, or the record of that `kind`.

    Raises `RunError` where the file is damaged or the record has another form.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        return value if kind is None else kind.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        message = f"is not a {kind.__name__} as this release writes it ({what})." if kind else str(error)
    except ValueError as error:
        message = f"is damaged: {error}."
    raise RunError(message, where=str(path), remedy="Bring the file back from a copy, or begin anew.")


def append_line(path: Path, value: Any) -> None:
    """Append one JSON object as a line. A torn last line (power cut) is skipped by `read_lines`."""
    with _disk(path), path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(value, ensure_ascii=False) + "\n")


def read_lines(path: Path) -> Iterator[Any]:
    """The objects of a JSON-lines file that we wrote; an unfinished last line is not an object yet."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)


@contextlib.contextmanager
def directory(path: Path) -> Iterator[Path]:
    """Hand out an empty directory beside `path`; when the block ends well it takes `path`'s place at once.

    A directory already at `path` is replaced. If the block raises, nothing is left behind and `path` is as it was.
    """
    with _disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        os.chmod(draft, 0o755)
    try:
        with _disk(path):
            yield draft
            if path.exists():
                old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
                os.replace(path, old / "x")
                os.replace(draft, path)
                shutil.rmtree(old, ignore_errors=True)
            else:
                os.replace(draft, path)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def digest(*parts: str | bytes) -> str:
    """SHA-256 over the parts, each preceded by its length so that no two lists of parts collide."""
    total = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        total.update(len(raw).to_bytes(8, "big"))
        total.update(raw)
    return total.hexdigest()


def tree_digest(path: Path) -> str:
    """SHA-256 over the names and contents of all files below `path` (or of the one file)."""
    total = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in files:
        name = file.name if path.is_file() else file.relative_to(path).as_posix()
        total.update(len(name).to_bytes(8, "big") + name.encode())
        with file.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()
