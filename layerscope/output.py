"""stdout: reports, lines and bytes in large pieces, or a pager; and messages on stderr."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, ParamSpec, TextIO

from layerscope.errors import UsageError
from layerscope.status_line import hidden, is_dumb
from layerscope.text import visible_content

if TYPE_CHECKING:
    from layerscope.reports.patch_report import Form

P = ParamSpec("P")

_LINES = 4096  # Lines that are written at once.


def write_lines(lines: Iterable[str], *, live: bool = False) -> None:
    """Writes lines to stdout.

    With `live`, each is written at once. Raises UsageError if stdout is closed and OSError if it
    cannot be written.
    """
    out = _stdout()
    _escape_what_lacks(out)
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


def write_report(
    as_json: bool,
    document: Callable[P, Any],
    text: Callable[P, Iterable[str]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> None:
    """Writes a report as one JSON object or as text; both are made from the same arguments."""
    if as_json:
        write_lines([json.dumps(document(*args, **kwargs))])
    else:
        write_lines(text(*args, **kwargs))


def write_patch(lines: Iterable[str], form: Form) -> None:
    """Writes a diff: its lines are unchanged unless a terminal shows them."""
    if form.terminal:
        write_lines(lines)
    else:
        write_bytes(f"{line}\n".encode("utf-8", "surrogateescape") for line in lines)


def write_bytes(pieces: Iterable[bytes]) -> None:
    """Writes bytes to stdout.

    Raises UsageError if stdout is closed and OSError if it cannot be written.
    """
    out = _stdout().buffer
    for piece in pieces:
        with _named():
            out.write(piece)
    with _named():
        out.flush()


def write_content(pieces: Iterable[bytes]) -> None:
    """Writes a file's content to stdout: unchanged, or escaped if stdout is a terminal.

    Raises UsageError if stdout is closed and OSError if it cannot be written.
    """
    out = _stdout()
    if not out.isatty():
        write_bytes(pieces)
        return
    _escape_what_lacks(out)
    for text in visible_content(pieces):
        with _named():
            out.write(text)
    with _named():
        out.flush()


def say(text: str) -> None:
    """Writes a line to stderr."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def warn(text: str) -> None:
    """Writes a line to stderr that names the program."""
    say(f"layerscope: {text}")


def page(text: str) -> None:
    """Shows text in the user's pager, or writes it to stdout if there is no pager.

    As with git, `less` exits at once if the text fits on the screen, and shows colors.
    """
    # Imported here: other commands do not need them.
    import shlex
    import signal
    import subprocess

    command = shlex.split(os.environ.get("PAGER", "less"))
    if command and not is_dumb():
        environment = {"LESS": "FRX", **os.environ}
        try:
            pager = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)  # noqa: S603
        except OSError:
            pass
        else:
            # ctrl+c belongs to the pager.
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                pager.communicate(text.encode(sys.stdout.encoding, "replace"))
            finally:
                signal.signal(signal.SIGINT, before)
            return
    write_lines([text.rstrip("\n")])


def _escape_what_lacks(out: TextIO) -> None:
    """Escapes characters that the terminal's encoding lacks."""
    if isinstance(out, io.TextIOWrapper):
        out.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def _named() -> Iterator[None]:
    try:
        with hidden():
            yield
    except OSError as error:
        error.filename = error.filename or "Standard output"
        raise


def _stdout() -> TextIO:
    # None if the process was started with a closed stdout.
    out: TextIO | None = sys.stdout
    if out is None:
        raise UsageError("Standard output is closed.")
    return out
