"""Changes that nobody has saved before the terminal went away, kept outside the build context."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from layerscope.config import state_folder
from layerscope.dockerfile.text_file import TextFile

#: Texts that are kept of a file, and of all files; those kept longest go first.
MOST_OF_FILE, MOST = 5, 50
_LARGEST = 32 << 20
_NAME = re.compile(r"([0-9a-f]{32})-([0-9]{1,20})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rescued:
    """A text that was not saved.

    Attributes:
        kept: Where it is kept.
        text: The text, as `TextFile` has it.
        when: When it was kept, in nanoseconds since 1970.
    """

    kept: Path
    text: str
    when: int

    def forget(self) -> None:
        """Removes it, if it is still there."""
        with contextlib.suppress(OSError):
            self.kept.unlink()


def rescue(path: Path, text: str) -> Path:
    """Keeps a text for its user alone.

    Args:
        path: The file that it was to be saved in.
        text: The text, as `TextFile` has it.

    Returns:
        Where it is kept.

    Raises:
        OSError: It cannot be kept.
    """
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    now = time.time_ns()
    kept = folder / f"{_key(path)}-{now}"
    fd = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
            file.flush()
            os.fsync(fd)
    except BaseException:
        with contextlib.suppress(OSError):
            kept.unlink()
        raise
    _bound(_key(path))
    return kept


def find_rescued(file: TextFile) -> Rescued | None:
    """The text that was kept last of a file, if it is newer than the file and another.

    Args:
        file: The file as it was read.
    """
    key = _key(file.path)
    found = [(when, path) for when, name, path in _all() if name == key]
    if not found:
        return None
    when, path = max(found)
    if file.stamp is not None and when < file.stamp.modified:
        return None
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as kept:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            text = kept.read(_LARGEST).decode("utf-8", "surrogateescape")
    except OSError:
        return None
    return Rescued(path, text, when) if text != file.text else None


def _folder() -> Path:
    return state_folder() / "unsaved"


def _key(path: Path) -> str:
    """The same for all names of a file that are links to it."""
    return hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:32]


def _all() -> list[tuple[int, str, Path]]:
    """When each was kept, what of, and where."""
    try:
        paths = list(_folder().iterdir())
    except OSError:
        return []
    matches = ((path, _NAME.fullmatch(path.name)) for path in paths)
    return [(int(match[2]), match[1], path) for path, match in matches if match is not None]


def _bound(key: str) -> None:
    kept = sorted(_all(), reverse=True)
    of_file = [each for each in kept if each[1] == key]
    for _, _, path in {*kept[MOST:], *of_file[MOST_OF_FILE:]}:
        with contextlib.suppress(OSError):
            path.unlink()
