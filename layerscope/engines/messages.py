"""Streams of JSON messages, one per line, that an engine sends during an operation."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from requests import Response

from layerscope.bounded import Lines
from layerscope.engines.errors import translated
from layerscope.errors import EngineError
from layerscope.records import parse


def messages(response: Response, host: str, longest: int) -> Iterator[Mapping[str, Any]]:
    """Yields the messages of a response, each at most `longest` bytes, until the engine ends it.

    Raises EngineError if the connection was lost, or a message is invalid.
    """
    lines = Lines(longest)
    with translated(host):
        while data := response.raw.read1(1 << 16):
            for line in lines.feed(data):
                if line.strip():
                    yield _parsed(line, host)
            if lines.cut:
                raise EngineError(f"The engine at {host} sends an endless message.")
    if lines.rest.strip():
        yield _parsed(lines.rest, host)


def stop(response: Response) -> None:
    """Closes the connection, from any thread or signal handler, which ends its messages."""
    # `shutdown`, not `close`: the reader sees the end, not a reused descriptor.
    with contextlib.suppress(OSError, RuntimeError, AttributeError, ValueError):
        response.raw.shutdown()


def _parsed(line: bytes, host: str) -> Mapping[str, Any]:
    try:
        return parse(line, dict[str, Any])
    except ValueError:
        raise EngineError(
            f"The engine at {host} sent an invalid message.", "Check DOCKER_HOST."
        ) from None
