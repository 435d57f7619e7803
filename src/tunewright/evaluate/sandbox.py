"""Scorers that run the answer: Python against tests, SQL against a small database, in a process that can do little.

The process has no network (a network namespace of its own), may write, move or remove no file and start no other
process, and is bounded in time and memory. Where the system grants no such namespace nothing is run and the case is a
scorer's failure. This keeps a model's blunders in; it is no prison for code that somebody wrote to break out.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from tunewright.errors import ScorerError
from tunewright.evaluate.leaves import parse
from tunewright.records import Case

SECONDS = 10
MEMORY_BYTES = 512 * 1024 * 1024
# From these the child's exit codes are drawn anew each time: an answer that leaves early says nothing it can know.
CODES = range(64, 128)

# Runs in the child. The walls go up before any of the answer's code is read.
_CHILD = """
import ctypes, json, os, resource, sys
job = json.load(sys.stdin)
right, unsafe, broken = job.pop("codes")
libc = ctypes.CDLL(None, use_errno=True)
NEWUSER, NEWNET = 0x10000000, 0x40000000
if libc.unshare(NEWUSER | NEWNET) != 0 and libc.unshare(NEWNET) != 0:
    os._exit(unsafe)
for limit, value in ((resource.RLIMIT_CPU, job["seconds"]), (resource.RLIMIT_AS, job["bytes"]),
                     (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 32)):
    resource.setrlimit(limit, (value, value))
del ctypes, libc
DENIED = ("socket.", "subprocess.", "ctypes.", "shutil.", "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link",
          "os.symlink", "os.chmod", "os.chown", "os.truncate", "os.kill", "os.system", "os.exec", "os.posix_spawn",
          "os.fork", "os.unlink", "os.putenv")
def guard(event, details):
    writes = event == "open" and isinstance(details[2], int) and details[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if writes or event.startswith(DENIED):
        raise PermissionError(event)
def rows(setup, query):
    base = sqlite3.connect(":memory:")
    base.executescript(setup)
    denied = {sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH}
    base.set_authorizer(lambda action, *rest: sqlite3.SQLITE_DENY if action in denied else sqlite3.SQLITE_OK)
    return base.execute(query).fetchall()
import sqlite3
sys.addaudithook(guard)
if job["kind"] == "python":
    try:
        tests = compile(job["tests"], "tests", "exec")
    except (SyntaxError, ValueError):
        os._exit(broken)
    space = {"__name__": "answer"}
    exec(compile(job["answer"], "answer", "exec"), space)
    exec(tests, space)
    os._exit(right)
try:
    wanted = rows(job["setup"], job["query"])
except Exception:
    os._exit(broken)
found = rows(job["setup"], job["answer"])
if "order by" not in job["query"].lower():
    wanted, found = sorted(wanted, key=repr), sorted(found, key=repr)
os._exit(right if wanted == found else 1)
"""


def code(text: str) -> str:
    """The code of an answer: its first fenced block where it has one, else all of it."""
    _, fence, rest = text.partition("```")
    if not fence:
        return text
    body = rest.partition("```")[0]
    first, newline, below = body.partition("\n")
    return below if newline and first.strip().isalnum() else body


def _run(job: dict[str, Any], where: str) -> float:
    right, unsafe, broken = codes = random.SystemRandom().sample(CODES, 3)
    job = {**job, "seconds": SECONDS, "bytes": MEMORY_BYTES, "codes": codes}
    with tempfile.TemporaryDirectory() as empty:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-c", _CHILD],
                input=json.dumps(job),
                # An answer that prints without end would fill our memory and not its own.
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                text=True,
                timeout=2 * SECONDS,
                cwd=empty,
                env={},
                check=False,
            )
        except subprocess.TimeoutExpired:
            return 0.0
    if done.returncode == unsafe:
        raise ScorerError("this system grants no network namespace, so nothing is run.", where=where)
    if done.returncode == broken:
        raise ScorerError("the expected tests or query do not run themselves.", where=where)
    return float(done.returncode == right)


def _given(case: Case, keys: Sequence[str]) -> dict[str, str]:
    try:
        value = parse(case.expected)
    except ValueError:
        value = None
    if not isinstance(value, dict) or not all(isinstance(value.get(key), str) for key in keys):
        form = ", ".join(f'"{key}": …' for key in keys)
        raise ScorerError(f"the expected answer must be {{{form}}}.", where=case.id)
    return {key: value[key] for key in keys}


def python_tests(text: str, case: Case, labels: Sequence[str]) -> float:
    """The answer's code runs and passes the expected `{"tests": "assert …"}`; errors and timeouts score 0."""
    return _run({"kind": "python", "answer": code(text), **_given(case, ("tests",))}, case.id)


def sql_rows(text: str, case: Case, labels: Sequence[str]) -> float:
    """The answer's query gives the same rows as the expected `{"setup": "CREATE …", "query": "SELECT …"}` in SQLite.

    Order counts only where the expected query orders.
    """
    return _run({"kind": "sql", "answer": code(text), **_given(case, ("setup", "query"))}, case.id)
