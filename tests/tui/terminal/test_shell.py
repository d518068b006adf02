"""A shell in an image: what is said when it is over."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, cast

import pytest

from layerscope.engines.shell import RunRequest, run_command, shell_place
from layerscope.errors import UsageError
from layerscope.tui.terminal.shell import run_shell


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
    return run_shell(cast(Any, Terminal()), RunRequest("sha256:c0ffee"))


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


def test_the_command_of_the_engine_is_preferred(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("docker", "podman"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    docker, podman = str(tmp_path / "docker"), str(tmp_path / "podman")
    assert run_command(RunRequest("debian:12"))[0] == docker
    assert run_command(RunRequest("debian:12"), podman=True)[0] == podman
    (tmp_path / "podman").unlink()
    assert run_command(RunRequest("debian:12"), podman=True)[0] == docker
    command = run_command(RunRequest("docker-daemon:sha256:1", platform="linux/arm64"))
    assert command[1:8] == [
        *("run", "--rm", "--interactive", "--tty", "--platform", "linux/arm64", "--entrypoint"),
    ]
    assert command[9] == "sha256:1"
    assert run_command(RunRequest("container:web"))[1:5] == [
        "exec",
        "--interactive",
        "--tty",
        "web",
    ]
    (tmp_path / "docker").unlink()
    with pytest.raises(UsageError, match="neither is installed"):
        run_command(RunRequest("debian:12"))


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("docker-daemon:debian:12", "debian:12"),
        ("docker-daemon:127.0.0.1:5000/team/app:1.0", "127.0.0.1:5000/team/app:1.0"),
        (f"docker-daemon:sha256:{'c0ffee' * 10}beef", "c0ffeec0ffee"),
        ("container:web", "web"),
        ("container:a\x1bb", "a\\eb"),
    ],
)
def test_what_a_shell_is_in_has_its_name(source: str, shown: str) -> None:
    assert shell_place(source) == shown
