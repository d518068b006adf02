"""Queries many engines in parallel."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from layerscope.engines.docker import DockerEngine, connect_any
from layerscope.engines.engine import Engine
from layerscope.engines.folders import FolderEngine
from layerscope.engines.known import KnownEngine
from layerscope.errors import EngineError, LayerscopeError, failures_ignored
from layerscope.images.stores.data_folder import DataFolder
from layerscope.images.stores.podman import PodmanStore
from layerscope.text import visible

PATIENCE = 10.0  # Seconds for all engines together to answer.

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class EngineState:
    """An engine, and its answers so far."""

    engine: KnownEngine
    version: str = ""  # Its name and version; "" if it has not answered.
    store: str = ""  # How it keeps images, such as `overlay2`.
    images: int | None = None  # Number of images.
    disk: int | None = None  # Bytes of their layers; None if not reported.
    problem: LayerscopeError | None = None  # Why it cannot be used.
    done: bool = False  # Whether this is final.


def asked(
    engines: Sequence[KnownEngine],
    ask: Callable[[KnownEngine], Iterator[Answer]],
    patience: float = PATIENCE,
) -> Iterator[tuple[int, Answer | LayerscopeError | None]]:
    """Queries engines in parallel; yields the index of an engine with each answer.

    After its last answer, yields the engine with None or an error. No engine delays another: one
    that takes too long ends with an error.
    """
    news: queue.SimpleQueue[tuple[int, Answer | LayerscopeError | None]] = queue.SimpleQueue()
    pending = dict(enumerate(engines))

    def listen(at: int, engine: KnownEngine) -> None:
        end: LayerscopeError | None = None
        try:
            for answer in ask(engine):
                news.put((at, answer))
        except LayerscopeError as error:
            end = error
        except Exception:
            end = EngineError(f"{engine.shown} sent an invalid answer.")
        news.put((at, end))

    for at, engine in pending.items():
        name = f"layerscope-probe-{at}"
        threading.Thread(target=listen, args=(at, engine), name=name, daemon=True).start()
    end = time.monotonic() + patience
    while pending:
        try:
            at, answer = news.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            break
        if answer is None or isinstance(answer, LayerscopeError):
            del pending[at]
        yield at, answer
    for at, engine in pending.items():
        yield (
            at,
            EngineError(
                f"The engine at {engine.shown} has not answered within {patience:g} seconds.",
                "Check that it runs and can be reached.",
            ),
        )


def states(engines: Sequence[KnownEngine], patience: float = PATIENCE) -> Iterator[EngineState]:
    """Yields each engine's state whenever it changes, and finally with `done`."""
    found = [EngineState(engine) for engine in engines]
    for at, answer in asked(engines, _answers, patience):
        if isinstance(answer, EngineState):
            found[at] = answer
        else:
            # Keeps earlier answers; only measuring may have failed.
            problem = None if found[at].version else answer
            found[at] = replace(found[at], problem=problem, done=True)
        yield found[at]


def connected(engine: KnownEngine) -> Engine:
    """Connects to an engine; raises LayerscopeError."""
    if engine.problem is not None or engine.address is None:
        raise engine.problem or EngineError(f"{engine.name} has no address.")
    return connect_any(engine.address)


def _answers(engine: KnownEngine) -> Iterator[EngineState]:
    with closing(connected(engine)) as opened:
        folder = isinstance(opened, FolderEngine)
        version = "data folder" if folder else opened.name
        state = EngineState(engine, version, _store(opened))
        state = replace(state, images=len({image.id for image in opened.images()}))
        yield state
        # Slow with many images.
        yield replace(state, disk=_disk(opened))


def _store(engine: Engine) -> str:
    if isinstance(engine, FolderEngine):
        return engine.store
    if not isinstance(engine, DockerEngine):
        return "OCI layout"
    info = engine.info()
    return f"containerd, {visible(info.driver)}" if info.snapshotter else visible(info.driver)


def _disk(engine: Engine) -> int | None:
    size = engine.layers_size()
    if size is None and isinstance(engine, DockerEngine) and engine.is_podman and engine.is_local:
        # Podman's API does not report it, but its storage has it, if readable.
        with failures_ignored():
            info = engine.info()
            with closing(DataFolder(Path(info.folder))) as folder:
                return PodmanStore(folder, info.driver).size()
    return size
