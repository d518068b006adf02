"""Saves unsaved changes outside the build context when the terminal goes away."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from layerscope.bounded import open_regular
from layerscope.config import state_folder
from layerscope.dockerfile.editing.text_file import TextFile
from layerscope.writing import whole_file, write_all

#: The most texts kept for one file, and in total; the oldest are removed first.
MOST_OF_FILE, MOST = 5, 50
_LARGEST = 32 << 20
_NAME = re.compile(r"([0-9a-f]{32})-([0-9]{1,20})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rescued:
    kept: Path  # The file that contains it.
    text: str  # The text, as in `TextFile`.
    when: int  # When it was saved, in nanoseconds since 1970.

    def forget(self) -> None:
        with contextlib.suppress(OSError):
            self.kept.unlink()


def rescue(path: Path, text: str) -> Path:
    """Saves a text, readable only by the user, and returns its path.

    Raises OSError if it cannot be saved.
    """
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = folder / f"{_key(path)}-{time.time_ns()}"
    with whole_file(kept) as fd:
        write_all(fd, text.encode("utf-8", "surrogateescape"))
        os.fsync(fd)
    _bound(_key(path))
    return kept


def find_rescued(file: TextFile) -> Rescued | None:
    """The last text saved for a file, if it is newer than the file and differs from it."""
    found = [(when, path) for when, name, path in _all() if name == _key(file.path)]
    if not found:
        return None
    when, path = max(found)
    if file.stamp is not None and when < file.stamp.modified:
        return None
    try:
        fd = open_regular(path, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(fd, "rb") as kept:
            text = kept.read(_LARGEST).decode("utf-8", "surrogateescape")
    except OSError:
        return None
    return Rescued(path, text, when) if text != file.text else None


def _folder() -> Path:
    return state_folder() / "unsaved"


def _key(path: Path) -> str:
    """A key that is the same for all paths of a file through links."""
    return hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:32]


def _all() -> list[tuple[int, str, Path]]:
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
