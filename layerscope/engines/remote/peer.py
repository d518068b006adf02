"""The layerscope on another host, behind ssh: starts it, and sends requests."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

from layerscope.engines.address import Address
from layerscope.engines.remote.protocol import (
    MAGIC,
    PROTOCOL,
    Message,
    ProtocolError,
    packed,
    read_message,
)
from layerscope.engines.ssh import ssh_environment, ssh_host
from layerscope.errors import EngineError
from layerscope.filesystem.changeset_file import VERSION
from layerscope.text import one_line, visible

_PATIENCE = 20.0  # Seconds to wait for the hello of the other side.
_LOOK = 0.2  # Seconds between checks whether to stop.
_CHUNK = 1 << 16
_MOST_NOISE = 1 << 16  # Bytes that a login script may print before the hello.
_ENDING = 2.0


class NoPeer(Exception):
    """There is no usable layerscope; the text is the reason, to end a sentence with."""


class Peer:
    """A connection for one request at a time; all methods may raise EngineError."""

    def __init__(self, address: Address) -> None:
        """Connects; raises NoPeer if there is no layerscope with the same protocol."""
        self.received = 0  # Bytes received.
        self.requests: frozenset[str] = frozenset()  # The requests that the other side supports.
        self._shown = address.shown
        self._buffer = bytearray()
        self._number = 0
        self._guard = threading.Lock()
        command = ssh_host(address.host, address.identity).serve
        try:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=ssh_environment(),
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise NoPeer(f"ssh cannot be started: {error.strerror}") from None
        try:
            self._greet()
        except BaseException:
            self.close()
            raise

    def _greet(self) -> None:
        end = time.monotonic() + _PATIENCE

        def check() -> None:
            if time.monotonic() > end:
                raise NoPeer("its layerscope does not answer")

        while (at := self._buffer.find(MAGIC)) < 0:
            if len(self._buffer) > _MOST_NOISE or not self._fill(check):
                missing = self._ended() in (126, 127)
                raise NoPeer("layerscope is not installed there" if missing else "ssh failed")
        del self._buffer[: at + len(MAGIC)]
        try:
            message = read_message(lambda size: self._read(size, check))
        except ProtocolError:
            message = None
        hello = {} if message is None else message[0]
        if (hello.get("protocol"), hello.get("changesets")) != (PROTOCOL, VERSION):
            version = visible(one_line(str(hello.get("version", "unknown")))[:40])
            raise NoPeer(f"the layerscope there, version {version}, has another protocol")
        if isinstance(listed := hello.get("requests"), list):
            self.requests = frozenset(each for each in listed if isinstance(each, str))

    def ask(
        self, request: str, check: Callable[[], object] = lambda: None, **fields: Any
    ) -> Generator[Message]:
        """Yields the answers to a request; `check` is called meanwhile, and may raise to stop.

        Closing the generator cancels the request. Raises EngineError if the other side reports an
        error or disconnects.
        """
        with self._guard:
            self._number += 1
            number = self._number
            self._send({"id": number, "request": request, **fields})
            ended = False
            try:
                while not ended:
                    document, data = self._answer(check)
                    if document.get("id") != number:
                        raise self._odd("it answers what was not asked")
                    ended = document.get("end") is True
                    if ended and "error" in document:
                        raise _reported(document)
                    if not ended:
                        yield document, data
            finally:
                if not ended:
                    self._abandon(number)

    def _answer(self, check: Callable[[], object]) -> Message:
        try:
            message = read_message(lambda size: self._read(size, check))
        except ProtocolError as error:
            self.close()
            raise self._odd(error.message.rstrip(".")) from None
        if message is None:
            self.close()
            hint = "Check the connection, then try again."
            raise EngineError(f"The connection to the layerscope at {self._shown} ended.", hint)
        return message

    def _abandon(self, number: int) -> None:
        """Cancels a request; if it does not end soon, closes the connection."""
        end = time.monotonic() + _ENDING

        def check() -> None:
            if time.monotonic() > end:
                raise TimeoutError

        try:
            if self.alive:
                self._send({"request": "cancel"})
                while True:
                    document, _ = self._answer(check)
                    if document.get("id") == number and document.get("end") is True:
                        return
        except (EngineError, TimeoutError):
            self.close()

    def _odd(self, why: str) -> EngineError:
        return EngineError(
            f"The layerscope at {self._shown} sent an invalid answer ({visible(one_line(why))}).",
            "Update it there, or export the image with --export.",
        )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def _send(self, document: dict[str, Any]) -> None:
        assert self._process.stdin is not None  # noqa: S101
        try:
            self._process.stdin.write(packed(document))
        except (OSError, ValueError):
            self.close()
            raise EngineError(
                f"The connection to the layerscope at {self._shown} ended.",
                "Check the connection, then try again.",
            ) from None

    def _read(self, size: int, check: Callable[[], object]) -> bytes:
        while len(self._buffer) < size and self._fill(check):
            pass
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _fill(self, check: Callable[[], object]) -> bool:
        """Reads available data; returns False at the end."""
        assert self._process.stdout is not None  # noqa: S101
        out = self._process.stdout
        while True:
            check()
            try:
                if not select.select([out], [], [], _LOOK)[0]:
                    continue
                piece = os.read(out.fileno(), _CHUNK)
            except (OSError, ValueError):
                return False
            self.received += len(piece)
            self._buffer += piece
            return bool(piece)

    def _ended(self) -> int | None:
        try:
            return self._process.wait(_ENDING)
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                assert stream is not None  # noqa: S101
                stream.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_LOOK)
            return
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING)


def _reported(document: dict[str, Any]) -> EngineError:
    """Returns the error in an answer, as worded by the other side."""
    message, hint = (visible(one_line(str(document.get(each) or ""))) for each in ("error", "hint"))
    return EngineError(message[:500] or "The layerscope there reports an error.", hint[:500])
