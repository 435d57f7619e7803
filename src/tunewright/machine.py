"""How much of this machine's memory is ours: a container may be given less than its host has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil

# Of either version of Linux's control groups: where they are mounted, a group's limit, and what is used of it.
_V2 = ("sys/fs/cgroup", "memory.max", "memory.current")
_V1 = ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes")


def free_memory(system: Path = Path("/")) -> int:
    """Bytes that may still be taken: what the machine has free, or what our control groups leave, if that is less.

    Containers and jobs of a cluster are such groups. `system` is the root of the files that tell of them; where there
    are none, or no limit is set, only what the machine has free counts.
    """
    available: int = psutil.virtual_memory().available
    return max(0, min([available, *_left(system)]))


def _left(system: Path) -> Iterator[int]:
    """What the groups that this process is in leave of their limits, and the groups that those are in."""
    for line in _read(system / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "memory" not in controllers.split(","):
            continue
        mount, limit, used = _V1 if controllers else _V2
        top = system / mount
        # Inside a container the path may be the host's, which is not there: then the mount itself is the group.
        group = top / path.strip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(top):
                most, taken = _number(folder / limit), _number(folder / used)
                if most is not None and taken is not None:
                    yield most - taken + _given_back(folder)


def _given_back(group: Path) -> int:
    """Bytes of files that nobody has read lately: they count as used, and the system drops them when asked for more."""
    told = dict(line.split()[:2] for line in _read(group / "memory.stat").splitlines() if len(line.split()) > 1)
    # The first version's plain figure leaves out the groups inside this one, which its usage has in it.
    figure = told.get("total_inactive_file", told.get("inactive_file", ""))
    return int(figure) if figure.isdigit() else 0


def _number(file: Path) -> int | None:
    text = _read(file).strip()
    return int(text) if text.isdigit() else None  # `max` is no limit


def _read(file: Path) -> str:
    with contextlib.suppress(OSError):
        return file.read_text(encoding="utf-8", errors="replace")
    return ""
