"""Files of a cache: named by the digest of a key, each either whole or not there."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

#: What files are called until they are whole.
UNFINISHED = ".new-"


def path_in(folder: Path, key: str) -> Path:
    """The file of a key. Keys come from images; a digest is a file name whatever they hold."""
    return folder / hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file under another name and renames it; makes its folder if need be.

    Raises:
        OSError: That is not possible; nothing is left behind.
    """
    # Not at the top: a cache that is only read needs no part of it.
    import tempfile

    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise
