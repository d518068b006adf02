"""An engine at a port: for programs it is on another host, and can only be asked for an export."""

from __future__ import annotations

import contextlib
import math
import socket
import threading
from types import TracebackType
from typing import Self

from tests.engines.harness import Engine


class Relay:
    """Passes bytes on, and may kill the engine once it has answered with so many."""

    def __init__(self, engine: Engine, fatal: float = math.inf) -> None:
        """Listen on loopback.

        Args:
            engine: the engine.
            fatal: the number of bytes that it lives to send.
        """
        self._engine = engine
        self._left = fatal
        self._listener = socket.create_server(("127.0.0.1", 0))
        #: what to set DOCKER_HOST to.
        self.host = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        """Start to accept connections."""
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Accept no more."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(str(self._engine.socket))
                for source, target in ((near, far), (far, near)):
                    arguments = (source, target, source is far)
                    threading.Thread(target=self._pass_on, args=arguments, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
                if answers:
                    self._left -= len(data)
                    if self._left <= 0 and self._engine.running:
                        self._engine.kill()
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
