"""stdout: lines and bytes in large pieces, on whatever it is."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterable, Iterator
from typing import TextIO

from layerscope.errors import UsageError

#: Lines that are written in one go.
_LINES = 4096


def write_lines(lines: Iterable[str], *, live: bool = False) -> None:
    """Writes lines to stdout.

    Args:
        lines: The lines.
        live: Whether each is to be seen as soon as it is there.

    Raises:
        UsageError: It is closed.
        OSError: It takes nothing more.
    """
    out = _stdout()
    if isinstance(out, io.TextIOWrapper):
        # What the terminal's encoding lacks is shown as an escape.
        out.reconfigure(errors="backslashreplace")
    piece: list[str] = []
    for line in lines:
        piece.append(line)
        if live or len(piece) == _LINES:
            with _named():
                out.write("\n".join(piece) + "\n")
                if live:
                    out.flush()
            piece.clear()
    with _named():
        if piece:
            out.write("\n".join(piece) + "\n")
        out.flush()


def write_bytes(pieces: Iterable[bytes]) -> None:
    """Writes bytes to stdout.

    Raises:
        UsageError: It is closed.
        OSError: It takes nothing more.
    """
    out = _stdout().buffer
    for piece in pieces:
        with _named():
            out.write(piece)
    with _named():
        out.flush()


@contextlib.contextmanager
def _named() -> Iterator[None]:
    """Has errors say that it is stdout that takes nothing more."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or "Standard output"
        raise


def _stdout() -> TextIO:
    # None where the process was started with a closed stdout.
    out: TextIO | None = sys.stdout
    if out is None:
        raise UsageError("Standard output is closed.")
    return out
