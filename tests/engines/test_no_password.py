"""A password is where it is kept, and nowhere else, after a day's work with a registry."""

from __future__ import annotations

import secrets
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.engines.fixtures import service
from tests.engines.harness import Engine
from tests.engines.images import build
from tests.engines.registry import Registry
from tests.truth.command import environment, run_program
from tests.tui.terminal.programs import start
from tests.unit.images.registry.misbehaving_registry import noise

PASSWORD = f"mola-{secrets.token_hex(8)}"
#: How it may look: as it is, and in a login that is written down.
FORMS = (PASSWORD.encode(), b64encode(f"gordon:{PASSWORD}".encode()))


@contextmanager
def arguments_seen() -> Iterator[list[bytes]]:
    """The command lines of all processes with the password, which are looked at all the time."""
    found: list[bytes] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            for folder in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):
                    line = (folder / "cmdline").read_bytes()
                    if any(form in line for form in FORMS):
                        found.append(line)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def test_a_password_is_in_no_file_no_argument_and_on_no_screen(
    docker_28: Engine, tmp_path: Path
) -> None:
    config = tmp_path / "docker/config.json"
    own = environment(
        docker_28,
        HOME=str(tmp_path),
        DOCKER_CONFIG=str(config.parent),
        LAYERSCOPE_LOG=str(tmp_path / "log"),
        **{f"XDG_{name}_HOME": str(tmp_path / name) for name in ("CACHE", "STATE", "DATA")},
    )
    said: list[str] = []

    def layerscope(*arguments: str, code: int = 0, given: str = "") -> None:
        run = run_program([sys.executable, "-m", "layerscope", *arguments], own, given=given)
        assert run.returncode == code, run.stderr
        said.extend((run.stdout, run.stderr))

    with (
        service("registry", lambda: Registry(password=PASSWORD)) as registry,
        arguments_seen() as arguments,
    ):
        name = f"{registry.address}/secret:1"
        files = {"file": noise(200_000, time.time_ns())}
        build(docker_28, "FROM scratch\nCOPY file /\n", files, name)
        login = ("login", "-u", registry.user, "--password-stdin", registry.address)
        layerscope(*login, code=2, given=f"{PASSWORD}x\n")
        layerscope(*login, given=f"{PASSWORD}\n")
        layerscope("push", name)
        layerscope("push", "--via", "registry", name, name.replace("secret", "other"))
        layerscope("pull", name)
        layerscope("pull", "--via", "registry", name)
        layerscope("pull", "--via", "registry", "--to", f"oci:{tmp_path}/layout", name)
        layerscope("pull", f"{registry.address}/nothing:1", code=2)
        layerscope("pull", "--dry-run", name)
        layerscope("files", f"docker://{name}")
        layerscope("tags", f"{registry.address}/secret")
        layerscope("search", f"{registry.address}/")
        layerscope("drift", name)
        layerscope("jobs")
        layerscope("jobs", "attach", "1")
        terminal = start(size=(100, 30), code="", module="layerscope", **own)
        terminal.until("/secret")
        terminal.keys("J")
        terminal.until("of 6 jobs")
        terminal.process.terminate()
        terminal.wait()
        said.append(terminal.output.decode(errors="replace"))
        assert FORMS[1] in config.read_bytes()
        layerscope("logout", registry.address)
        layerscope("push", name, code=2)
    files_with = [
        path
        for path in tmp_path.rglob("*")
        if path.is_file() and any(form in path.read_bytes() for form in FORMS)
    ]
    assert files_with == []
    assert arguments == []
    assert not [text for text in said if any(form.decode() in text for form in FORMS)]
    assert "Traceback" not in "".join(said)
    with docker_28.api() as client:
        client.remove_image(name)
