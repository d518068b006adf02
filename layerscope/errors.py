"""The errors that reach a user: one sentence that says what happened and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

#: What to do about an archive that is damaged.
SAVE_AGAIN = "Save or copy it again."


class LayerscopeError(Exception):
    """Something that the user can act on. Printed as it is, never with a traceback.

    Attributes:
        message: One sentence, without control characters of foreign origin.
        hint: What to do about it; may be empty.
    """

    exit_code = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()

    def __reduce__(self) -> tuple[Any, ...]:
        # It may come from another process, and `__init__` takes something else in each class.
        return _again, (type(self), self.args), self.__dict__


class UsageError(LayerscopeError):
    """A source, a layer number or an option that makes no sense as it was given."""


class AmbiguousError(UsageError):
    """A source that holds several images, of which none is named.

    Attributes:
        names: What each is called there; as it is, not made safe for a terminal.
        choices: Whole sources, one for each; filled in by whoever knows the source.
    """

    def __init__(self, message: str, hint: str, names: Iterable[str]) -> None:
        super().__init__(message, hint)
        self.names = tuple(names)
        self.choices: tuple[str, ...] = ()


class BadInputError(LayerscopeError):
    """Bytes that are not what they should be.

    Attributes:
        file: The file, or the name of the stream, that holds the bytes.
        offset: The byte offset in that file, or None where there is no meaningful one.
    """

    def __init__(self, file: str, offset: int | None, problem: str, hint: str = "") -> None:
        where = file if offset is None else f"{file}, byte {offset}"
        super().__init__(f"{where}: {problem}.", hint)
        self.file = file
        self.offset = offset
        self.problem = problem


class EngineError(LayerscopeError):
    """An engine that is not there, does not let us in, or answered with an error."""


class BuildFailedError(EngineError):
    """A build that its builder ended, as it says for what reason."""

    exit_code = 1


class RegistryError(LayerscopeError):
    """A registry that cannot be reached, does not let us in, or answers wrongly."""


class NotFoundError(LayerscopeError):
    """An image, a layer or a path that does not exist where it was looked for."""


class PlatformMissingError(NotFoundError):
    """An image that is there, but not for the platform that is wanted.

    Attributes:
        platforms: Those that it is there for, as `os/architecture[/variant]`.
    """

    def __init__(self, message: str, hint: str, platforms: Iterable[str]) -> None:
        super().__init__(message, hint)
        self.platforms = tuple(platforms)


class Cancelled(LayerscopeError):
    """The user stopped the work."""

    exit_code = 130

    def __init__(self) -> None:
        super().__init__("Cancelled.")


def _again(kind: type[LayerscopeError], arguments: tuple[Any, ...]) -> LayerscopeError:
    error = kind.__new__(kind)
    error.args = arguments
    return error
