"""An engine that does not answer is reported, and blocks nothing."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from layerscope.engines import client, waiting
from layerscope.engines.docker import connect
from layerscope.engines.ssh import ssh_host
from layerscope.engines.waiting import waits_reported
from layerscope.errors import Cancelled, EngineError
from layerscope.jobs.worker import Cancellation
from tests.command import one_line_error, run
from tests.folders import let_others_in


@pytest.fixture
def silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that accepts connections, and does not answer."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen(8)
        host = f"unix://{tmp_path / 's'}"
        monkeypatch.setenv("DOCKER_HOST", host)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        monkeypatch.setattr(client, "_PATIENCE", 1.2)
        monkeypatch.setattr(waiting, "_PATIENCE", 0.2)
        yield host


def test_the_wait_and_then_the_timeout_are_reported(
    silent: str, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = time.monotonic()
    outcome = run(capsys, "images")
    assert time.monotonic() - begun > 1
    said, *rest = outcome.err.splitlines()
    assert said == f"layerscope: Waiting for the engine at {silent}…"
    assert rest == [
        f"layerscope: The engine at {silent} does not answer. "
        "It hangs or is very busy: try again, or restart it."
    ]
    assert (outcome.code, outcome.out) == (2, "")


def test_nothing_is_reported_without_a_listener(
    silent: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(EngineError, match="does not answer"):
        connect()
    assert capsys.readouterr() == ("", "")


def test_an_answer_in_time_is_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_PATIENCE", 60)
    said: list[str] = []
    with waits_reported(said.append):
        with waiting.patiently("one"):
            pass
        monkeypatch.setattr(waiting, "_PATIENCE", 0)
        with waiting.patiently("the other\x1b"):
            while not said:
                time.sleep(0.01)
    assert said == ["Waiting for the other\\e…"]


def test_a_question_ends_when_it_is_cancelled() -> None:
    cancellation = Cancellation()
    assert cancellation.ask(lambda: 7) == 7
    with pytest.raises(EngineError, match=r"No\."):
        cancellation.ask(lambda: (_ for _ in ()).throw(EngineError("No.")))
    never = threading.Event()
    threading.Timer(0.2, cancellation.cancel).start()
    with pytest.raises(Cancelled):
        cancellation.ask(never.wait)
    with pytest.raises(Cancelled):
        cancellation.ask(lambda: 7)
    never.set()


@pytest.mark.parametrize(
    ("address", "end"),
    [
        ("ssh://host", ["--", "host", "docker system dial-stdio"]),
        (
            "ssh://me%40here@host:2222",
            ["-l", "me@here", "-p", "2222", "--", "host", "docker system dial-stdio"],
        ),
        (
            "ssh://host/run/my docker.sock",
            ["--", "host", "docker --host 'unix:///run/my docker.sock' system dial-stdio"],
        ),
        ("ssh://[::1]:22", ["-p", "22", "--", "::1", "docker system dial-stdio"]),
    ],
)
def test_addresses_of_ssh(address: str, end: list[str]) -> None:
    command = list(ssh_host(address).command)
    assert command[:6] == ["ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
    assert command[6:] == end


@pytest.mark.parametrize(
    "address",
    [
        "ssh://",
        "ssh://-oProxyCommand=x",
        "ssh://host:x",
        "ssh://host?x",
        "ssh://[",
    ],
)
def test_invalid_addresses_of_ssh(
    address: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)
    assert "is not an address. Write ssh://USER@HOST:PORT." in one_line_error(run(capsys, "images"))


def test_an_address_of_ssh_with_a_password(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://a:secret@host")
    line = one_line_error(run(capsys, "images"))
    assert line == "ssh://a@host has a password. Leave it out; ssh uses your keys."


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a shell script in place of ssh."""

    def replace(script: str) -> None:
        path = tmp_path / "ssh"
        path.write_text(f"#!/bin/sh\n{script}")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return replace


def test_the_error_of_ssh_is_reported(
    ssh: Callable[[str], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh("echo some warning >&2\nprintf 'No \\033 way.\\r\\n' >&2\nexit 255\n")
    monkeypatch.setenv("DOCKER_HOST", "ssh://me@host")
    error = one_line_error(run(capsys, "images"))
    assert error.startswith("The engine at ssh://me@host cannot be reached (ssh: No ")
    assert error.endswith("`ssh me@host docker version` must work without a prompt.")
    monkeypatch.setenv("PATH", "/nothing")
    assert one_line_error(run(capsys, "images")).startswith("ssh cannot be started: No such file")


def test_errors_of_ssh_without_an_end_are_not_kept(
    ssh: Callable[[str], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh("head -c 20000000 /dev/zero | tr '\\0' x >&2\nexit 255\n")
    monkeypatch.setenv("DOCKER_HOST", "ssh://host")
    assert "(ssh: xxx" in one_line_error(run(capsys, "images"))


def test_a_refused_socket_differs_from_unreadable_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked_by_nobody() -> str:
        """Runs as another user than root, who may access everything."""
        read, write = os.pipe()
        child = os.fork()
        if not child:
            try:
                if os.geteuid() == 0:
                    os.setgroups([])
                    os.setgid(65534)
                    os.setuid(65534)
                try:
                    connect()
                except EngineError as error:
                    os.write(write, str(error).encode())
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as said:
            text = said.read().decode()
        os.waitpid(child, 0)
        return text

    # Other users may not be able to read the imported modules.
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    monkeypatch.setenv("DOCKER_CONFIG", "/nowhere")
    with pytest.raises(EngineError):
        connect()
    let_others_in(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen(1)
        (tmp_path / "s").chmod(0o600 if os.geteuid() == 0 else 0)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 's'}")
        assert asked_by_nobody() == (
            f"No permission to talk to the engine at unix://{tmp_path / 's'}. Run it with sudo, or "
            "join the socket's group (usually `docker`) and log in again; DOCKER_HOST names "
            "another engine."
        )
        (tmp_path / "config.json").write_text("{}")
        (tmp_path / "config.json").chmod(0)
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        # Unreadable settings are ignored, as by the docker command.
        assert asked_by_nobody().startswith("No permission to talk to the engine at unix://")
        for name in ("ca.pem", "cert.pem", "key.pem"):
            (tmp_path / name).write_text("")
        (tmp_path / "key.pem").chmod(0)
        monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
        monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
        monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
        assert asked_by_nobody() == (
            f"{tmp_path / 'key.pem'} cannot be read (Permission denied). "
            "Check its permissions, or choose another engine."
        )
