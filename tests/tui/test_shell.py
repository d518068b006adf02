"""A shell in an image: what is said when it is over."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, cast

import pytest

from layerscope.tui.shell import run_shell


class Terminal:
    """What of an app is needed."""

    def suspend(self) -> AbstractContextManager[None]:
        return nullcontext()


def shell(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> str:
    """Runs a shell with a `docker` of one's own."""
    docker = folder / "docker"
    docker.write_text(f"#!/bin/sh\n{script}\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return run_shell(cast(Any, Terminal()), "sha256:c0ffee")


@pytest.mark.parametrize(
    ("code", "said"),
    [(0, ""), (125, "The engine could not start a container."), (127, "The image has no shell.")],
)
def test_what_docker_says_of_itself_is_told(
    code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = shell(tmp_path, monkeypatch, f"exit {code}")
    assert problem.startswith(said)
    assert bool(problem) == bool(said)


@pytest.mark.parametrize("typed", ["there-is-no-such-command", "exit 126", "kill -INT $$"])
def test_how_the_last_command_ended_is_not_told(
    typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f"for last; do :; done\necho '{typed}' | sh -c \"$last\""
    assert shell(tmp_path, monkeypatch, script) == ""
