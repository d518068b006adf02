"""Reads layers on two cores at once where `forked` cannot: in a process that has threads.

A new Python takes layers of the archive from the same queue as its parent, and leaves what it reads
in anonymous files. It takes a tenth of a second to start, so whoever knows that an archive is about
to be opened has it started before (`prepare`): on the core that has nothing else to do.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerscope.errors import LayerscopeError
from layerscope.images.forked import WORTHWHILE, serve, shared

if TYPE_CHECKING:
    from layerscope.filesystem.changeset import Changeset

#: What the new Python runs: nothing but what this one has, from nowhere else.
_CODE = (
    "import sys, json; start = json.loads(sys.argv[1]); sys.path[:] = start['path'];"
    "from layerscope.images.spawned import child; child(start['parent'])"
)

_PR_SET_PDEATHSIG = 1

#: So many layers at most: Linux hands over 253 descriptors at once.
_MOST = 250


class _Second:
    """A second Python, which waits for an order."""

    def __init__(self) -> None:
        """Starts it.

        Raises:
            OSError: That is not possible.
        """
        start = {
            "path": [str(Path(__file__).parents[2]), *filter(None, sys.path)],
            "parent": os.getpid(),
        }
        self._process: subprocess.Popen[bytes]
        self._end, other = socket.socketpair()
        try:
            with other:
                self._process = subprocess.Popen(  # noqa: S603 - it is this very program
                    # Not the user's settings, nor what lies in the folder that the user is in.
                    [sys.executable, "-I", "-S", "-c", _CODE, json.dumps(start)],
                    stdin=other.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
        except BaseException:
            self._end.close()
            raise

    def order(self, what: Mapping[str, Any], descriptors: Sequence[int]) -> None:
        """Tells it what to do.

        Raises:
            OSError: It is gone; it has been waited for.
        """
        try:
            with self._end as end:
                socket.send_fds(end, [b"\0"], descriptors)
                end.sendall(json.dumps(what).encode())
        except OSError:
            self.kill()
            self.wait()
            raise

    def kill(self) -> None:
        """Ends it."""
        self._process.kill()

    def wait(self) -> int:
        """Waits until it has ended, and returns its status."""
        return self._process.wait()

    def dismiss(self) -> None:
        """Ends it, there being nothing to do."""
        self._end.close()
        self.kill()
        self.wait()


class _Spare:
    """The second Python that was started before it was needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._second: _Second | None = None

    def put(self, second: _Second | None) -> _Second | None:
        """Keeps one, or none; returns the one before."""
        with self._lock:
            before, self._second = self._second, second
        return before


_spare = _Spare()


def prepare(source: str) -> None:
    """Starts a second Python, if what the user named looks like an archive that needs it.

    To be called in the main thread, with whose end the second Python ends; then, in any, `dismiss`.

    Args:
        source: What the user named.
    """
    try:
        status = os.stat(source.removeprefix("docker-archive:"))  # noqa: PTH116
        if stat.S_ISREG(status.st_mode) and may_spawn(2, status.st_size):
            second = _spare.put(_Second())
            if second is not None:
                second.dismiss()
    except (OSError, ValueError):
        # Whatever is wrong is told by who opens it.
        return


def dismiss() -> None:
    """Ends what was prepared and never needed."""
    second = _spare.put(None)
    if second is not None:
        second.dismiss()


def may_spawn(layers: int, size: int) -> bool:
    """Whether to read layers with a second Python."""
    return (
        1 < layers <= _MOST
        and size >= WORTHWHILE
        and (os.cpu_count() or 1) > 1
        and hasattr(os, "memfd_create")
        and os.path.basename(sys.executable or "").startswith("python")  # noqa: PTH119
    )


def read_spawned(
    places: Mapping[int, tuple[str, int, int]],
    archive: tuple[int, str],
    read: Callable[[int], Changeset],
) -> Iterator[tuple[int, Changeset]]:
    """Reads layers that are ranges of an open archive, some of them in a new process.

    Args:
        places: Name, start and size of each layer, by number.
        archive: The archive's descriptor, and what it is called, for errors.
        read: Reads one in this process.

    Yields:
        Numbers and changesets, in the order in which they are there.

    Raises:
        LayerscopeError: What reading raised, in either process.
    """
    with ExitStack() as stack:
        pipes = shared(stack, list(places))
        fd, file = archive
        order = {"file": file, "places": list(places.items()), "layers": list(pipes.results)}
        try:
            second = _spare.put(None) or _Second()
            second.order(order, [fd, pipes.tokens, pipes.finish, *pipes.results.values()])
        except OSError:
            # Then this process does it alone.
            yield from pipes.collect(read, lambda: None, lambda: 0)
        else:
            yield from pipes.collect(read, second.kill, second.wait)


def child(parent: int) -> None:
    """Reads layers until there are none left; the new process's whole life.

    Args:
        parent: The process that started it, with which it ends.
    """
    _die_with_parent(parent)
    # What is read has no cycles, and looking for some takes a tenth of the time.
    gc.disable()
    # Before there is an order: this is what takes long.
    from layerscope.images.layer_bytes import read_layer
    from layerscope.oci.byte_source import FileRange

    with socket.socket(fileno=0) as end:
        told, descriptors, _, _ = socket.recv_fds(end, 1, _MOST + 3)
        if not told:
            return
        with end.makefile("rb") as rest:
            order: dict[str, Any] = json.load(rest)
    fd, tokens, finish, *results = descriptors
    places: dict[int, Sequence[Any]] = dict(order["places"])
    whole = FileRange(fd, 0, os.fstat(fd).st_size)

    def read(layer: int) -> Changeset:
        name, start, size = places[layer]
        return read_layer(whole, start, size, file=order["file"], name=name)

    serve(tokens, finish, dict(zip(order["layers"], results, strict=True)), read)


def _die_with_parent(parent: int) -> None:
    """Ends this process when the thread ends that started it, however it does."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise LayerscopeError("The parent is gone.")
