"""Folders in the temporary folder that belong to one process, and are cleared once it has ended."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

_OWNER = "owner"
"""A file that the owner holds locked while it lives, whichever PID namespace it is in."""

_locks: dict[Path, int] = {}


def owned_folder(prefix: str) -> Path:
    """Return a new folder that this process owns until it ends."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    unlocked = folder / ".owner"
    lock = os.open(unlocked, os.O_WRONLY | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    unlocked.rename(folder / _OWNER)  # only now can another process see it, locked
    _locks[folder] = lock
    return folder


def release(folder: Path) -> None:
    """Give up a folder, which another process may then clear."""
    if (lock := _locks.pop(folder, None)) is not None:
        os.close(lock)


def orphans(prefix: str) -> Iterator[Path]:
    """Yield the folders whose owner has ended; each is locked until the next is asked for."""
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with contextlib.suppress(OSError), (folder / _OWNER).open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield folder


def let_others_in(folder: Path) -> None:
    """Open a temporary folder, and those above it that pytest has closed, to all users."""
    temporary = Path(tempfile.gettempdir())
    for each in (folder, *folder.parents):
        if temporary in each.parents:
            each.chmod(0o755)
