"""Reads the layers of an image on two cores.

Most of the time goes into finding headers, in Python, so threads do not help. Each layer is read by
the process that locks it first: a byte of an anonymous file stands for it, and the kernel unlocks
what a process had that died. The second process leaves each changeset in an anonymous file, too,
whose descriptor it sends through a socket.

Where this process has a single thread, the second one is a fork: it shares all open files and needs
no start-up. Forking is not safe where there are threads, as in the TUI: there it is a new Python,
which is sent the archive's descriptor. `prepare` starts it before there is anything else to do for
the second core: it reads ahead what is not in the cache, while this process paints its first
screen.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from layerscope.bounded import open_regular
from layerscope.errors import LayerscopeError, closed_on_error

if TYPE_CHECKING:
    from layerscope.filesystem.changeset import Changeset
    from layerscope.images.layer_stream import Digests

Read = Callable[[int], "Changeset"]

#: For smaller archives, a second process costs more than it saves.
WORTHWHILE = 64 << 20

#: Names a layer between the processes: where it begins in the archive, or its number.
_KEY = struct.Struct("<Q")

#: What the new Python runs, with the import path of this one.
_CODE = (
    "import sys; _, parent, *sys.path[:] = sys.argv;"
    "from layerscope.images.archives.second_process import child; child(int(parent))"
)


@dataclass(frozen=True, slots=True)
class Ranges:
    """Layers that are ranges of an open file: all that a new Python needs to read them."""

    fd: int
    file: str
    #: Name, start and size of each layer, and what its digests must be, by number.
    places: Mapping[int, tuple[str, int, int, Digests]]


def read_layers(
    sizes: Mapping[int, int],
    read: Read,
    *,
    at_least: int,
    ranges: Ranges | None = None,
    second: SecondProcess | None = None,
) -> Iterator[tuple[int, Changeset]]:
    """Reads layers, some of them in a second process where that is possible and saves time.

    `read` reads one, in this process or in a fork of it. A second process saves time if the sizes
    add up to `at_least`. `ranges` are the same layers for a new Python; None if only a fork can
    read them. `second` is a new Python that was started ahead; it is closed in the end.

    Yields numbers and changesets, as they become available. Raises what `read` raised, in either
    process.
    """
    layers = list(sizes)
    with second or nullcontext():
        keys = {layer: layer for layer in layers}
        process = None
        saves = _saves_time(sizes, at_least)
        try:
            if saves and threading.active_count() == 1:
                # The largest first, so that both processes end at about the same time.
                layers.sort(key=lambda layer: -sizes[layer])
                process = _fork(layers, read)
            elif saves and ranges is not None:
                keys = {layer: start for layer, (_, start, _, _) in ranges.places.items()}
                process = second if second is not None and second.waiting else _new_python()
                process.order(ranges)
        except (OSError, NotImplementedError):
            process = None  # This process can read everything.
        if process is None:
            yield from ((layer, read(layer)) for layer in layers)
            return
        with process:
            yield from _collect({keys[layer]: layer for layer in layers}, read, process)


def _collect(
    missing: dict[int, int], read: Read, process: SecondProcess
) -> Iterator[tuple[int, Changeset]]:
    """Reads layers, by key, that the other process does not, and yields all."""

    def arrived(*, wait: bool) -> Iterator[tuple[int, Changeset]]:
        for key, result in process.results(wait=wait):
            # What was read ahead may be of another image.
            if key in missing:
                if isinstance(result, LayerscopeError):
                    raise result
                yield missing.pop(key), result

    while missing:
        for key in list(missing):
            yield from arrived(wait=False)
            if key in missing and _lock(process.locks, key):
                layer = missing.pop(key)
                yield layer, read(layer)
        # Until it has read the rest, or has died: then that can be locked.
        yield from arrived(wait=True)
        process.end()


def _lock(locks: int, key: int) -> bool:
    """Reserves a layer for this process."""
    try:
        fcntl.lockf(locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, key)
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
    """A process that reads layers; killed when it is closed, if it has not ended by then."""

    def __init__(self, pid: int, end: socket.socket, locks: int, ahead: int = -1) -> None:
        """Takes over the descriptors, and that of the archive that it reads ahead."""
        self._pid = pid
        self._end = end
        self.locks = locks
        self._ahead = ahead
        self.waiting = True  # Whether it waits for an order.

    def order(self, ranges: Ranges) -> None:
        """Tells a new Python what to read.

        Raises OSError if it has ended, or another file is at the path of what it has read ahead.
        """
        import pickle

        self.waiting = False
        what = pickle.dumps((ranges.file, dict(ranges.places)))
        try:
            if self._ahead >= 0 and not os.path.sameopenfile(self._ahead, ranges.fd):
                raise FileNotFoundError
            socket.send_fds(self._end, [what], [ranges.fd])
        except OSError:
            self.close()
            raise

    def results(self, *, wait: bool) -> Iterator[tuple[int, Changeset | LayerscopeError]]:
        """What it has read by now, or with `wait` until it ends, by key."""
        # Not at the top: the TUI prepares for reading before it paints its first screen.
        import pickle

        if not self._pid:
            return
        self._end.setblocking(wait)
        while True:
            try:
                key, files, _, _ = socket.recv_fds(self._end, _KEY.size, 1, socket.MSG_CMSG_CLOEXEC)
            except (BlockingIOError, ConnectionResetError):
                return
            if not key:
                return
            with open(files[0], "rb") as file:  # noqa: PTH123
                file.seek(0)
                # Our own child wrote it, into memory that nobody else can reach.
                yield _KEY.unpack(key)[0], pickle.load(file)  # noqa: S301

    def end(self) -> None:
        """Kills it, if it has not ended, and waits until its layers are unlocked."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0

    def close(self) -> None:
        """Ends it for good; may be called twice."""
        self.waiting = False
        self._end.close()
        self.end()
        for fd in (self.locks, self._ahead):
            if fd >= 0:
                os.close(fd)
        self.locks = self._ahead = -1

    def __enter__(self) -> SecondProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def prepare(source: str) -> SecondProcess | None:
    """Starts a new Python if `source` looks like an archive that is worth it, and lets it begin.

    To be called in the main thread: the new Python ends with the thread that started it.
    """
    path = source.removeprefix("docker-archive:")
    try:
        fd = open_regular(path)
        try:
            if _saves_time({0: 0, 1: os.fstat(fd).st_size}, WORTHWHILE):
                return _new_python(path, os.dup(fd))
        finally:
            os.close(fd)
    except (OSError, NotImplementedError):
        pass  # Opening the source reports what is wrong with it.
    return None


def _fork(layers: list[int], read: Read) -> SecondProcess:
    end, other = _ends()
    locks = os.memfd_create("locks")
    with other:
        pid = os.fork()
        if not pid:
            end.close()
            serve(other, locks, ((layer, partial(read, layer)) for layer in layers))
    return SecondProcess(pid, end, locks)


def _new_python(path: str = "", ahead: int = -1) -> SecondProcess:
    """Starts a new Python; it begins with the archive at `path`, open as `ahead`, if any."""
    program = sys.executable or ""
    if not os.path.basename(program).startswith("python"):  # noqa: PTH119
        raise FileNotFoundError
    paths = [str(Path(__file__).parents[2]), *filter(None, sys.path)]
    end, other = _ends()
    locks = os.memfd_create("locks")
    with other:
        pid = os.posix_spawn(
            program,
            # Without the user's settings, and nothing from the current folder.
            [program, "-I", "-S", "-c", _CODE, str(os.getpid()), *paths],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, other.fileno(), 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
    process = SecondProcess(pid, end, locks, ahead)
    with closed_on_error(process.close):
        socket.send_fds(end, [os.fsencode(path) or b"-"], [locks, *([ahead] if path else ())])
    return process


def _ends() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def serve(
    end: socket.socket, locks: int, reads: Iterable[tuple[int, Callable[[], Changeset]]]
) -> NoReturn:
    """Reads layers, by key, until none is left, and ends without any of the parent's clean-up."""
    import pickle

    try:
        for key, read in reads:
            if not _lock(locks, key):
                continue
            try:
                result: object = read()
            except LayerscopeError as error:
                result = error
            with open(os.memfd_create("layer"), "wb") as file:  # noqa: PTH123
                pickle.dump(result, file, pickle.HIGHEST_PROTOCOL)
                file.flush()
                socket.send_fds(end, [_KEY.pack(key)], [file.fileno()])
    finally:
        os._exit(0)
