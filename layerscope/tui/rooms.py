"""All rooms of the TUI. Only this module knows them; rooms do not import each other.

A new room is a package with a `ROOM`, and an entry here.
"""

from __future__ import annotations

from collections.abc import Mapping

from layerscope.tui import (
    build,
    commit,
    compare,
    content,
    dialogs,
    diff,
    drift,
    editor,
    engines,
    explore,
    find,
    fleet,
    jobs,
    keys,
    naming,
    packages,
    remove,
    rows,
    search,
    surgery,
    transfer,
    versions,
    waste,
)
from layerscope.tui.destinations import Destination, Room

#: In the order of the help page.
ROOMS: tuple[Room, ...] = (
    explore.ROOM,
    rows.ROOM,
    content.ROOM,
    diff.ROOM,
    versions.ROOM,
    compare.ROOM,
    packages.ROOM,
    find.ROOM,
    waste.ROOM,
    remove.ROOM,
    naming.ROOM,
    commit.ROOM,
    surgery.ROOM,
    engines.ROOM,
    fleet.ROOM,
    editor.ROOM,
    build.ROOM,
    jobs.ROOM,
    transfer.ROOM,
    search.ROOM,
    drift.ROOM,
    dialogs.ROOM,
    keys.ROOM,
)

DESTINATIONS: Mapping[str, Destination] = {
    name: destination for room in ROOMS for name, destination in room.destinations.items()
}
