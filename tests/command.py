"""Runs commands, in this process or as a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from layerscope import cli
from tests import forks

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> Outcome:
    """Runs a command in this process."""
    capsys.readouterr()
    code = cli.main(arguments)
    captured = capsys.readouterr()
    return Outcome(code, captured.out, captured.err)


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "DOCKER_HOST": "unix:///nowhere", **more}


def process(*arguments: str, shell: str = "", **more: str) -> subprocess.CompletedProcess[bytes]:
    """Runs a command as a user does; `shell` stands behind it in a shell's command line."""
    if not shell:
        return forks.run(arguments, environment(**more), cwd="/")
    command = [sys.executable, "-m", "layerscope", *arguments]
    quoted = " ".join(f"'{part}'" for part in command)
    return subprocess.run(
        ["bash", "-c", f"{quoted} {shell}"],
        check=False,
        capture_output=True,
        timeout=120,
        env=environment(**more),
        cwd="/",
    )


def one_line_error(outcome: Outcome) -> str:
    """The line on stderr, after checking that it is one, and that all else is as it should be."""
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert outcome.err.startswith("layerscope: ")
    assert outcome.err.endswith("\n")
    line = outcome.err.removesuffix("\n")
    assert line.isprintable(), line
    assert "Traceback" not in line
    assert len(line) < 1000
    return line.removeprefix("layerscope: ")
