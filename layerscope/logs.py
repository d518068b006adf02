"""The log: nothing is written unless `--log FILE` or `LAYERSCOPE_LOG` names a file.

Modules log with `logging.getLogger(__name__)`. Only records of layerscope's own loggers are
written: libraries would log URLs and headers with credentials in them.
"""

from __future__ import annotations

import logging
import os
import platform
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from layerscope.bounded import open_regular
from layerscope.errors import LayerscopeError, UsageError
from layerscope.redaction import redacted
from layerscope.text import clip, one_line, shortened, visible

VARIABLE = "LAYERSCOPE_LOG"

_logger = logging.getLogger("layerscope")
# Without a handler, Python prints warnings on stderr.
_logger.addHandler(logging.NullHandler())


class _Formatter(logging.Formatter):
    """One record as lines that hold no secrets and are safe on a terminal."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__(
            "%(asctime)sZ %(process)d %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S"
        )

    def format(self, record: logging.LogRecord) -> str:
        text = redacted(super().format(record))
        return "\n".join(map(visible, text.split("\n")))


def start(file: str | None = None) -> None:
    """Starts logging if a file is named.

    Child processes log to the same file.

    `file` is appended to; None uses the file that `LAYERSCOPE_LOG` names, if any. Raises
    UsageError if the file cannot be written.
    """
    named = os.environ.get(VARIABLE, "") if file is None else file
    if not named:
        return
    path = Path(named).absolute()
    try:
        # Paths and names of images are private.
        descriptor = open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    except OSError as error:
        raise UsageError(
            f"The log {visible(str(path))} cannot be written: {error.strerror}.",
            f"Name another file with --log or {VARIABLE}.",
        ) from None
    os.close(descriptor)
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(_Formatter())
    stop()
    _logger.addHandler(handler)
    _logger.setLevel(logging.DEBUG)
    os.environ[VARIABLE] = str(path)


def stop() -> None:
    for handler in [each for each in _logger.handlers if isinstance(each, logging.FileHandler)]:
        _logger.removeHandler(handler)
        handler.close()


def file() -> str:
    """The log file, or an empty string."""
    for handler in _logger.handlers:
        if isinstance(handler, logging.FileHandler):
            return handler.baseFilename
    return ""


def begin(command: str) -> None:
    """Logs what runs where, the first thing to know about a problem."""
    from layerscope import __version__

    python = platform.python_version()
    where = f"Python {python} on {sys.platform}, TERM {os.environ.get('TERM', 'not set')}"
    _logger.info("layerscope %s, %s, %s", command, __version__, where)


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception for users: without a traceback, and without secrets."""

    message: str
    hint: str = ""
    exit_code: int = 2

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


def failure_of(error: BaseException, where: str = "") -> Failure:
    """The message for an exception; unexpected ones are logged; see `unexpected`."""
    if isinstance(error, LayerscopeError):
        # Messages should be safe on a terminal already; this makes sure.
        message, hint = (visible(shortened(redacted(x))) for x in (error.message, error.hint))
        return Failure(message, hint, error.exit_code)
    if isinstance(error, MemoryError):
        return Failure("There is not enough memory.", "Close other programs, or a smaller image.")
    if isinstance(error, OSError):
        name = f"{visible(os.fsdecode(error.filename))}: " if _is_name(error.filename) else ""
        return Failure(shortened(redacted(f"{name}{visible(str(error.strerror or error))}.")))
    text = one_line(redacted(str(error)))
    detail = f": {clip(text, 300)}" if text else ""
    message = f"Something unexpected happened ({type(error).__name__}{detail})."
    return Failure(message, unexpected(error, where))


def _is_name(value: object) -> TypeGuard[str | bytes]:
    # Elsewhere it may be a descriptor or an address.
    return isinstance(value, str | bytes) and bool(value)


def unexpected(error: BaseException, where: str = "") -> str:
    """Logs an unexpected error with its traceback.

    `where` is a file that has the traceback even without a log. Returns the sentence for the user:
    that it is a bug, its location, and where the traceback is.
    """
    _logger.error("unexpected error", exc_info=error)
    where = file() or where
    place = _place(error)
    report = f"This is a bug in layerscope{place and f' ({place})'}. Please report it"
    return f"{report}, with {visible(where)}." if where else f"{report}."


def _place(error: BaseException) -> str:
    """The last location in layerscope that an error passed, such as `text.py, line 7`."""
    root = Path(__file__).parent
    frames = traceback.extract_tb(error.__traceback__, limit=-100)
    for frame in reversed(frames):
        path = Path(frame.filename)
        if path.is_relative_to(root):
            return f"{path.relative_to(root)}, line {frame.lineno}"
    return ""


def described(error: BaseException) -> str:
    """A traceback without secrets, and without the values of variables."""
    return redacted("".join(traceback.format_exception(error)))


def thread_failed(failure: threading.ExceptHookArgs) -> None:
    """For `threading.excepthook`, which would print a traceback."""
    if failure.exc_value is not None and not isinstance(failure.exc_value, SystemExit):
        name = failure.thread.name if failure.thread is not None else "a thread"
        _logger.error("unexpected error in %s", name)
        sys.stderr.write(f"layerscope: {failure_of(failure.exc_value)}\n")
