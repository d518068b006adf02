"""Logins that layerscope keeps, used by the real docker command, and the other way round."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.engines.harness import Engine
from tests.engines.images import busybox_base
from tests.engines.registry import Registry
from tests.truth.command import environment, run_program


@dataclass
class Home:
    """A home folder with Docker's config.json, and a registry."""

    folder: Path
    registry: Registry
    engine: Engine

    @property
    def environment(self) -> dict[str, str]:
        own = {"HOME": str(self.folder), "DOCKER_CONFIG": str(self.folder / ".docker")}
        return environment(self.engine, **own, LAYERSCOPE_LOG=str(self.folder / "log"))

    def layerscope(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        run = run_program(
            [sys.executable, "-m", "layerscope", *arguments], self.environment, given=given
        )
        assert self.registry.password not in run.stdout + run.stderr
        return run

    def may_push(self) -> bool:
        """Whether the docker command is let in."""
        name = f"{self.registry.address}/login/{time.time_ns()}:1"
        self.engine.docker("tag", busybox_base(self.engine), name)
        own = {"DOCKER_CONFIG": str(self.folder / ".docker")}
        run = self.engine.docker("push", name, env=own, check=False)
        self.engine.docker("rmi", name)
        return run.returncode == 0


@pytest.fixture
def home(docker_28: Engine, registry: Registry, tmp_path: Path) -> Iterator[Home]:
    found = Home(tmp_path, registry, docker_28)
    yield found
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or registry.password.encode() not in path.read_bytes(), path


def test_docker_uses_the_login_until_it_is_removed(home: Home) -> None:
    assert not home.may_push()
    arguments = ("login", "-u", home.registry.user, "--password-stdin", home.registry.address)
    wrong = home.layerscope(*arguments, given="wrong\n")
    assert wrong.returncode == 2
    assert "rejects the user name or the password (401)" in wrong.stderr
    assert not (home.folder / ".docker").exists()
    right = home.layerscope(*arguments, "--json", given=f"{home.registry.password}\n")
    assert right.returncode == 0, right.stderr
    config = home.folder / ".docker/config.json"
    assert json.loads(right.stdout) == {
        "schema": "layerscope.login/1",
        "registry": home.registry.address,
        "username": home.registry.user,
        "origin": str(config),
        "kept": True,
    }
    assert config.stat().st_mode & 0o777 == 0o600
    assert home.may_push()
    again = home.layerscope("login", home.registry.address)
    assert (again.returncode, again.stderr) == (0, "")
    assert f"with the login from {config}" in again.stdout
    gone = home.layerscope("logout", home.registry.address)
    assert (gone.returncode, gone.stderr) == (0, "")
    assert str(config) in gone.stdout
    assert not home.may_push()
    assert "there was no login" in home.layerscope("logout", home.registry.address).stdout


def test_a_login_of_dockers_is_known_and_removed(home: Home) -> None:
    run = home.engine.docker(
        *("login", "-u", home.registry.user, "--password-stdin", home.registry.address),
        stdin=home.registry.password.encode(),
        env={"DOCKER_CONFIG": str(home.folder / ".docker")},
    )
    assert run.returncode == 0
    assert home.layerscope("login", home.registry.address).returncode == 0
    assert home.layerscope("logout", home.registry.address).returncode == 0
    assert json.loads((home.folder / ".docker/config.json").read_text())["auths"] == {}


def asked(home: Home, *answers: str) -> tuple[int, str]:
    """Runs `login` on a terminal; returns its exit code and what the terminal showed."""
    pid, fd = pty.fork()
    if not pid:
        command = [sys.executable, "-m", "layerscope", "login", home.registry.address]
        os.execve(sys.executable, command, home.environment)
    shown = b""
    for answer in answers:
        before = len(shown)
        while not shown[before:].rstrip().endswith((b":", b"(y/N)")):
            shown += os.read(fd, 1000)
        command_line = Path(f"/proc/{pid}/cmdline").read_bytes()
        assert home.registry.password.encode() not in command_line
        os.write(fd, f"{answer}\n".encode())
        shown += os.read(fd, 1)
    with suppress(OSError):
        while piece := os.read(fd, 1000):
            shown += piece
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


def test_on_a_terminal_it_asks_and_shows_no_password(home: Home) -> None:
    code, text = asked(home, home.registry.user, home.registry.password)
    assert code == 0, text
    assert home.registry.password not in text
    assert "not encrypted" in text
    home.layerscope("logout", home.registry.address)


@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("y", 0)])
def test_a_helper_that_fails_leaves_a_choice(home: Home, answer: str, code: int) -> None:
    config = home.folder / ".docker/config.json"
    config.parent.mkdir()
    config.write_text('{"credsStore": "none-such"}')
    found, text = asked(home, home.registry.user, home.registry.password, answer)
    assert found == code, text
    assert "docker-credential-none-such is not installed" in text
    assert ("auths" in json.loads(config.read_text())) is (answer == "y")
    assert home.registry.password not in text
    config.unlink()
