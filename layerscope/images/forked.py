"""Reads layers on two cores at once, where that is safe.

Most of the time goes into finding headers, in Python, so threads do not help. A forked child shares
all that is open, needs no start-up, and takes layers from the same queue, a pipe, as its parent.
What it reads it leaves in anonymous files that were made before the fork.

Forking is safe only in a process with a single thread; the TUI, which has many, starts a process
anew (`spawned`).
"""

from __future__ import annotations

import os
import select
import signal
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from layerscope.errors import LayerscopeError

if TYPE_CHECKING:
    from layerscope.filesystem.changeset import Changeset

#: Below so many bytes a fork costs more than it saves.
WORTHWHILE = 64 << 20

_TOKEN = struct.Struct("<I")

#: A pipe holds 64 KiB at least, and all tokens are in it before anyone reads.
MOST = 4096


def may_fork(layers: int, size: int) -> bool:
    """Whether to read layers with a forked child."""
    return (
        1 < layers <= MOST
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
        pipes = shared(stack, layers)
        child = os.fork()
        if not child:
            serve(pipes.tokens, pipes.finish, pipes.results, read)
        yield from pipes.collect(
            read, lambda: os.kill(child, signal.SIGKILL), lambda: os.waitpid(child, 0)[1]
        )


@dataclass(slots=True)
class Pipes:
    """What two processes share that read layers together.

    Attributes:
        tokens: Layers that are still to be read, for both.
        finished: Layers that the child has read.
        finish: Where the child says so; the parent closes its own.
        results: Anonymous files for what it read, by layer.
    """

    tokens: int
    finished: int
    finish: int
    results: dict[int, int]

    def collect(
        self, read: Callable[[int], Changeset], kill: Callable[[], object], wait: Callable[[], int]
    ) -> Iterator[tuple[int, Changeset]]:
        """Reads what is left, and yields that and what the child reads.

        Args:
            read: Reads a layer in this process.
            kill: Ends the child.
            wait: Waits for its end; gives its status, 0 if all went well.
        """
        os.close(self.finish)
        missing = set(self.results)
        try:
            while (layer := _take(self.tokens)) is not None:
                yield layer, read(layer)
                missing.discard(layer)
                while self._child_has_more() and (layer := _take(self.finished)) is not None:
                    yield layer, _result(self.results[layer])
                    missing.discard(layer)
            while (layer := _take(self.finished)) is not None:
                yield layer, _result(self.results[layer])
                missing.discard(layer)
        except BaseException:
            kill()
            raise
        finally:
            status = wait()
        if status and missing:
            raise LayerscopeError("A process that read layers was stopped.", "Try again.")

    def _child_has_more(self) -> bool:
        """Whether the child has read a layer that nobody has taken, or has ended."""
        return bool(select.select([self.finished], [], [], 0)[0])


def shared(stack: ExitStack, layers: Sequence[int]) -> Pipes:
    """Makes what is needed to read layers in two processes; let go of with the stack."""
    results = {layer: stack.enter_context(_memory(layer)) for layer in layers}
    tokens = _queue(stack, layers)
    finished, finish = os.pipe()
    stack.callback(os.close, finished)
    return Pipes(tokens, finished, finish, results)


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


def serve(
    tokens: int, finish: int, results: dict[int, int], read: Callable[[int], Changeset]
) -> NoReturn:
    """Reads layers until there are none left, and ends without any of the parent's clean-up."""
    import pickle

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
    # Not at the top: whoever only prepares for reading paints a screen first.
    import pickle

    from layerscope.filesystem.changeset import Changeset

    with os.fdopen(os.dup(fd), "rb") as file:
        file.seek(0)
        # Our own child wrote it, into memory that nobody else can reach.
        result = pickle.load(file)  # noqa: S301
    if isinstance(result, LayerscopeError):
        raise result
    assert isinstance(result, Changeset)  # noqa: S101
    return result
