"""Writes content to a file of the user, whole or not at all."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from layerscope.errors import LayerscopeError, UsageError
from layerscope.images.contents import Advance, Content
from layerscope.text import visible

_PIECE = 1 << 20
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_ODD = re.compile(r"[^A-Za-z0-9._+-]")


class InTheWay(UsageError):
    """There is something of that name."""


def save_file(
    content: Content, target: Path, *, overwrite: bool = False, advance: Advance | None = None
) -> int:
    """Writes content to a file that its owner alone can read, since nobody knows what is in it.

    Args:
        content: The content.
        target: The file.
        overwrite: Whether a file of that name is replaced. A symlink is replaced, not followed.
        advance: Told how many bytes are written; may raise to stop.

    Returns:
        How many bytes it has.

    Raises:
        InTheWay: There is something of that name, and it is not to be replaced, or no file.
        LayerscopeError: It cannot be read or written; nothing is left behind.
    """
    if target.is_dir():
        raise InTheWay(f"{visible(str(target))} is a folder.", "Name a file in it.")
    if not overwrite and os.path.lexists(target):
        raise _exists(target)
    part = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.part")
    try:
        fd = os.open(part, _NEW, 0o600)
        try:
            with os.fdopen(fd, "wb", buffering=0) as file:
                size = _copy(content, file.fileno(), advance)
            if overwrite:
                part.replace(target)
            else:
                # Unlike a rename, this fails if somebody was faster.
                os.link(part, target)
        finally:
            part.unlink(missing_ok=True)
    except FileExistsError:
        raise _exists(target) from None
    except OSError as error:
        raise LayerscopeError(
            f"{visible(str(target))} cannot be written ({error.strerror}).", "Name another file."
        ) from None
    return size


def safe_name(name: bytes) -> str:
    """A name for a copy that no program can take for an option, and no terminal obeys."""
    text = _ODD.sub("_", name.decode("utf-8", "replace"))[-100:].lstrip(".-")
    return text or "file"


def _copy(content: Content, fd: int, advance: Advance | None) -> int:
    offset = 0
    while piece := content.read(offset, _PIECE, advance):
        view = memoryview(piece)
        while view:
            view = view[os.write(fd, view) :]
        offset += len(piece)
        if advance is not None:
            advance(offset)
    return offset


def _exists(target: Path) -> InTheWay:
    return InTheWay(f"{visible(str(target))} is already there.", "Name another file.")
