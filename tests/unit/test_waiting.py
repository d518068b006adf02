"""An engine that does not answer holds nobody up, and is told."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerscope.engines import client, waiting
from layerscope.engines.docker import connect
from layerscope.engines.ssh import ssh_host
from layerscope.engines.waiting import waiting_told
from layerscope.errors import Cancelled, EngineError
from layerscope.jobs.worker import Cancellation
from tests.unit.command import one_line_error, run


@pytest.fixture
def silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What takes connections, and answers nothing."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen(8)
        host = f"unix://{tmp_path / 's'}"
        monkeypatch.setenv("DOCKER_HOST", host)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        monkeypatch.setattr(client, "_PATIENCE", 1.2)
        monkeypatch.setattr(waiting, "_PATIENCE", 0.2)
        yield host


def test_it_is_said_what_is_waited_for_and_then_that_nothing_came(
    silent: str, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = time.monotonic()
    outcome = run(capsys, "images")
    assert 1 < time.monotonic() - begun < 8
    said, *rest = outcome.err.splitlines()
    assert said == f"layerscope: Waiting for the engine at {silent}…"
    assert rest == [
        f"layerscope: The engine at {silent} does not answer. "
        "It hangs, or is very busy: try again, or restart it."
    ]
    assert (outcome.code, outcome.out) == (2, "")


def test_nothing_is_said_where_nobody_listens(
    silent: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(EngineError, match="does not answer"):
        connect()
    assert capsys.readouterr() == ("", "")


def test_an_answer_in_time_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_PATIENCE", 0.2)
    said: list[str] = []
    with waiting_told(said.append):
        with waiting.patiently("one"):
            pass
        time.sleep(0.4)
        with waiting.patiently("the other\x1b"):
            time.sleep(0.4)
    assert said == ["Waiting for the other\\e…"]


def test_a_question_ends_with_the_wish_to_stop() -> None:
    wish = Cancellation()
    assert wish.ask(lambda: 7) == 7
    with pytest.raises(EngineError, match=r"No\."):
        wish.ask(lambda: (_ for _ in ()).throw(EngineError("No.")))
    never = threading.Event()
    threading.Timer(0.2, wish.cancel).start()
    begun = time.monotonic()
    with pytest.raises(Cancelled):
        wish.ask(never.wait)
    assert time.monotonic() - begun < 2
    with pytest.raises(Cancelled):
        wish.ask(lambda: 7)
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
        "ssh://a:b@host",
        "ssh://host:x",
        "ssh://host?x",
        "ssh://[",
    ],
)
def test_what_is_no_address_of_ssh(
    address: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)
    assert "is no address. Write ssh://USER@HOST:PORT." in one_line_error(run(capsys, "images"))


def test_what_ssh_says_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\necho some warning >&2\nprintf 'No \\033 way.\\r\\n' >&2\nexit 255\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("DOCKER_HOST", "ssh://me@host")
    error = one_line_error(run(capsys, "images"))
    assert error.startswith("The engine at ssh://me@host cannot be reached (ssh: No ")
    assert error.endswith("`ssh me@host docker version` has to work without a question.")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert one_line_error(run(capsys, "images")).startswith("ssh cannot be started: No such file")


def test_a_socket_that_refuses_is_told_from_files_that_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked_by_nobody() -> str:
        """What another user is told than root, whom nothing refuses."""
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

    # What connecting imports may lie where nobody else can read.
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    monkeypatch.setenv("DOCKER_CONFIG", "/nowhere")
    with pytest.raises(EngineError):
        connect()
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
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
        # Settings that may not be read are none, as for the docker command.
        assert asked_by_nobody().startswith("No permission to talk to the engine at unix://")
        for name in ("ca.pem", "cert.pem", "key.pem"):
            (tmp_path / name).write_text("")
        (tmp_path / "key.pem").chmod(0)
        monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
        monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
        monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
        assert asked_by_nobody() == (
            f"{tmp_path / 'key.pem'} cannot be read (Permission denied). "
            "Let it be read, or name another engine."
        )
