"""A password is nowhere afterwards but where Docker keeps it, and nobody could see it meanwhile."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from tests.engines.fixtures import service
from tests.engines.harness import Engine
from tests.engines.images import build, busybox_base
from tests.engines.registry import Registry
from tests.truth.command import environment
from tests.tui.terminal.programs import start


class Watch:
    """Looks at the arguments of all processes, over and over."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._end = threading.Event()

    def run(self) -> None:
        while not self._end.wait(0.002):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    self.seen.add(path.read_bytes())

    @contextmanager
    def watching(self) -> Iterator[Watch]:
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield self
        finally:
            self._end.set()
            thread.join()


def forms(user: str, password: str) -> list[bytes]:
    """A password as it may be written."""
    both = f"{user}:{password}".encode()
    texts = [password, quote(password), quote_plus(password)]
    return [*(text.encode() for text in texts), b64encode(password.encode()), b64encode(both)]


@pytest.fixture
def registry() -> Iterator[Registry]:
    """With a password that no other process has."""
    with service("registry", lambda: Registry(password=f"very secret {time.time_ns()}")) as found:
        yield found


def test_after_everything_the_password_is_nowhere(
    docker_28: Engine, registry: Registry, tmp_path: Path
) -> None:
    folders = {
        name: str(tmp_path / name.lower())
        for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME")
    }
    for folder in folders.values():
        Path(folder).mkdir()
    folders["DOCKER_CONFIG"] = str(tmp_path / "home/.docker")
    folders["LAYERSCOPE_LOG"] = str(tmp_path / "log")
    env = environment(docker_28, **folders)
    user, password, host = registry.user, registry.password, registry.address
    shown: list[bytes] = []

    def run(code: int, *arguments: str, given: str = "") -> None:
        done = subprocess.run(
            [sys.executable, "-m", "layerscope", *arguments],
            env=env,
            input=given.encode(),
            capture_output=True,
            timeout=300,
            check=False,
        )
        shown.extend((done.stdout, done.stderr))
        assert done.returncode == code, (arguments, done.stderr)

    login = ("login", "-u", user, "--password-stdin", host)
    name = f"{host}/secrets/app:1"
    image = build(
        docker_28, f"FROM {busybox_base(docker_28)}\nCOPY small /\n", {"small": b"x"}, name
    )
    with Watch().watching() as watch:
        run(2, *login, given=f"{password} no\n")
        run(2, "push", name)
        run(0, *login, given=f"{password}\n")
        run(0, "push", name)
        run(0, "logout", host)
        terminal = start(f"docker://{name}", size=(120, 40), module="layerscope", **env)
        terminal.until("requires a login")
        terminal.keys("l")
        terminal.until("as plain text")
        terminal.keys(f"{user}\r{password[:-1]}\r")
        terminal.until("rejects the user name or the password")
        terminal.keys(f"{password[-1]}\r")
        terminal.until("small")
        terminal.keys("q")
        terminal.wait()
        shown.append(terminal.output)
        run(0, "login", host)
        run(0, "pull", name)
        run(2, "pull", f"{host}/secrets/none:1")
        run(0, "tags", f"{host}/secrets/app")
        run(0, "search", f"{host}/secrets")
        run(0, "drift", name)
        run(0, "jobs")
        config = tmp_path / "home/.docker/config.json"
        kept = config.read_bytes()
        run(0, "logout", host)
        run(2, "pull", f"{host}/secrets/app:2")
    with docker_28.api() as api:
        api.remove_image(image.id, force=True)
    secrets = forms(user, password)
    # Docker's own place has it as Docker writes it, until the logout.
    assert [secret in kept for secret in secrets] == [False] * 4 + [True]
    written = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert any("journal" in path.name or "jobs" in str(path) for path in written)
    for command in ("login", "push", "pull"):  # its job has the same arguments
        assert any(f"layerscope\0{command}".encode() in seen for seen in watch.seen)
    for secret in secrets:
        assert not [path for path, data in written.items() if secret in data]
        assert not [seen for seen in watch.seen if secret in seen]
        assert not [data for data in shown if secret in data]
