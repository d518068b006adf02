"""Layers that no Dockerfile produces, and the unions that they make."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from tests.archives import Item, folder, hard_link, layer_tar, opaque, symlink, text, whiteout
from tests.truth.reference import Seen, apply_all

Layers = list[list[Item]]


@dataclass(frozen=True)
class Case:
    """Some layers and what they are to show."""

    layers: list[bytes]  # their tars.
    union: dict[str, Seen]  # What `files` shows of the top, by path without the leading slash.
    implied: frozenset[str] = frozenset()  # folders that no entry names, whose time nobody knows.


BASE = [
    folder("d", mode=0o711, uid=3, gid=4),
    text("d/one"),
    folder("d/sub"),
    text("d/sub/two"),
    text("f"),
    symlink("to-d", "d"),
    hard_link("f-again", "f"),
]
"""A lower layer for the cases to change."""

MADE: dict[str, Layers] = {
    "opaque first": [BASE, [folder("d"), opaque("d"), text("d/new")]],
    "opaque last": [BASE, [folder("d"), text("d/new"), text("d/one", "again"), opaque("d")]],
    "opaque between": [BASE, [folder("d"), text("d/new"), opaque("d"), text("d/one", "again")]],
    "opaque with the same subfolder again": [
        BASE,
        [folder("d"), folder("d/sub"), text("d/sub/new"), opaque("d")],
    ],
    "opaque in two nested folders": [
        BASE,
        [folder("d"), opaque("d"), folder("d/sub"), opaque("d/sub"), text("d/sub/new")],
    ],
    "opaque in a folder that no entry names": [BASE, [opaque("d/sub"), text("d/sub/new")]],
    "opaque in a folder that is not there": [BASE, [opaque("nowhere"), text("new")]],
    "opaque in the root": [BASE, [opaque(""), text("new")]],
    "opaque where nothing is": [[folder("e"), opaque("e"), text("e/f")]],
    "opaque, then more in a third layer": [
        BASE,
        [folder("d"), opaque("d"), text("d/new")],
        [folder("d"), text("d/newer"), whiteout("d/new")],
    ],
    "whiteout of a file": [BASE, [whiteout("d/one")]],
    "whiteout of a tree": [BASE, [whiteout("d")]],
    "whiteout of what is not there": [BASE, [whiteout("nothing"), whiteout("nowhere/nothing")]],
    "whiteout in the lowest layer": [[whiteout("x"), text("y")]],
    "whiteout before the path again": [BASE, [whiteout("f"), text("f", "again")]],
    "whiteout after the path again": [BASE, [text("f", "again"), whiteout("f")]],
    "whiteout before the folder again": [BASE, [whiteout("d"), folder("d"), text("d/new")]],
    "whiteout after the folder again": [BASE, [folder("d"), text("d/new"), whiteout("d")]],
    "whiteout of a parent after what is in it": [BASE, [text("d/sub/new"), whiteout("d/sub")]],
    "whiteout and opaque of one folder": [
        BASE,
        [whiteout("d"), folder("d"), opaque("d"), text("d/new")],
    ],
    "whiteouts at three depths": [BASE, [whiteout("d/sub/two"), whiteout("d/sub"), whiteout("d")]],
    "whiteout of one name of two": [BASE, [whiteout("f")]],
    "whiteout of a symlink": [BASE, [whiteout("to-d")]],
    "whiteout below a file": [BASE, [whiteout("f/x")]],
    "whiteout below a symlink": [BASE, [whiteout("to-d/one")]],
    "whiteout in a folder that the layer removes": [BASE, [whiteout("d"), whiteout("d/one")]],
    "AUFS book-keeping": [BASE, [folder(".wh..wh.plnk"), text(".wh..wh.aufs"), text("x")]],
    "parents that no entry names": [[text("x/y/z")]],
    "parents that only a lower layer names": [BASE, [text("d/sub/new")]],
    "parent after what is in it": [[text("x/y"), folder("x", mode=0o700, uid=9)]],
    "a file as parent, in a lower layer": [BASE, [text("f/x")]],
    "a symlink as parent, in a lower layer": [BASE, [text("to-d/new")]],
    "a file twice": [[text("x", "first"), text("x", "second", mode=0o600)]],
    "a folder twice": [[folder("x"), text("x/y"), folder("x", mode=0o700)]],
    "a folder, then a file": [[folder("x"), text("x/y"), text("x")]],
    "a file, then a folder": [[text("x"), folder("x"), text("x/y")]],
    "a folder over a file": [BASE, [folder("f"), text("f/x")]],
    "a file over a folder": [BASE, [text("d")]],
    "a symlink over a folder": [BASE, [symlink("d", "f")]],
    "a folder over a symlink": [BASE, [folder("to-d"), text("to-d/x")]],
    "a folder, a file, and a folder again": [BASE, [text("d")], [folder("d"), text("d/new")]],
    "a hard link whose header says more": [
        [text("x", mode=0o600, uid=1), hard_link("y", "x", mode=0o755, uid=2)]
    ],
    "a hard link whose header has another time": [[text("x"), hard_link("y", "x", mtime=5)]],
    "a hard link to a symlink": [
        [symlink("x", "nowhere"), hard_link("y", "x", mode=0o644, uid=7, mtime=5)],
    ],
    "a hard link to a hard link": [[text("x"), hard_link("y", "x"), hard_link("z", "y")]],
    "a hard link outlives its file": [[text("x", "1"), hard_link("y", "x"), text("x", "22")]],
    "a hard link to a name with slash or dot": [
        [text("x"), hard_link("y", "/x"), hard_link("z", "./x")]
    ],
    "a hard link to a lower layer": [BASE, [hard_link("e", "f")]],
    "a fifo and devices": [
        [
            Item("p", "fifo", mode=0o620),
            Item("c", "char", device=(1, 3), mode=0o666, uid=5),
            Item("b", "block", device=(300, 70000)),
        ]
    ],
    "special bits": [[text("s", mode=0o6755), folder("t", mode=0o1777)]],
    "names with dots and slashes": [
        [folder("./"), text("./x"), text("/y"), text("z//z"), text("w/./w"), folder("v/")]
    ],
    "a root with other rights": [[folder("./", mode=0o700, uid=5), text("x")]],
    "names that look like whiteouts": [[text("x.wh.y"), text("wh.z"), text(".whatever")]],
}
"""Cases written as entries; their unions come from the reference."""


def _clean(item: Item) -> Item:
    """Return an entry with its name and target written plainly, for the reference."""

    def plain(name: str) -> str:
        return posixpath.normpath(f"/{name}").strip("/")

    target = plain(item.link) if item.kind == "hardlink" else item.link
    changed = {**item.__dict__, "name": plain(item.name), "link": target}
    return Item(**changed)


def make_case(layers: Layers) -> Case:
    """Return a case whose union comes from the reference."""
    plain = [
        [
            _clean(item)
            for item in items
            if not item.name.startswith(".wh..wh.") or "opq" in item.name
        ]
        for items in layers
    ]
    top = apply_all(plain)[-1].union
    return Case(
        [layer_tar(items) for items in layers],
        {path: inode.seen for path, inode in top.items() if path},
        frozenset(path for path, inode in top.items() if inode.implied),
    )


CASES: dict[str, Case] = {name: make_case(layers) for name, layers in MADE.items()}
