"""Asks many engines side by side what they are and what they have."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from layerscope.engines.docker import DockerEngine, connect_any
from layerscope.engines.engine import Engine
from layerscope.engines.folders import FolderEngine
from layerscope.engines.known import KnownEngine
from layerscope.engines.local_store import is_local
from layerscope.errors import EngineError, LayerscopeError, failures_ignored
from layerscope.images.stores.data_folder import DataFolder
from layerscope.images.stores.podman import PodmanStore
from layerscope.text import visible

PATIENCE = 10.0  # Seconds that all engines together have to answer.


@dataclass(frozen=True, slots=True)
class EngineState:
    """An engine, as far as it has answered."""

    engine: KnownEngine
    version: str = ""  # What it is, with its version; empty if it has not answered.
    store: str = ""  # How it keeps images, such as `overlay2`.
    images: int | None = None  # How many images it has.
    disk: int | None = None  # Bytes that their layers take; None if it does not say.
    problem: LayerscopeError | None = None  # Why it cannot be used.
    done: bool = False  # Whether nothing more will be known.


def states(engines: Sequence[KnownEngine], patience: float = PATIENCE) -> Iterator[EngineState]:
    """Yields each engine's state whenever more of it is known, at the end with `done`.

    No engine holds up another, and one that has not answered in time is reported so.
    """
    news: queue.SimpleQueue[tuple[int, EngineState]] = queue.SimpleQueue()
    pending = {at: EngineState(engine) for at, engine in enumerate(engines)}

    def ask(at: int, engine: KnownEngine) -> None:
        state = EngineState(engine)
        try:
            for state in _answers(engine):
                news.put((at, state))
        except Exception as error:
            problem: LayerscopeError = EngineError(f"{engine.shown} sent an invalid answer.")
            problem = error if isinstance(error, LayerscopeError) else problem
            # What it has said before stays; measuring may be what failed.
            state = state if state.version else replace(state, problem=problem)
        news.put((at, replace(state, done=True)))

    for at, state in pending.items():
        name = f"layerscope-probe-{at}"
        threading.Thread(target=ask, args=(at, state.engine), name=name, daemon=True).start()
    end = time.monotonic() + patience
    while pending:
        try:
            at, state = news.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            break
        pending[at] = state
        if state.done:
            del pending[at]
        yield state
    for state in pending.values():
        if not state.version:
            silent = EngineError(
                f"The engine at {state.engine.shown} has not answered within {patience:g} seconds.",
                "Check that it runs and can be reached.",
            )
            state = replace(state, problem=silent)
        yield replace(state, done=True)


def _answers(engine: KnownEngine) -> Iterator[EngineState]:
    if engine.problem is not None or engine.address is None:
        raise engine.problem or EngineError(f"{engine.name} has no address.")
    with closing(connect_any(engine.address)) as connected:
        folder = isinstance(connected, FolderEngine)
        version = "data folder" if folder else connected.name
        state = EngineState(engine, version, _store(connected))
        state = replace(state, images=len({image.id for image in connected.images()}))
        yield state
        # Takes long where there is much.
        yield replace(state, disk=_disk(connected))


def _store(engine: Engine) -> str:
    if isinstance(engine, FolderEngine):
        return engine.store
    if not isinstance(engine, DockerEngine):
        return "OCI layout"
    info = engine.info()
    return f"containerd, {visible(info.driver)}" if info.snapshotter else visible(info.driver)


def _disk(engine: Engine) -> int | None:
    size = engine.layers_size()
    if size is None and isinstance(engine, DockerEngine) and engine.is_podman and is_local(engine):
        # Podman's API does not say; its storage does, where it can be read.
        with failures_ignored():
            info = engine.info()
            with closing(DataFolder(Path(info.folder))) as folder:
                return PodmanStore(folder, info.driver).size()
    return size
