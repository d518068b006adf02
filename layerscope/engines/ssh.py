"""`ssh://` engines: HTTP over what `ssh HOST docker system dial-stdio` reads and writes.

As the docker command does it: the user's own ssh with its configuration, keys and agent; on the
other side the docker command, which knows where its engine listens. ssh never asks anything here,
since it would ask on a terminal that a screen may have.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import unquote, urlsplit

import requests
from docker.transport.basehttpadapter import BaseHTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from layerscope.errors import EngineError
from layerscope.text import visible

#: Bytes at the end of what ssh says that are looked at.
_TAIL = 4096
#: Seconds that an ssh whose connection broke off may take to say why.
_MOMENT = 2.0


@dataclass(frozen=True, slots=True)
class SshHost:
    """What stands in an `ssh://` address.

    Attributes:
        address: The address itself.
        command: The command line that connects to the engine there.
        trial: One that a user can try.
    """

    address: str
    command: tuple[str, ...]
    trial: str


def ssh_host(address: str) -> SshHost:
    """The host of an address such as `ssh://user@host:port`.

    Raises:
        EngineError: It is none.
    """
    wrong = EngineError(f"{visible(address)} is no address.", "Write ssh://USER@HOST:PORT.")
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise wrong from None
    # As an option, ssh would run whatever it names.
    if not host or host.startswith("-") or parts.password or parts.query or parts.fragment:
        raise wrong
    trial = ["ssh"]
    options = ["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
    if parts.username:
        options += ["-l", unquote(parts.username)]
    if port:
        options += ["-p", str(port)]
        trial += ["-p", str(port)]
    remote = ["docker"]
    if parts.path not in ("", "/"):
        # A socket there, as the docker command takes it.
        remote += ["--host", f"unix://{parts.path}"]
    line = shlex.join([*remote, "system", "dial-stdio"])
    whom = f"{unquote(parts.username)}@{host}" if parts.username else host
    trial += [whom, *remote, "version"]
    return SshHost(address, ("ssh", *options, "--", host, line), " ".join(trial))


class SshAdapter(BaseHTTPAdapter):  # type: ignore[misc]
    """What requests of an engine over ssh go through; a process for each connection."""

    def __init__(self, host: SshHost, timeout: float) -> None:
        """Connects to nothing yet.

        Args:
            host: The host.
            timeout: Seconds after which a connection that says nothing is given up.
        """
        self._host = host
        self._dials: list[_Dial] = []
        self._guard = threading.Lock()
        self._pool = _Pool(self, timeout)
        super().__init__()

    def get_connection(self, url: str, proxies: object = None) -> HTTPConnectionPool:
        """The only pool that there is."""
        return self._pool

    def request_url(self, request: Any, proxies: object) -> str:
        """The path alone: there is no proxy."""
        return str(request.path_url)

    def send(self, request: Any, *arguments: Any, **more: Any) -> Any:
        """Sends a request.

        Raises:
            EngineError: ssh has ended, and said why.
        """
        try:
            return super().send(request, *arguments, **more)
        except requests.ConnectionError:
            said = self._said()
            if said is None:
                raise
        raise EngineError(
            f"The engine at {visible(self._host.address)} cannot be reached (ssh: {said}).",
            f"`{visible(self._host.trial)}` has to work without a question.",
        ) from None

    def dial(self) -> socket.socket:
        """Starts ssh, and gives the socket that leads to the engine."""
        ours, theirs = socket.socketpair()
        words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        try:
            process = subprocess.Popen(  # noqa: S603
                self._host.command,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=words,
                env=_environment(os.environ),
                # A ctrl+c in the terminal is for us.
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            words.close()
            raise EngineError(
                f"ssh cannot be started: {error.strerror}.", "Install it (openssh-client)."
            ) from None
        finally:
            theirs.close()
        with self._guard:
            self._dials = [dial for dial in self._dials if not dial.over()]
            self._dials.append(_Dial(process, words))
        return ours

    def close(self) -> None:
        """Ends all connections."""
        super().close()
        self._pool.close()
        with self._guard:
            dials, self._dials = self._dials, []
        for dial in dials:
            dial.end()

    def _said(self) -> str | None:
        """Why ssh ended, in its last line; None if it did not."""
        with self._guard:
            dials = list(self._dials)
        for dial in reversed(dials):
            said = dial.said()
            if said is not None:
                return said
        return None


@dataclass(frozen=True, slots=True)
class _Dial:
    process: subprocess.Popen[bytes]
    words: IO[bytes]

    def over(self) -> bool:
        """Whether it has ended; what it said is let go of then."""
        if self.process.poll() is None:
            return False
        self.words.close()
        return True

    def said(self) -> str | None:
        """The last line that it said, if it ended with an error."""
        try:
            code = self.process.wait(_MOMENT)
        except subprocess.TimeoutExpired:
            return None
        if not code:
            return None
        try:
            self.words.seek(0, os.SEEK_END)
            self.words.seek(max(0, self.words.tell() - _TAIL))
            lines = self.words.read().decode("utf-8", "replace").split("\n")
        except (OSError, ValueError):
            lines = []
        said = [" ".join(line.split()) for line in lines if line.strip()]
        return (
            visible(said[-1]).removeprefix("ssh: ").rstrip(".") if said else f"it ended with {code}"
        )

    def end(self) -> None:
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_MOMENT)
        self.words.close()


class _Pool(HTTPConnectionPool):
    def __init__(self, adapter: SshAdapter, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout, maxsize=10)
        self._adapter = adapter
        self._seconds = timeout

    def _new_conn(self) -> HTTPConnection:
        return _Connection(self._adapter, self._seconds)


class _Connection(HTTPConnection):
    def __init__(self, adapter: SshAdapter, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._adapter = adapter

    def connect(self) -> None:
        sock = self._adapter.dial()
        sock.settimeout(float(self.timeout or 0) or None)
        self.sock = sock


def _environment(known: Mapping[str, str]) -> dict[str, str]:
    # What a bundled Python brings along is not for ssh.
    return {name: value for name, value in known.items() if name != "LD_LIBRARY_PATH"}
