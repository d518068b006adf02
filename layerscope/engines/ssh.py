"""`ssh://` engines: HTTP over the stdin and stdout of `ssh HOST docker system dial-stdio`.

As with the docker command, this uses the user's own ssh with its configuration, keys and agent; the
remote docker command finds its engine. ssh runs in batch mode, since a prompt would disturb the
screen.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import subprocess
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from docker.transport.basehttpadapter import BaseHTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from layerscope.engines.address import Address
from layerscope.errors import EngineError
from layerscope.text import clip, visible

_TAIL = 4096  # Bytes to keep from the end of ssh's stderr.
_LONGEST = 300  # The most characters of its message to show.
_LIBRARIES = "LD_LIBRARY_PATH"
_MOMENT = 2.0  # Seconds for ssh to report why a connection was lost.


@dataclass(frozen=True, slots=True)
class SshHost:
    address: str  # The address, safe to show.
    command: tuple[str, ...]  # The command that connects to its engine.
    serve: tuple[str, ...]  # The command that starts the layerscope there.
    trial: str  # A command line for the user to try.


def ssh_host(address: str, identity: str = "") -> SshHost:
    """Parses an address such as `ssh://user@host:port`; raises EngineError if it is invalid.

    `identity` is the key file; "" leaves the choice to ssh.
    """
    shown = Address(address, None, "").shown
    wrong = EngineError(f"{shown} is not an address.", "Write ssh://USER@HOST:PORT.")
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise wrong from None
    # ssh would parse it as an option, which can run any command.
    if not host or host.startswith("-") or parts.query or parts.fragment:
        raise wrong
    if parts.password:
        raise EngineError(f"{shown} has a password.", "Leave it out; ssh uses your keys.")
    trial = ["ssh"]
    options = ["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
    if parts.username:
        options += ["-l", unquote(parts.username)]
    if port:
        options += ["-p", str(port)]
        trial += ["-p", str(port)]
    if identity:
        options += ["-i", identity]
        trial += ["-i", identity]
    remote = ["docker"]
    if parts.path not in ("", "/"):
        # A remote socket; a host with Podman may lack the docker command.
        podman = "podman" in parts.path
        remote = ["podman", "--remote", "--url"] if podman else ["docker", "--host"]
        remote.append(f"unix://{parts.path}")
    line = shlex.join([*remote, "system", "dial-stdio"])
    whom = f"{unquote(parts.username)}@{host}" if parts.username else host
    trial += [whom, *remote, "version"]
    ssh = ("ssh", *options, "--", host)
    engine = f"unix://{parts.path}" if parts.path not in ("", "/") else "auto"
    # The PATH of an ssh session may lack the user folders of pip and pipx.
    serve = ["sh", "-c", 'PATH="$PATH:$HOME/.local/bin:/usr/local/bin"; exec layerscope "$@"']
    serve += ["layerscope", "--engine", engine, "serve", "--stdio"]
    return SshHost(shown, (*ssh, line), (*ssh, shlex.join(serve)), " ".join(trial))


def ssh_environment() -> dict[str, str]:
    """Returns the environment for ssh, without the libraries of a bundled Python."""
    return {name: value for name, value in os.environ.items() if name != _LIBRARIES}


class SshAdapter(BaseHTTPAdapter):  # type: ignore[misc]
    """An adapter of requests for an engine over ssh, with a process per connection."""

    def __init__(self, host: SshHost, timeout: float) -> None:
        self._host = host
        self._dials: list[_Dial] = []
        self._guard = threading.Lock()
        self._pool = _Pool(self, timeout)
        super().__init__()

    def get_connection(self, url: str, proxies: object = None) -> HTTPConnectionPool:
        return self._pool

    def request_url(self, request: Any, proxies: object) -> str:
        return str(request.path_url)

    def send(self, request: Any, *arguments: Any, **more: Any) -> Any:
        """Sends a request; raises EngineError if ssh failed."""
        try:
            return super().send(request, *arguments, **more)
        except requests.ConnectionError:
            failure = self._failure()
            if failure is None:
                raise
        raise EngineError(
            f"The engine at {self._host.address} cannot be reached (ssh: {failure}).",
            f"`{visible(self._host.trial)}` must work without a prompt.",
        ) from None

    def dial(self) -> socket.socket:
        """Starts ssh, and returns a socket connected to the engine."""
        ours, theirs = socket.socketpair()
        try:
            process = subprocess.Popen(  # noqa: S603
                self._host.command,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                env=ssh_environment(),
                # ctrl+c in the terminal is for this process.
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise EngineError(
                f"ssh cannot be started: {error.strerror}.", "Install it (openssh-client)."
            ) from None
        finally:
            theirs.close()
        with self._guard:
            self._dials = [dial for dial in self._dials if not dial.over()]
            self._dials.append(_Dial(process))
        return ours

    def close(self) -> None:
        super().close()
        self._pool.close()
        with self._guard:
            dials, self._dials = self._dials, []
        for dial in dials:
            dial.end()

    def _failure(self) -> str | None:
        """Returns the last error message of ssh; None if it has not failed."""
        with self._guard:
            dials = self._dials[::-1]
        return next((text for dial in dials if (text := dial.failure()) is not None), None)


class _Dial:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._tail = b""
        self._reader = threading.Thread(target=self._read, name="layerscope-ssh", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        """Reads its stderr, and keeps the last bytes."""
        assert self._process.stderr is not None  # noqa: S101
        with self._process.stderr as stderr:
            while piece := os.read(stderr.fileno(), _TAIL):
                self._tail = (self._tail + piece)[-_TAIL:]

    def over(self) -> bool:
        return self._process.poll() is not None

    def failure(self) -> str | None:
        """Returns the last line of its stderr if it failed."""
        try:
            code = self._process.wait(_MOMENT)
        except subprocess.TimeoutExpired:
            return None
        if not code:
            return None
        self._reader.join(_MOMENT)
        lines = self._tail.decode("utf-8", "replace").split("\n")
        lines = [" ".join(line.split()) for line in lines if line.strip()]
        if not lines:
            return f"it ended with {code}"
        return visible(clip(lines[-1], _LONGEST)).removeprefix("ssh: ").rstrip(".")

    def end(self) -> None:
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_MOMENT)


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
