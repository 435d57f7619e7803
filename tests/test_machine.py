"""What a container may take of its host's memory."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from tunewright import machine
from tunewright.machine import free_memory

HOST = 64_000
UNLIMITED = "9223372036854771712"


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.psutil, "virtual_memory", lambda: SimpleNamespace(available=HOST))


def _system(root: Path, groups: str, files: dict[str, str]) -> Path:
    """A file tree in which this process is in `groups`; `files` lie below sys/fs/cgroup."""
    for name, text in {"proc/self/cgroup": groups, **{f"sys/fs/cgroup/{n}": t for n, t in files.items()}}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def _limited(limit: str, used: int, cached: int = 0) -> dict[str, str]:
    return {
        "memory.max": f"{limit}\n",
        "memory.current": f"{used}\n",
        "memory.stat": f"anon 5\nactive_file 700\ninactive_file {cached}\n",
    }


def _in(folder: str, files: dict[str, str]) -> dict[str, str]:
    return {f"{folder}/{name}": text for name, text in files.items()}


def test_a_container_has_what_its_limit_leaves(tmp_path: Path) -> None:
    assert free_memory(_system(tmp_path, "0::/\n", _limited("8000", 3000))) == 5000


def test_files_that_can_be_dropped_are_not_taken(tmp_path: Path) -> None:
    assert free_memory(_system(tmp_path, "0::/\n", _limited("8000", 7500, cached=6000))) == 6500


def test_a_group_inside_another_has_no_more_than_that_one(tmp_path: Path) -> None:
    files = _in("job", _limited("4000", 1000)) | _in("job/step", _limited("max", 900))
    assert free_memory(_system(tmp_path, "0::/job/step\n", files)) == 3000


def test_of_the_first_version_too(tmp_path: Path) -> None:
    files = {
        "memory/pod/memory.limit_in_bytes": "9000\n",
        "memory/pod/memory.usage_in_bytes": "4000\n",
        "memory/pod/memory.stat": "cache 3000\ninactive_file 10\ntotal_inactive_file 1500\n",
        "memory/memory.limit_in_bytes": f"{UNLIMITED}\n",
        "memory/memory.usage_in_bytes": "70000\n",
    }
    groups = "9:name=systemd:/\n4:memory,hugetlb:/pod\n1:cpu,cpuacct:/\n0::/\n"
    assert free_memory(_system(tmp_path, groups, files)) == 6500


def test_a_path_of_the_host_stands_for_what_is_mounted(tmp_path: Path) -> None:
    """Without a namespace of its own a container is told the host's path, and sees its own group as the root."""
    assert free_memory(_system(tmp_path, "0::/docker/0123\n", _limited("8000", 3000))) == 5000


@pytest.mark.parametrize(
    ("groups", "files"),
    [
        ("", {}),
        ("0::/\n", {}),
        ("nonsense\n0::/\n", _limited("max", 3000)),
        ("0::/\n", {"memory.max": "8000\n"}),
        ("0::/\n", {"memory.max": "8000\n", "memory.current": "not a number\n"}),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": UNLIMITED, "memory/memory.usage_in_bytes": "5"}),
        ("0::/\n", _limited("900000", 3000)),
    ],
)
def test_where_no_limit_is_told_the_machine_counts(tmp_path: Path, groups: str, files: dict[str, str]) -> None:
    assert free_memory(_system(tmp_path, groups, files)) == HOST


def test_without_such_files_the_machine_counts(tmp_path: Path) -> None:
    assert free_memory(tmp_path) == HOST


def test_more_used_than_allowed_leaves_nothing(tmp_path: Path) -> None:
    assert free_memory(_system(tmp_path, "0::/\n", _limited("8000", 8500))) == 0
