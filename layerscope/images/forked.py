"""Reads layers on two cores at once, where that is safe.

Most of the time goes into finding headers, in Python, so threads do not help. A forked child shares
all that is open, needs no start-up, and takes layers from the same queue, a pipe, as its parent.
What it reads it leaves in anonymous files that were made before the fork.

Forking is safe only in a process with a single thread, so the TUI, which has many, never does.
"""

from __future__ import annotations

import os
import pickle
import signal
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

from layerscope.errors import LayerscopeError
from layerscope.filesystem.changeset import Changeset

#: Below so many bytes a fork costs more than it saves.
WORTHWHILE = 64 << 20

_TOKEN = struct.Struct("<I")

#: A pipe holds 64 KiB at least, and all tokens are in it before anyone reads.
_MOST = 4096


def may_fork(layers: int, size: int) -> bool:
    """Whether to read layers with a forked child."""
    return (
        1 < layers <= _MOST
        and size >= WORTHWHILE
        and (os.cpu_count() or 1) > 1
        and threading.active_count() == 1
        and hasattr(os, "memfd_create")
    )


def read_forked(
    layers: Sequence[int], read: Callable[[int], Changeset]
) -> Iterator[tuple[int, Changeset]]:
    """Reads layers, half of them in a child.

    Args:
        layers: Numbers of layers.
        read: Reads one; called in either process, once for each layer.

    Yields:
        Numbers and changesets, in the order in which they are there.

    Raises:
        LayerscopeError: What `read` raised, in either process.
    """
    with ExitStack() as stack:
        results = {layer: stack.enter_context(_memory(layer)) for layer in layers}
        tokens = _queue(stack, layers)
        finished, finish = os.pipe()
        stack.callback(os.close, finished)
        child = os.fork()
        if not child:
            _child(tokens, finish, results, read)
        os.close(finish)
        try:
            while (layer := _take(tokens)) is not None:
                yield layer, read(layer)
            while (layer := _take(finished)) is not None:
                yield layer, _result(results[layer])
        except BaseException:
            os.kill(child, signal.SIGKILL)
            raise
        finally:
            _, status = os.waitpid(child, 0)
        if status:
            raise LayerscopeError("A process that read layers was stopped.", "Try again.")


def _memory(layer: int) -> _Memory:
    return _Memory(os.memfd_create(f"layer-{layer}", os.MFD_CLOEXEC))


class _Memory:
    """An anonymous file that parent and child share."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __enter__(self) -> int:
        return self.fd

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


def _queue(stack: ExitStack, layers: Sequence[int]) -> int:
    """A pipe with a token for each layer; what is read from it is read once."""
    tokens, source = os.pipe()
    stack.callback(os.close, tokens)
    for layer in layers:
        os.write(source, _TOKEN.pack(layer))
    os.close(source)
    return tokens


def _take(pipe: int) -> int | None:
    data = os.read(pipe, _TOKEN.size)
    return int(_TOKEN.unpack(data)[0]) if data else None


def _child(
    tokens: int, finish: int, results: dict[int, int], read: Callable[[int], Changeset]
) -> None:
    """Reads layers until there are none left, and ends without any of the parent's clean-up."""
    code = 1
    try:
        while (layer := _take(tokens)) is not None:
            try:
                result: object = read(layer)
            except LayerscopeError as error:
                result = error
            with os.fdopen(os.dup(results[layer]), "wb") as file:
                pickle.dump(result, file, pickle.HIGHEST_PROTOCOL)
            os.write(finish, _TOKEN.pack(layer))
        code = 0
    finally:
        os._exit(code)


def _result(fd: int) -> Changeset:
    with os.fdopen(os.dup(fd), "rb") as file:
        file.seek(0)
        # Our own child wrote it, into memory that nobody else can reach.
        result = pickle.load(file)  # noqa: S301
    if isinstance(result, LayerscopeError):
        raise result
    assert isinstance(result, Changeset)  # noqa: S101
    return result
