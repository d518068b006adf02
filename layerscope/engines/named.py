"""Completions: sources that begin with a text."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from layerscope.engines.sources import ARCHIVES, TRANSPORTS

#: The most entries of a folder to read.
_MOST = 5000


def sources(text: str) -> Iterator[str]:
    """Yields images, containers, files and transports that begin with a text.

    Queries the current engine. Raises EngineError if it does not answer.
    """
    transport, colon, rest = text.partition(":")
    if colon and transport in TRANSPORTS:
        form = TRANSPORTS[transport]
        if form.startswith(("DIR", "PATH")):
            yield from (f"{transport}:{path}" for path in files_below(rest))
            return
        if transport == "container":
            yield from (f"container:{name}" for name in container_names())
            return
        if transport == "embedded":
            from layerscope.engines.embedded.engine import EmbeddedEngine

            names = (image.name for image in EmbeddedEngine().images())
            yield from (f"embedded:{name}" for name in names if name)
            return
        if transport == "docker-daemon":
            yield from (f"docker-daemon:{name}" for name in image_names())
            return
    files = list(files_below(text))
    # Files with other names are offered only if there is nothing else.
    yield from [path for path in files if path.endswith(("/", *ARCHIVES))] or files
    if text:
        yield from (f"{name}:" for name in TRANSPORTS)
    if not text.startswith(("/", ".", "~")):
        yield from image_names()


def image_names() -> Iterator[str]:
    """Yields the names of the current engine's images. Raises EngineError."""
    from layerscope.engines.docker import connect_any

    with closing(connect_any()) as engine:
        yield from (image.name for image in engine.images() if image.name)


def container_names() -> Iterator[str]:
    """Yields the names of the current engine's containers. Raises EngineError."""
    from layerscope.engines.docker import connect_any

    with closing(connect_any()) as engine:
        yield from (container.name for container in engine.containers())


def files_below(text: str) -> Iterator[str]:
    """Yields files that begin with a text, and folders, with a trailing slash."""
    folder, beginning = os.path.split(text)
    front = text[: len(text) - len(beginning)]
    try:
        with os.scandir(Path(folder or ".").expanduser()) as entries:
            for entry in itertools.islice(entries, _MOST):
                hidden = entry.name.startswith(".") and not beginning
                if entry.name.startswith(beginning) and entry.name.isprintable() and not hidden:
                    yield f"{front}{entry.name}{'/' if entry.is_dir() else ''}"
    except (OSError, RuntimeError, ValueError):
        return
