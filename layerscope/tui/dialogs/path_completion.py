"""Completes a source: the name of an image or a container, or a path, as a shell does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from textual.suggester import Suggester

_TRANSPORTS = ("docker-archive:", "oci-archive:", "oci:", "dir:", "docker-root:")
_BEGINNINGS = ("/", "./", "../", "~")  # Always the beginning of a path.


def completed(text: str, names: Sequence[str] = ()) -> str | None:
    """Returns the source with one more name completed; None if nothing matches.

    `names` are images and containers, as sources.
    """
    fitting = [name for name in names if text and name.startswith(text) and name.isprintable()]
    if fitting:
        return min(fitting)
    transport = next((name for name in _TRANSPORTS if text.startswith(name)), "")
    path = text[len(transport) :]
    if not path and not transport:
        return None
    # Not at the top: this runs in a thread, so the dialog need not wait for the imports.
    from layerscope.engines.named import files_below
    from layerscope.engines.sources import ARCHIVES

    files = files_below(path)
    if not transport and not path.startswith(_BEGINNINGS):
        files = (file for file in files if file.endswith(("/", *ARCHIVES)))
    name = min(files, default="")
    return transport + name if len(name) > len(path) else None


class SourceSuggester(Suggester):
    """Suggests sources in an input; reads folders in the background."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._names = names

    async def get_suggestion(self, value: str) -> str | None:
        return await asyncio.to_thread(completed, value, self._names)
