"""Starts the worker process of a sandbox, maps its user namespace's ids, and waits for it."""

from __future__ import annotations

import contextlib
import getpass
import os
import select
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from layerscope.errors import Cancelled, LayerscopeError
from layerscope.images.progress import Progress
from layerscope.oci.byte_source import opened
from layerscope.programs import python_module
from layerscope.sandbox.task import Result, Task
from layerscope.sandbox.terminal import Relay, raw_terminal

_PERIOD = 0.2  # Seconds between checks whether to stop the command.
_PATIENCE = 300  # Seconds for a worker to remove what the command wrote.
_PIECE = 1 << 20


class SandboxError(LayerscopeError):
    """A command could not run, or not to its end."""

    def __init__(self, message: str, hint: str = "", *, no_command: bool = False) -> None:
        super().__init__(message, hint)
        #: Whether the image lacks the command, or cannot run it.
        self.no_command = no_command


@dataclass(frozen=True, slots=True)
class Ids:
    """A range of user or group ids: the first inside a namespace, the first outside, the count."""

    inside: int
    outside: int
    count: int


@dataclass(frozen=True, slots=True)
class Mapping:
    """The id mappings of a user namespace."""

    uids: tuple[Ids, ...]
    gids: tuple[Ids, ...]
    helper: bool = False  # Whether newuidmap and newgidmap must write them.

    @property
    def count(self) -> int:
        """All ids below this are mapped."""
        return min(_reach(self.uids), _reach(self.gids))

    def give(self, pid: int) -> None:
        """Writes the maps of a process; raises SandboxError."""
        try:
            if not self.helper and len(self.gids) == 1 == self.gids[0].count:
                Path(f"/proc/{pid}/setgroups").write_text("deny", "ascii")
            for name, ids in (("gid", self.gids), ("uid", self.uids)):
                numbers = [(str(i.inside), str(i.outside), str(i.count)) for i in ids]
                if self.helper:
                    flat = [number for line in numbers for number in line]
                    subprocess.run(  # noqa: S603 - no shell
                        [f"new{name}map", str(pid), *flat],
                        check=True,
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.PIPE,
                    )
                else:
                    text = "\n".join(map(" ".join, numbers))
                    Path(f"/proc/{pid}/{name}_map").write_text(text, "ascii")
        except subprocess.CalledProcessError as error:
            why = error.stderr.decode(errors="replace").strip().splitlines() or ["it failed"]
            raise SandboxError(f"{error.cmd[0]} failed: {why[-1]}.") from None
        except OSError as error:
            why = error.strerror or str(error)
            raise SandboxError(
                f"Ids could not be mapped into the user namespace ({why})."
            ) from None


def _reach(ids: Sequence[Ids]) -> int:
    reach = 0
    for each in sorted(ids, key=lambda each: each.inside):
        if each.inside > reach:
            break
        reach = max(reach, each.inside + each.count)
    return reach


def one_id() -> Mapping:
    return Mapping((Ids(0, os.geteuid(), 1),), (Ids(0, os.getegid(), 1),))


def same_ids() -> Mapping:
    """Returns all ids of the current namespace, for root."""

    def ids(name: str) -> tuple[Ids, ...]:
        lines = Path(f"/proc/self/{name}_map").read_text("ascii").splitlines()
        fields = [list(map(int, line.split())) for line in lines]
        return tuple(Ids(inside, inside, count) for inside, _, count in fields)

    return Mapping(ids("uid"), ids("gid"))


def subordinate_ids() -> Mapping | None:
    """Returns this user's own and subordinate ids (subuid(5)); None without subordinate ids."""
    names = {str(os.geteuid())}
    with contextlib.suppress(OSError, KeyError):
        names.add(getpass.getuser())
    found: list[tuple[Ids, ...]] = []
    for file, own in (("/etc/subuid", os.geteuid()), ("/etc/subgid", os.getegid())):
        try:
            lines = Path(file).read_text("utf-8", "surrogateescape").splitlines()
        except OSError:
            return None
        ids, inside = [Ids(0, own, 1)], 1
        for line in lines:
            name, _, numbers = line.strip().partition(":")
            start, _, count = numbers.partition(":")
            if name in names and start.isdecimal() and count.isdecimal() and int(count):
                ids.append(Ids(inside, int(start), int(count)))
                inside += int(count)
        if len(ids) == 1:
            return None
        found.append(tuple(ids))
    uids, gids = found
    return Mapping(uids, gids, helper=True)


def perform(
    task: Task,
    ids: Mapping | None,
    *,
    streams: tuple[int, int, int] | None = None,
    seconds: float | None = None,
    progress: Progress | None = None,
) -> Result:
    """Runs a worker until it has done its task.

    Args:
        task: The task.
        ids: The mappings of its user namespace; None without one.
        streams: Descriptors of stdin, stdout and stderr of the command; by default, nothing.
        seconds: The time limit of the command.
        progress: Stops the command when it is cancelled.

    Raises SandboxError if nothing could be run, and Cancelled. In all cases, the worker and all its
    children have ended.
    """
    own, other = socket.socketpair()
    arguments, env = python_module("layerscope.sandbox.worker", str(other.fileno()))
    with own, other, opened(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)) as null:
        stdin, stdout, stderr = streams or (null, null, null)
        process = subprocess.Popen(  # noqa: S603 - no shell
            arguments,
            env={**env, "OPENBLAS_NUM_THREADS": "1"},
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=[other.fileno(), *(fd for fd in (task.save, task.lock) if fd >= 0)],
            # Ctrl+C is for this process, which stops the worker.
            start_new_session=True,
        )
        other.close()
        talk = _Talk(own, process, ids, (stdin, stdout), seconds, progress)
        try:
            result = talk.result(task)
        finally:
            talk.end()
    if result.error:
        raise SandboxError(result.error, no_command=result.no_command)
    return result


class _Talk:
    """The communication between this process and a worker."""

    def __init__(
        self,
        channel: socket.socket,
        process: subprocess.Popen[bytes],
        ids: Mapping | None,
        streams: tuple[int, int],
        seconds: float | None,
        progress: Progress | None,
    ) -> None:
        self._channel = channel
        self._process = process
        self._ids = ids
        self._streams = streams
        self._seconds = seconds
        self._progress = progress
        self._said = b""
        self._descriptors: list[int] = []
        self._relay: Relay | None = None

    def result(self, task: Task) -> Result:
        try:
            self._channel.sendall(msgspec.json.encode(task) + b"\n")
        except OSError:
            raise self._died() from None
        with raw_terminal(self._streams[0]) if task.terminal else contextlib.nullcontext():
            until = None if self._seconds is None else time.monotonic() + self._seconds
            while True:
                for line in self._lines():
                    result = msgspec.json.decode(line, type=Result)
                    if result.wants_ids:
                        assert self._ids is not None  # noqa: S101 - it has a user namespace
                        self._ids.give(self._process.pid)
                        self._channel.sendall(b"done\n")
                    elif result.terminal:
                        self._relay = Relay(self._descriptors.pop(), *self._streams)
                    else:
                        return result
                if self._progress is not None and self._progress.cancelled:
                    raise Cancelled
                if until is not None and time.monotonic() > until:
                    raise SandboxError(
                        f"The command took longer than {self._seconds:g} s and was stopped."
                    )

    def _lines(self) -> list[bytes]:
        """Waits briefly; returns new lines from the worker."""
        watched = [self._channel.fileno(), *(self._relay.watched if self._relay else ())]
        ready, _, _ = select.select(watched, [], [], _PERIOD)
        for each in ready:
            if each != self._channel.fileno() and self._relay is not None:
                self._relay.copy(each)
        if self._channel.fileno() not in ready:
            return []
        data, descriptors, _, _ = socket.recv_fds(self._channel, _PIECE, 4)
        self._descriptors += descriptors
        if not data:
            raise self._died()
        *lines, self._said = (self._said + data).split(b"\n")
        return lines

    def _died(self) -> SandboxError:
        return SandboxError("The process of the sandbox ended without an error message.")

    def end(self) -> None:
        """Stops the command if it is still running, and waits for the cleanup."""
        if self._relay is not None:
            self._relay.finish()
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_WR)
        try:
            self._process.wait(_PATIENCE)
        except BaseException as error:
            self._process.kill()
            self._process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise SandboxError("The sandbox did not end, and was killed.") from None
            raise
