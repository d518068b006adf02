"""The rest of a path while a source is typed, as a shell would complete it."""

from __future__ import annotations

import asyncio
import itertools
import os
from pathlib import Path

from textual.suggester import Suggester

_TRANSPORTS = ("docker-archive:", "oci-archive:", "oci:", "docker-root:")
_BEGINNINGS = ("/", "./", "../", "~")
#: Entries of a folder that are looked at: more would be slow, and no help.
_MOST = 5000


def completed(text: str) -> str | None:
    """A source whose path goes one name further; None if there is nothing to add.

    Args:
        text: A source as far as it has been typed.
    """
    transport = next((name for name in _TRANSPORTS if text.startswith(name)), "")
    path = text[len(transport) :]
    if not transport and not path.startswith(_BEGINNINGS):
        return None
    folder, beginning = os.path.split(path)
    name = _first(folder, beginning)
    return None if name is None else transport + path[: len(path) - len(beginning)] + name


def _first(folder: str, beginning: str) -> str | None:
    """The first name of a folder that begins so and can be typed."""
    found: list[str] = []
    try:
        with os.scandir(Path(folder or ".").expanduser()) as entries:
            for entry in itertools.islice(entries, _MOST):
                name = entry.name
                hidden = name.startswith(".") and not beginning
                if name.startswith(beginning) and name.isprintable() and not hidden:
                    found.append(name + ("/" if entry.is_dir() else ""))
    except (OSError, RuntimeError, ValueError):
        return None
    name = min(found, default="")
    return name if len(name) > len(beginning) else None


class PathSuggester(Suggester):
    """Offers it in an input; the folder is read beside the screen."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        """The whole value, or None."""
        return await asyncio.to_thread(completed, value)
