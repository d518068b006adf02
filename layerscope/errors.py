"""Errors that users can act on: one sentence that explains what happened and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

SAVE_AGAIN = "Save or copy it again."  # The hint for a damaged archive.


class LayerscopeError(Exception):
    """An error that the user can act on; shown without a traceback."""

    exit_code = 2
    #: Whether it is about something that is stored like an image but is not one.
    artifact = False

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message  # One sentence, safe on a terminal.
        self.hint = hint  # What to do about it; may be empty.

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()

    def __reduce__(self) -> tuple[Any, ...]:
        # Other processes send errors, and each class has its own `__init__`.
        return _again, (type(self), self.args), self.__dict__


class UsageError(LayerscopeError):
    """A source, a layer number or an option that is invalid."""


class AmbiguousError(UsageError):
    """A source with several images, none of which was named."""

    def __init__(self, message: str, hint: str, names: Iterable[str]) -> None:
        super().__init__(message, hint)
        self.names = tuple(names)  # Their names in the source; not safe on a terminal.
        #: A complete source for each; set where the source is known.
        self.choices: tuple[str, ...] = ()


class BadInputError(LayerscopeError):
    def __init__(self, file: str, offset: int | None, problem: str, hint: str = "") -> None:
        where = file if offset is None else f"{file}, byte {offset}"
        super().__init__(f"{where}: {problem}.", hint)
        self.file = file  # The file, or the name of the stream.
        self.offset = offset  # The byte offset in the file, or None if none is meaningful.
        self.problem = problem


class EngineError(LayerscopeError):
    """An engine that is not running, denies access, or answered with an error."""


def export_broke_off(name: str) -> EngineError:
    hint = "Check that the engine still runs, then try again."
    return EngineError(f"The export of {name} broke off.", hint)


class BuildFailedError(EngineError):
    """A build that its builder ended, with the builder's reason."""

    exit_code = 1


class RegistryError(LayerscopeError):
    """A registry that cannot be reached, denies access, or sends an invalid response."""


class LoginError(RegistryError):
    """A registry that requires a login or rejects the given one (401)."""

    def __init__(self, message: str, hint: str, domain: str) -> None:
        super().__init__(message, hint)
        self.domain = domain  # The registry, as in references.


class RateLimitError(RegistryError):
    """A registry that received too many requests (429)."""


class NotFoundError(LayerscopeError):
    """An image, a layer or a path that does not exist."""


class MissingImageError(NotFoundError):
    """An image that an engine does not have, by a name that a registry may know."""

    def __init__(self, message: str, hint: str, reference: str) -> None:
        super().__init__(message, hint)
        self.reference = reference  # In familiar form; not safe on a terminal.


class PlatformMissingError(NotFoundError):
    """An image that exists, but not for this platform."""

    def __init__(self, message: str, hint: str, platforms: Iterable[str]) -> None:
        super().__init__(message, hint)
        self.platforms = tuple(platforms)  # Its platforms, as `os/architecture[/variant]`.


class Cancelled(LayerscopeError):
    """The user stopped the work; the hint describes the result, unless it is obvious."""

    exit_code = 130

    def __init__(self, hint: str = "") -> None:
        super().__init__("Cancelled.", hint)


@contextmanager
def failures_ignored() -> Iterator[None]:
    """Suppresses errors of the block; if it is cancelled, raises Cancelled."""
    try:
        yield
    except Cancelled:
        raise
    except LayerscopeError:
        pass


@contextmanager
def closed_on_error(close: Callable[[], object]) -> Iterator[None]:
    """Calls `close` if the block raises anything."""
    try:
        yield
    except BaseException:
        close()
        raise


def _again(kind: type[LayerscopeError], arguments: tuple[Any, ...]) -> LayerscopeError:
    error = kind.__new__(kind)
    error.args = arguments
    return error
