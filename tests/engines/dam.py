"""Stands in front of an engine or a registry, and holds up what is sent there in the middle."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

Connect = Callable[[], socket.socket]


class Dam:
    """Passes connections on, until one has sent more than some bytes: then it waits."""

    def __init__(self, server: socket.socket, connect: Connect, most: int) -> None:
        self.reached = threading.Event()
        self.go = threading.Event()
        self._server, self._connect, self._most = server, connect, most
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                try:
                    there = self._connect()
                except OSError:
                    client.close()
                    continue
                for pair in ((client, there, self._most), (there, client, None)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket, most: int | None) -> None:
        passed = 0
        with suppress(OSError):
            while data := one.recv(1 << 16):
                passed += len(data)
                if most is not None and passed > most:
                    self.reached.set()
                    self.go.wait()
                other.sendall(data)
        for each in (one, other):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextmanager
def dam_of_socket(path: Path, target: Path, most: int) -> Iterator[Dam]:
    """A dam at a path, in front of a unix socket."""

    def connect() -> socket.socket:
        there = socket.socket(socket.AF_UNIX)
        there.connect(str(target))
        return there

    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    with server:
        dam = Dam(server, connect, most)
        yield dam
        dam.go.set()


@contextmanager
def dam_of_port(port: int, most: int) -> Iterator[tuple[Dam, str]]:
    """A dam in front of a port of this host, and its own address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        dam = Dam(server, lambda: socket.create_connection(("127.0.0.1", port), 5), most)
        yield dam, f"127.0.0.1:{server.getsockname()[1]}"
        dam.go.set()
