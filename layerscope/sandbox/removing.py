"""Trees of files whose modes deny access even to their owner."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path


def make_readable(top: Path) -> dict[bytes, int]:
    """Makes this user's folders accessible; returns their original modes, by path."""
    changed: dict[bytes, int] = {}
    root = os.fsencode(top)
    for folder, names, _ in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)  # noqa: PTH118 - bytes
            mode = os.lstat(path).st_mode
            if stat.S_ISDIR(mode) and mode & 0o700 != 0o700:
                with suppress(OSError):
                    os.chmod(path, mode | 0o700)  # noqa: PTH101
                    changed[path[len(root) + 1 :]] = stat.S_IMODE(mode)
    return changed


def remove_tree(path: Path) -> None:
    """Removes a tree of this user's files, regardless of their modes."""
    if os.geteuid():
        make_readable(path)
    shutil.rmtree(path, ignore_errors=True)
