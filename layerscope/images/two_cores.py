"""Reads the layers of an image on two cores.

Most of the time goes into finding headers, in Python, so threads do not help. A second process
takes layers from the same queue, a pipe, as this one. It leaves each changeset in an anonymous
file, whose descriptor it sends through a socket.

Where this process has a single thread, the second one is a fork: it shares all open files and needs
no start-up. Forking is not safe where there are threads, as in the TUI: there it is a new Python,
which is sent the archive's descriptor. It takes a tenth of a second to start, so `prepare` starts
it before the archive is opened, on the core that has nothing else to do.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import stat
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from layerscope.errors import LayerscopeError

if TYPE_CHECKING:
    from layerscope.filesystem.changeset import Changeset
    from layerscope.images.layer_stream import Digests

Read = Callable[[int], "Changeset"]

#: For smaller archives, a second process costs more than it saves.
WORTHWHILE = 64 << 20

#: The numbers of this many layers fit into any pipe.
_MOST = 4096
_TOKEN = struct.Struct("<I")

#: What the new Python runs, with the import path of this one.
_CODE = (
    "import sys; _, parent, *sys.path[:] = sys.argv;"
    "from layerscope.images.two_cores import child; child(int(parent))"
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
        if not _saves_time(sizes, at_least):
            yield from ((layer, read(layer)) for layer in layers)
            return
        forks = threading.active_count() == 1
        if forks:
            # The largest first, so that both processes end at about the same time.
            layers.sort(key=lambda layer: -sizes[layer])
        with _queue(layers) as queue:
            process = None
            try:
                if forks:
                    process = _fork(queue, read)
                elif ranges is not None:
                    process = second if second is not None and second.waiting else _new_python()
                    process.order(ranges, queue)
            except (OSError, NotImplementedError):
                process = None  # This process can read everything.
            yield from _collect(layers, queue, read, process)


def _collect(
    layers: list[int], queue: int, read: Read, process: SecondProcess | None
) -> Iterator[tuple[int, Changeset]]:
    """Reads what is in the queue, and yields that and what the other process reads."""
    missing = set(layers)
    with process or nullcontext():
        while (layer := _take(queue)) is not None:
            yield layer, read(layer)
            missing.discard(layer)
            for other, changeset in process.results(wait=False) if process else ():
                yield other, changeset
                missing.discard(other)
        for other, changeset in process.results(wait=True) if process else ():
            yield other, changeset
            missing.discard(other)
    if missing:
        raise LayerscopeError("A process that read layers was killed.", "Try again.")


def _saves_time(sizes: Mapping[int, int], at_least: int) -> bool:
    return (
        1 < len(sizes) <= _MOST
        and sum(sizes.values()) >= at_least
        and (os.cpu_count() or 1) > 1
        and hasattr(os, "memfd_create")
    )


@contextmanager
def _queue(layers: list[int]) -> Iterator[int]:
    """A pipe that holds the numbers of layers; each is read from it once."""
    queue, source = os.pipe()
    try:
        os.write(source, b"".join(map(_TOKEN.pack, layers)))
        os.close(source)
        yield queue
    finally:
        os.close(queue)


def _take(queue: int) -> int | None:
    token = os.read(queue, _TOKEN.size)
    return int(_TOKEN.unpack(token)[0]) if token else None


class SecondProcess:
    """A process that reads layers; killed when it is closed, if it has not ended by then."""

    def __init__(self, pid: int, end: socket.socket) -> None:
        self._pid = pid
        self._end = end
        self.waiting = True  # Whether it waits for an order.

    def order(self, ranges: Ranges, queue: int) -> None:
        """Tells a new Python what to read; raises OSError if it has ended."""
        import pickle

        self.waiting = False
        what = pickle.dumps((ranges.file, dict(ranges.places)))
        try:
            socket.send_fds(self._end, [what], [ranges.fd, queue])
        except OSError:
            self.close()
            raise

    def results(self, *, wait: bool) -> Iterator[tuple[int, Changeset]]:
        """What it has read by now, or with `wait` until it ends."""
        # Not at the top: the TUI prepares for reading before it paints its first screen.
        import pickle

        self._end.setblocking(wait)
        while True:
            try:
                token, files, _, _ = socket.recv_fds(
                    self._end, _TOKEN.size, 1, socket.MSG_CMSG_CLOEXEC
                )
            except (BlockingIOError, ConnectionResetError):
                return
            if not token:
                return
            with open(files[0], "rb") as file:  # noqa: PTH123
                file.seek(0)
                # Our own child wrote it, into memory that nobody else can reach.
                result = pickle.load(file)  # noqa: S301
            if isinstance(result, LayerscopeError):
                raise result
            yield _TOKEN.unpack(token)[0], result

    def close(self) -> None:
        """Kills it; may be called twice."""
        self.waiting = False
        self._end.close()
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0

    def __enter__(self) -> SecondProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def prepare(source: str) -> SecondProcess | None:
    """Starts a new Python if `source` looks like an archive that is worth it.

    To be called in the main thread: the new Python ends with the thread that started it.
    """
    try:
        status = os.stat(source.removeprefix("docker-archive:"))  # noqa: PTH116
        if stat.S_ISREG(status.st_mode) and _saves_time({0: 0, 1: status.st_size}, WORTHWHILE):
            return _new_python()
    except (OSError, ValueError, NotImplementedError):
        pass  # Opening the source reports what is wrong with it.
    return None


def _fork(queue: int, read: Read) -> SecondProcess:
    end, other = _ends()
    with other:
        pid = os.fork()
        if not pid:
            end.close()
            _serve(other, queue, read)
    return SecondProcess(pid, end)


def _new_python() -> SecondProcess:
    program = sys.executable or ""
    if not os.path.basename(program).startswith("python"):  # noqa: PTH119
        raise FileNotFoundError
    path = [str(Path(__file__).parents[2]), *filter(None, sys.path)]
    end, other = _ends()
    with other:
        pid = os.posix_spawn(
            program,
            # Without the user's settings, and nothing from the current folder.
            [program, "-I", "-S", "-c", _CODE, str(os.getpid()), *path],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, other.fileno(), 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
    return SecondProcess(pid, end)


def _ends() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def child(parent: int) -> None:
    """The new Python's whole life; it ends with the process `parent`, which started it."""
    from layerscope.programs import end_with_parent

    if not end_with_parent(parent):
        return
    # What is read has no cycles, and looking for some takes a tenth of the time.
    gc.disable()
    # Before there is an order: this is what takes long.
    import pickle

    from layerscope.images.layer_stream import read_layer
    from layerscope.oci.byte_source import FileRange

    end = socket.socket(fileno=0)
    order, descriptors, _, _ = socket.recv_fds(end, 1 << 20, 2)
    if not order:
        return
    # From our own parent, through a socket that nobody else has.
    file, places = pickle.loads(order)  # noqa: S301
    fd, queue = descriptors
    whole = FileRange(fd, 0, os.fstat(fd).st_size)

    def read(layer: int) -> Changeset:
        name, start, size, promised = places[layer]
        return read_layer(whole, start, size, file=file, name=name, promised=promised)

    _serve(end, queue, read)


def _serve(end: socket.socket, queue: int, read: Read) -> NoReturn:
    """Reads layers until none is left, and ends without any of the parent's clean-up."""
    import pickle

    try:
        while (layer := _take(queue)) is not None:
            try:
                result: object = read(layer)
            except LayerscopeError as error:
                result = error
            with open(os.memfd_create(f"layer-{layer}"), "wb") as file:  # noqa: PTH123
                pickle.dump(result, file, pickle.HIGHEST_PROTOCOL)
                file.flush()
                socket.send_fds(end, [_TOKEN.pack(layer)], [file.fileno()])
    finally:
        os._exit(0)
