"""How a job ended: a file that has its room from the beginning, so that a full disk can be told.

Room is set aside twice when a job starts. `result.json` is as long as it will ever be, so that it
can be written where it stands if it cannot be written anew; and `reserve` is nothing but bytes that
are given back when the disk is full, for the journal's last event.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

#: Bytes of a result, filled up with spaces.
_LENGTH = 4096
#: Bytes that are given back for the last event.
_RESERVE = 16 << 10
#: Characters of a reason; escaped, each may take six bytes, or twelve beyond the first plane.
_LONGEST = 320


def set_aside(folder: Path) -> None:
    """Takes the room that a job's end will need.

    Raises:
        OSError: There is none.
    """
    (folder / "result.json").write_bytes(b" " * _LENGTH)
    # Not zeros, which some file systems keep in no room at all.
    (folder / "reserve").write_bytes(os.urandom(_RESERVE))


def give_back(folder: Path) -> None:
    """Makes room on a disk that is full."""
    with contextlib.suppress(OSError):
        (folder / "reserve").unlink()


def write_result(folder: Path, exit_code: int, ended: float, reason: str = "") -> None:
    """Notes how a job ended, on a full disk too.

    Args:
        folder: The job's.
        exit_code: Its exit code.
        ended: Unix time.
        reason: Why it could not go on, where its journal may not say so.

    Raises:
        OSError: That is not possible.
    """
    give_back(folder)
    document: dict[str, Any] = {"exit_code": exit_code, "ended": ended}
    if reason:
        document["reason"] = reason[:_LONGEST]
    data = json.dumps(document).encode("ascii").ljust(_LENGTH)
    # Not renamed into place: that would want room for a second one. Readers see it whole or not,
    # as what is written half is no JSON.
    fd = os.open(folder / "result.json", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(fd, data, 0)
    finally:
        os.close(fd)


def read_result(folder: Path) -> dict[str, Any]:
    """How a job ended; empty as long as it has not."""
    with contextlib.suppress(OSError, ValueError):
        result = json.loads((folder / "result.json").read_bytes())
        if isinstance(result, dict):
            return result
    return {}
