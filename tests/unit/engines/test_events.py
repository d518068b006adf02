"""What an engine reports while it changes, as it is read from the wire."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from layerscope.engines.address import Address
from layerscope.engines.docker import DockerEngine, connect
from layerscope.engines.engine import EngineEvent
from layerscope.errors import EngineError


def event(kind: str, action: str, identifier: str = "x") -> bytes:
    return json.dumps({"Type": kind, "Action": action, "Actor": {"ID": identifier}}).encode()


class Server:
    """An engine that sends pieces of an event stream, and then waits or hangs up."""

    def __init__(self, path: Path) -> None:
        self.pieces: Sequence[bytes] = ()
        self.hangs_up = True
        self.address = Address(f"unix://{path}", None, f"unix://{path}")
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            while request := connection.recv(1 << 16):
                if b"/events" not in request:
                    body = json.dumps({"ApiVersion": "1.41", "Version": "1"}).encode()
                    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
                    connection.sendall(head.encode() + body)
                    continue
                connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                for piece in self.pieces:
                    connection.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                if self.hangs_up:
                    return


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path / "s")


@pytest.fixture
def engine(server: Server) -> Iterator[DockerEngine]:
    found = connect(server.address)
    yield found
    found.close()


def until_the_end(engine: DockerEngine) -> list[Any]:
    found: list[Any] = []
    try:
        found += engine.events()[0]
    except EngineError as error:
        found.append(error.message)
    return found


def test_messages_may_come_in_any_pieces(server: Server, engine: DockerEngine) -> None:
    whole = event("image", "tag", "sha256:a") + b"\n" + event("container", "die", "c") + b"\n"
    server.pieces = [whole[place : place + 1] for place in range(len(whole))] + [b"0\r\n\r\n"]
    tagged, died, *_ = until_the_end(engine)
    assert tagged == EngineEvent("image", "tag", "sha256:a")
    assert died == EngineEvent("container", "die", "c")


@pytest.mark.parametrize(
    "action", ["exec_create: /bin/sh -c true", "exec_die", "health_status: healthy", "top", "push"]
)
def test_what_changes_nothing_is_left_out(
    server: Server, engine: DockerEngine, action: str
) -> None:
    lines = [event("container", action), event("network", "create"), event("image", "pull")]
    server.pieces = [line + b"\n" for line in lines]
    assert until_the_end(engine)[0] == EngineEvent("image", "pull", "x")


def test_a_lost_connection_and_a_damaged_message_are_errors(
    server: Server, engine: DockerEngine
) -> None:
    assert "was lost" in until_the_end(engine)[-1]
    server.pieces = [b"no json\n"]
    assert "invalid" in until_the_end(engine)[-1]
    server.pieces = [b'{"Type": 7}\n']
    assert "invalid" in until_the_end(engine)[-1]


def test_it_can_be_stopped_while_it_waits(server: Server, engine: DockerEngine) -> None:
    server.hangs_up = False
    events, stop = engine.events()
    threading.Timer(0.1, stop).start()
    with pytest.raises(EngineError):
        list(events)
