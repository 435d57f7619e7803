"""Atomic files and directories: a reader sees the old state or the new one, never half of it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, overload

from pydantic import BaseModel, ValidationError

from tunewright.errors import RunError, StorageError, TunewrightError

Record = TypeVar("Record", bound=BaseModel)

_ANEW = "Bring the file back from a copy, or begin anew."
_BLOCK = 1 << 16
# What libraries written in Rust (safetensors, tokenizers) say where the operating system refuses them.
_REFUSED = re.compile(r"\(os error (\d+)\)")
_OF_DISKS = {errno.EACCES, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC, errno.EPERM, errno.EROFS}


@contextlib.contextmanager
def _disk(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals, whoever reports them, into an error that names the path."""
    try:
        yield
    except TunewrightError:
        raise
    except Exception as error:
        said = _refusal(error)
        if said is None:
            raise
        raise StorageError(
            f"could not write: {said}",
            where=str(path),
            remedy="Free some space or choose another folder, then run the same command again; "
            "what was complete before is kept.",
        ) from error


def _refusal(error: Exception) -> str | None:
    """Why the operating system refused; None where it was not the one to do so."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    # These errors have no class in common: only their words tell.
    found = _REFUSED.search(str(error))
    number = int(found[1]) if found else 0
    return os.strerror(number) if number in _OF_DISKS else None


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
    raise RunError(message, where=str(path), remedy=_ANEW)


def append_line(path: Path, value: Any) -> None:
    """Append one JSON object as a line, in place of a last line that a full disk or a power cut left torn.

    What goes is what `read_lines` never gave, so nobody misses it. Writers of one file wait for each other, be they
    threads or processes: a line that another is writing is not torn.
    """
    line = json.dumps(value, ensure_ascii=False) + "\n"
    with _disk(path), path.open("ab+") as file:
        with contextlib.suppress(OSError):  # some network disks know no locks
            fcntl.flock(file, fcntl.LOCK_EX)
        _cut_torn(file)
        file.write(line.encode("utf-8", "surrogatepass"))


def _cut_torn(file: BinaryIO) -> None:
    """Cut `file` after its last line break; where it ends with one, one byte is read and nothing is done."""
    size = end = file.seek(0, os.SEEK_END)
    step = 1
    while end:
        start = max(0, end - step)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end, step = start, _BLOCK
    if end < size:
        file.truncate(end)


def read_lines(path: Path) -> Iterator[Any]:
    """The objects of a JSON-lines file that we wrote; an unfinished last line is not an object yet.

    Raises `RunError` where another line is damaged.
    """
    with path.open("rb") as file:  # as bytes: a torn line may end within a character
        for number, line in enumerate(file, 1):
            if line.endswith(b"\n"):
                try:
                    value = json.loads(line)
                except ValueError as error:
                    raise RunError(f"line {number} is damaged: {error}.", where=str(path), remedy=_ANEW) from error
                yield value


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
