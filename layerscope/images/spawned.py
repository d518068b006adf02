"""Reads layers on two cores at once where `forked` cannot: in a process that has threads.

A new Python takes layers of the archive from the same queue as its parent, and leaves what it reads
in anonymous files. It starts in a tenth of a second, on the core that would have nothing to do.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from layerscope.errors import LayerscopeError
from layerscope.filesystem.changeset import Changeset
from layerscope.images.forked import MOST, WORTHWHILE, serve, shared

#: What the new Python runs: nothing but what this one has, from nowhere else.
_CODE = (
    "import sys, json; order = json.load(sys.stdin); sys.path[:] = order['path'];"
    "from layerscope.images.spawned import child; child(order)"
)

_PR_SET_PDEATHSIG = 1


def may_spawn(layers: int, size: int) -> bool:
    """Whether to read layers with a second Python."""
    return (
        1 < layers <= MOST
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
        order = {
            "path": [str(Path(__file__).parents[2]), *filter(None, sys.path)],
            "parent": os.getpid(),
            "archive": fd,
            "file": file,
            "places": list(places.items()),
            "tokens": pipes.tokens,
            "finish": pipes.finish,
            "results": list(pipes.results.items()),
        }
        stdin = stack.enter_context(os.fdopen(os.memfd_create("order"), "w+b"))
        stdin.write(json.dumps(order).encode())
        stdin.seek(0)
        try:
            process = subprocess.Popen(  # noqa: S603 - it is this very program
                # Not the user's settings, nor what lies in the folder that the user is in.
                [sys.executable, "-I", "-S", "-c", _CODE],
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[fd, pipes.tokens, pipes.finish, *pipes.results.values()],
                start_new_session=True,
            )
        except OSError:
            # Then this process does it alone.
            yield from pipes.collect(read, lambda: None, lambda: 0)
        else:
            yield from pipes.collect(read, process.kill, process.wait)


def child(order: dict[str, Any]) -> None:
    """Reads layers until there are none left; the new process's whole life."""
    _die_with_parent(order["parent"])
    from layerscope.images.layer_bytes import read_layer
    from layerscope.oci.byte_source import FileRange

    places: dict[int, Sequence[Any]] = dict(order["places"])
    whole = FileRange(order["archive"], 0, os.fstat(order["archive"]).st_size)

    def read(layer: int) -> Changeset:
        name, start, size = places[layer]
        return read_layer(whole, start, size, file=order["file"], name=name)

    serve(order["tokens"], order["finish"], dict(order["results"]), read)


def _die_with_parent(parent: int) -> None:
    """Ends this process when the thread ends that started it, however it does."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise LayerscopeError("The parent is gone.")
