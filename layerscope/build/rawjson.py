"""What `docker buildx build --progress=rawjson` prints: JSON objects one after another."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import IO, Any

#: Objects that are longer are none.
_LONGEST = 64 << 20


def between(started: str, completed: str) -> float | None:
    """Seconds between two times; None if they are none."""
    try:
        span = datetime.fromisoformat(completed) - datetime.fromisoformat(started)
    except ValueError:
        return None
    return round(span.total_seconds(), 3)


def dicts(item: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    """The objects of a list in an object."""
    values = item.get(name)
    for value in values if isinstance(values, list) else ():
        if isinstance(value, dict):
            yield value


def documents(stream: IO[bytes]) -> Iterator[dict[str, Any] | str]:
    """JSON objects, one after another, on one line each or on several, and lines between them."""
    decoder = json.JSONDecoder()
    pending = ""
    for raw in stream:
        line = raw.decode("utf-8", "replace")
        if not pending and not line.lstrip().startswith("{"):
            if line.strip():
                yield line.rstrip("\n")
            continue
        pending += line
        # Objects over several lines end with a brace of their own; nothing else need be tried.
        if not line.rstrip().endswith("}") and len(pending) < _LONGEST:
            continue
        text = pending.strip()
        while text:
            try:
                document, end = decoder.raw_decode(text)
            except ValueError:
                break
            if isinstance(document, dict):
                yield document
            text = text[end:].lstrip()
        pending = text if len(text) < _LONGEST else ""
    if pending.strip():
        yield pending.strip()
