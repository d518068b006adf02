"""layerscope as its users run it: a process, its output and its exit code."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from layerscope.cli import main
from tests import forks
from tests.engines.exports import Entry, Type, comparable
from tests.engines.harness import Engine

REPOSITORY = Path(__file__).resolve().parents[2]
_WAITS = re.compile(r'^(?:layerscope: |Warning: |\{.*"warning".*")?Waiting for .*\n', re.MULTILINE)


def environment(engine: Engine | None = None, **more: str) -> dict[str, str]:
    """Return the environment of a user of that engine, or of nobody's."""
    kept = {
        name: os.environ[name]
        for name in ("PATH", "HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_STATE_HOME")
        if name in os.environ
    }
    host = {"DOCKER_HOST": "unix:///nonexistent/engine"} if engine is None else engine.env
    return {**kept, "PYTHONPATH": str(REPOSITORY), **host, **more}


def run_program(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    given: str = "",
    timeout: float = 300,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, and leave out that an engine on a busy machine took long."""
    if command[:3] == [sys.executable, "-m", "layerscope"]:
        run = forks.run(command[3:], environment, given=given.encode(), timeout=timeout)
    else:
        run = subprocess.run(
            command,
            env=environment,
            cwd=REPOSITORY,
            input=given.encode(),
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    out, err = (_WAITS.sub("", text.decode()) for text in (run.stdout, run.stderr))
    return subprocess.CompletedProcess(run.args, run.returncode, out, err)


def layerscope(
    *arguments: str | Path, engine: Engine | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run layerscope to its end, without its cache."""
    # A list of images is not cached.
    cache = [] if arguments[0] == "images" else ["--no-cache"]
    command = [sys.executable, "-m", "layerscope", *map(str, arguments), *cache]
    return run_program(command, environment(engine, **more))


def output(*arguments: str | Path, engine: Engine | None = None, **more: str) -> str:
    """Return what the program prints; it must succeed and say nothing else."""
    run = layerscope(*arguments, engine=engine, **more)
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout


def command(*arguments: str | Path) -> str:
    """Return what a command prints; in this process, since there are so many of them."""
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        assert main([*(str(argument) for argument in arguments), "--no-cache"]) == 0
    return stream.getvalue()


@dataclass(frozen=True)
class Line:
    """A line of `files --json-lines`."""

    path: str
    type: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    link: str | None
    layer: int
    change: str | None
    implied: bool = False
    suspicious: str = ""


def parse_lines(text: str) -> list[Line]:
    """Return the lines; each must have the fields of the design and no path come twice."""
    lines = [Line(**json.loads(line)) for line in text.splitlines()]
    keys = [(line.path, line.type in ("whiteout", "opaque")) for line in lines]
    assert len(set(keys)) == len(keys)
    return lines


def listed(text: str) -> dict[str, Entry]:
    """Return what lines say of a union, in the form of an export's listing."""
    entries = {}
    for line in parse_lines(text):
        assert line.change is None
        entries[line.path] = Entry(
            path=line.path,
            type=cast("Type", line.type),
            mode=line.mode,
            uid=line.uid,
            gid=line.gid,
            size=line.size,
            mtime=line.mtime,
            link=line.link,
        )
    return entries


def plain(entries: Mapping[str, Entry]) -> dict[str, tuple[Any, ...]]:
    """Return a listing with only what `files` shows, and without the root itself."""
    return {
        path: (e.type, oct(e.mode), e.uid, e.gid, e.size, e.mtime, e.link)
        for path, e in entries.items()
        if path != "/"
    }


def as_exported(engine: Engine, entries: dict[str, Entry]) -> dict[str, tuple[Any, ...]]:
    """Return a listing as it can be compared with another one of that engine's."""
    return plain(comparable(engine, entries))


def differences(said: Mapping[str, Any], truth: Mapping[str, Any]) -> str:
    """Return where two listings differ, a line each, the first twenty; empty if nowhere."""
    lines = []
    for path in sorted(said.keys() | truth.keys()):
        if path not in truth:
            lines.append(f"too much  {path!r}: {said[path]}")
        elif path not in said:
            lines.append(f"missing   {path!r}: {truth[path]}")
        elif said[path] != truth[path]:
            lines.append(f"different {path!r}: said {said[path]}, is {truth[path]}")
    if len(lines) > 20:
        lines[20:] = [f"... {len(lines) - 20} more of {len(truth)}"]
    return "\n".join(lines)


def check_same(said: Mapping[str, Any], truth: Mapping[str, Any]) -> None:
    """Fail with a readable list of differences if there are any."""
    assert len(truth), "an empty truth proves nothing"
    found = differences(said, truth)
    assert not found, f"\n{found}"
