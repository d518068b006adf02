"""Writes content to a user's file, completely or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from layerscope.errors import LayerscopeError, UsageError
from layerscope.images.files.contents import Advance, Content
from layerscope.images.pieces import Piece, filled, pieces_of, write_pieces
from layerscope.text import visible, visible_content
from layerscope.writing import Existing, check_space, existing, failure, whole_file

_HINT = "Name another file."
_ODD = re.compile(r"[^A-Za-z0-9._+-]")


class InTheWay(UsageError):
    """The file to write exists."""

    def __init__(self, message: str, there: Existing | None = None) -> None:
        super().__init__(message, _HINT)
        self.there = there  # The existing file, if it can be overwritten.


def save_file(
    content: Content,
    target: Path,
    *,
    overwrite: Existing | None = None,
    escape: bool = False,
    advance: Advance | None = None,
) -> int:
    """Writes content to a file that only its owner can read, and returns its size.

    With `overwrite`, the existing file is replaced if it is still the same; symlinks are not
    followed. With `escape`, control characters are escaped. `advance` receives the number of bytes
    written so far, and may raise to stop.

    Raises InTheWay if the target exists and may not be replaced or is neither a file nor a
    symlink, and LayerscopeError if reading or writing failed; nothing is left behind.
    """
    if target.is_dir():
        raise InTheWay(f"{visible(str(target))} is a folder.")
    there = existing(target)
    if there is not None and (there.special or there != overwrite):
        raise _exists(target)
    try:
        with whole_file(target, replace=overwrite or False) as fd:
            check_space(fd, content.stored, visible(str(target.absolute().parent)), _HINT)
            pieces: Iterable[Piece] = pieces_of(content, advance)
            if escape:
                pieces = (text.encode() for text in visible_content(filled(pieces)))
            write_pieces(fd, pieces, advance)
    except FileExistsError:
        raise _exists(target) from None
    except OSError as error:
        raise LayerscopeError(failure(error, str(target)), _HINT) from None
    return content.size


def safe_name(name: bytes) -> str:
    """A file name for a copy that is safe in a terminal and that no program takes for an option."""
    text = _ODD.sub("_", name.decode("utf-8", "replace"))[-100:].lstrip(".-")
    return text or "file"


def _exists(target: Path) -> InTheWay:
    there = existing(target)
    if there is not None and there.special:
        return InTheWay(f"{visible(str(target))} is not a regular file.")
    kind = "is a symbolic link" if there is not None and there.link else "already exists"
    return InTheWay(f"{visible(str(target))} {kind}.", there)
