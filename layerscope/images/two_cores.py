"""Reads the layers of an image on two cores.

Finding headers takes most of the time, in Python code, so threads do not help. Each layer is read
by the process that locks it first: a byte of an anonymous file represents it, and the kernel
releases the locks of a process that dies. The second process writes each changeset to another
anonymous file, and sends its descriptor through a socket.

If this process has a single thread, the second one is a fork, which shares all open files and
starts at once. Forking is not safe with several threads, as in the TUI, which starts a new Python
instead and sends it the archive's descriptor.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from layerscope.errors import LayerscopeError, closed_on_error

if TYPE_CHECKING:
    from layerscope.filesystem.changeset import Changeset
    from layerscope.images.layer_stream import Digests

Read = Callable[[int], "Changeset"]

#: For smaller archives, a second process costs more than it saves.
WORTHWHILE = 512 << 20

#: A layer's number, as sent between the processes.
_LAYER = struct.Struct("<I")

#: The code that the new Python runs, with this one's import path.
_CODE = (
    "import sys; _, parent, *sys.path[:] = sys.argv;"
    "from layerscope.images.archives.second_process import child; child(int(parent))"
)


@dataclass(frozen=True, slots=True)
class Ranges:
    """Layers that are ranges of an open file: all that a new Python needs to read them."""

    fd: int
    file: str
    #: Name, start, size and expected digests of each layer, by number.
    places: Mapping[int, tuple[str, int, int, Digests]]


def read_layers(
    sizes: Mapping[int, int],
    read: Read,
    *,
    at_least: int,
    ranges: Ranges | None = None,
) -> Iterator[tuple[int, Changeset]]:
    """Reads layers, some of them in a second process if that is possible and saves time.

    `read` reads one layer, in this process or in its fork. A second process saves time if the
    sizes add up to `at_least`. `ranges` are the same layers for a new Python; None if only a fork
    can read them.

    Yields numbers and changesets as they become available. Raises what `read` raised, in either
    process.
    """
    layers = list(sizes)
    process = None
    if _saves_time(sizes, at_least):
        with suppress(OSError, NotImplementedError):  # This process can read all layers alone.
            if threading.active_count() == 1:
                # The largest first, so that both processes end at about the same time.
                layers.sort(key=lambda layer: -sizes[layer])
                process = _fork(layers, read)
            elif ranges is not None:
                process = _new_python(ranges)
    if process is None:
        yield from ((layer, read(layer)) for layer in layers)
        return
    with closing(process):
        yield from _collect(layers, read, process)


def _collect(
    missing: list[int], read: Read, process: SecondProcess
) -> Iterator[tuple[int, Changeset]]:
    """Reads the layers that the other process does not read, and yields all."""

    def arrived(*, wait: bool) -> Iterator[tuple[int, Changeset]]:
        for layer, result in process.results(wait=wait):
            # Skip it if this process locked it after the other one had sent it and ended.
            if layer in missing:
                if isinstance(result, LayerscopeError):
                    raise result
                missing.remove(layer)
                yield layer, result

    while missing:
        for layer in list(missing):
            yield from arrived(wait=False)
            if layer in missing and _lock(process.locks, layer):
                missing.remove(layer)
                yield layer, read(layer)
        # Until the other process has read the rest, or has died: then the rest can be locked.
        yield from arrived(wait=True)
        process.end()


def _lock(locks: int, layer: int) -> bool:
    """Reserves a layer for this process."""
    try:
        fcntl.lockf(locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, layer)
    except OSError:
        return False
    return True


def _saves_time(sizes: Mapping[int, int], at_least: int) -> bool:
    return (
        len(sizes) > 1
        and sum(sizes.values()) >= at_least
        and (os.cpu_count() or 1) > 1
        and hasattr(os, "memfd_create")
    )


class SecondProcess:
    """A process that reads layers; closing it kills it if it is still running."""

    def __init__(self, pid: int, end: socket.socket, locks: int) -> None:
        """Takes ownership of the descriptors."""
        self._pid = pid
        self._end = end
        self.locks = locks

    def results(self, *, wait: bool) -> Iterator[tuple[int, Changeset | LayerscopeError]]:
        """The layers that it has read so far, or with `wait` until it ends, by number."""
        if not self._pid:
            return
        self._end.setblocking(wait)
        while True:
            try:
                sent, files, _, _ = socket.recv_fds(
                    self._end, _LAYER.size, 1, socket.MSG_CMSG_CLOEXEC
                )
            except (BlockingIOError, ConnectionResetError):
                return
            if not sent:
                return
            with open(files[0], "rb") as file:  # noqa: PTH123
                file.seek(0)
                # Our own child wrote it, to memory that no other process can reach.
                yield _LAYER.unpack(sent)[0], pickle.load(file)  # noqa: S301

    def end(self) -> None:
        """Kills it if it is still running, and waits until its layers are unlocked."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0

    def close(self) -> None:
        self._end.close()
        self.end()
        os.close(self.locks)


def _fork(layers: list[int], read: Read) -> SecondProcess:
    end, other = _ends()
    locks = os.memfd_create("locks")
    with other:
        pid = os.fork()
        if not pid:
            end.close()
            serve(other, locks, ((layer, partial(read, layer)) for layer in layers))
    return SecondProcess(pid, end, locks)


def _new_python(ranges: Ranges) -> SecondProcess:
    program = sys.executable or ""
    if not os.path.basename(program).startswith("python"):  # noqa: PTH119
        raise FileNotFoundError
    paths = [str(Path(__file__).parents[2]), *filter(None, sys.path)]
    end, other = _ends()
    locks = os.memfd_create("locks")
    with other:
        pid = os.posix_spawn(
            program,
            # Without the user's settings, and without imports from the current folder.
            [program, "-I", "-S", "-c", _CODE, str(os.getpid()), *paths],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, other.fileno(), 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
    process = SecondProcess(pid, end, locks)
    with closed_on_error(process.close):
        what = pickle.dumps((ranges.file, dict(ranges.places)))
        socket.send_fds(end, [what], [locks, ranges.fd])
    return process


def _ends() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def serve(
    end: socket.socket, locks: int, reads: Iterable[tuple[int, Callable[[], Changeset]]]
) -> NoReturn:
    """Reads layers until none is left, and exits without the parent's clean-up."""
    try:
        for layer, read in reads:
            if not _lock(locks, layer):
                continue
            try:
                result: object = read()
            except LayerscopeError as error:
                result = error
            with open(os.memfd_create("layer"), "wb") as file:  # noqa: PTH123
                pickle.dump(result, file, pickle.HIGHEST_PROTOCOL)
                file.flush()
                socket.send_fds(end, [_LAYER.pack(layer)], [file.fileno()])
    finally:
        os._exit(0)
