"""Layers with names that lead through symlinks of the layer itself, and what engines make of them.

Engines differ only in what they refuse, but for the looks of folders that no entry names.
"""

from __future__ import annotations

from tests.archives import Item, folder, hard_link, opaque, symlink, text, whiteout
from tests.truth.cases import BASE, Case, Layers, make_case

ALL = frozenset({"docker-debian", "docker-28", "docker-28-containerd", "podman"})
CONTAINERD = frozenset({"docker-28-containerd"})
NEWER = frozenset({"docker-28"}) | CONTAINERD

B = folder("b", mode=0o711, uid=3)
TO_B = symlink("a", "b")


def _chain(length: int) -> list[Item]:
    names = [f"l{number}" for number in range(length)]
    pairs = zip(names, [*names[1:], "b"], strict=True)
    return [B, *(symlink(name, target) for name, target in pairs), text("l0/x")]


MADE: dict[str, Layers] = {
    "through a link": [[B, TO_B, text("a/x")]],
    "through a link before its folder": [[TO_B, B, text("a/x")]],
    "through an absolute link": [[B, symlink("a", "/b"), text("a/x")]],
    "through an absolute link above the root": [[B, symlink("a", "/../../b"), text("a/x")]],
    "through a link with dots": [[B, folder("c"), symlink("c/a", ".././b"), text("c/a/x")]],
    "through a link above the root": [[B, symlink("a", "../../b"), text("a/x")]],
    "through a deep link above the root": [
        [B, folder("c"), symlink("c/a", "../../../b"), text("c/a/x")]
    ],
    "through a link to the root": [[symlink("a", "/"), text("a/x")]],
    "through a link to its own folder": [[symlink("a", "."), text("a/x")]],
    "through links to links": [[B, TO_B, symlink("c", "a"), symlink("d", "c"), text("d/x")]],
    "through a link in a link": [
        [B, folder("b/s"), TO_B, symlink("c", "a/s"), text("c/x"), folder("a/s/t")]
    ],
    "through a link made through a link": [
        [B, folder("c"), TO_B, symlink("a/l", "../c"), text("a/l/x"), text("b/l/y")]
    ],
    "through 40 links": [_chain(40)],
    "through 45 links": [_chain(45)],
    "through a dangling link": [[symlink("a", "no/where"), text("a/x")]],
    "a folder through a dangling link": [[symlink("a", "no/where"), text("a/s/x")]],
    "through a link, then its folder": [[TO_B, text("a/x"), B]],
    "through a link to a folder of the host": [[symlink("a", "/etc"), text("a/x")]],
    # No engine takes a file for a folder. As where names say so outright, the later entry counts.
    "through a link to a file": [[text("f"), symlink("a", "f"), text("a/x")]],
    "a file as parent": [[text("f"), text("f/x")]],
    "folders through a link": [[B, TO_B, folder("a/s", mode=0o700), text("a/s/x")]],
    "a folder that no entry names through a link": [[B, TO_B, text("a/s/x")]],
    "through a link to a lower layer": [BASE, [symlink("a", "d"), text("a/x")]],
    "through a link to a lower layer's folder again": [
        BASE,
        [folder("d"), symlink("a", "d"), text("a/x")],
    ],
    "through a link over a lower folder": [BASE, [folder("o"), symlink("d", "o"), text("d/x")]],
    "through a link of a lower layer again": [BASE, [symlink("to-d", "d"), text("to-d/x")]],
    "up through a link in a lower folder": [
        BASE,
        [symlink("d/sub/up", "../.."), text("d/sub/up/x")],
    ],
    "one file by two names": [[B, TO_B, text("b/x", "1"), text("a/x", "22")]],
    "a name with dots past a link": [[B, folder("b/s"), symlink("a", "b/s"), text("a/../x")]],
    "a folder over a link that was followed": [[B, TO_B, text("a/x"), folder("a")]],
    "a file over a link": [[text("t", "old"), symlink("a", "t"), text("a", "new")]],
    "a hard link to what is behind a link": [[B, text("b/t"), TO_B, hard_link("h", "a/t")]],
    "a hard link behind a link": [[B, text("t"), TO_B, hard_link("a/h", "t")]],
    "hard links behind a link": [[B, TO_B, text("a/t"), hard_link("a/h", "a/t")]],
    "a hard link to a link to a folder": [[B, TO_B, hard_link("h", "a"), text("h/x")]],
    "whiteout behind a link": [[B, text("b/x"), text("b/y")], [B, TO_B, whiteout("a/x")]],
    "whiteout behind a link to a lower layer": [
        [B, text("b/x"), text("b/y")],
        [TO_B, whiteout("a/x")],
    ],
    "whiteout behind a dangling link": [[TO_B, whiteout("a/x")]],
    "opaque behind a link": [[B, text("b/x")], [B, TO_B, opaque("a"), text("b/z")]],
}

LINK_CASES: dict[str, Case] = {name: make_case(layers) for name, layers in MADE.items()}
"""Their unions come from the reference."""

LINKS_REFUSED: dict[str, frozenset[str]] = {
    "through a link to a file": ALL,
    "a file as parent": ALL,
    "through a link above the root": frozenset({"docker-28"}),
    "through a deep link above the root": frozenset({"docker-28"}),
    "through 40 links": frozenset({"docker-28"}),
    "through 45 links": ALL - CONTAINERD,
    "through a dangling link": ALL - NEWER,
    "a folder through a dangling link": ALL - NEWER,
    "through a link, then its folder": ALL - NEWER,
    "through a link to a folder of the host": ALL - NEWER,
    "through a link to a lower layer": ALL - NEWER,
    "through a link of a lower layer again": ALL - NEWER,
    "whiteout behind a link to a lower layer": ALL - NEWER,
    "whiteout behind a dangling link": ALL - NEWER,
    "a folder over a link that was followed": ALL - CONTAINERD,
    "a file over a link": ALL - CONTAINERD,
}
"""What engines do not load."""

LINKS_DIFFERENT: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    # A folder that no entry of the layer names hides what the lower one's looks like.
    "through a link to a lower layer": (NEWER, frozenset({"/d"})),
    "through a link of a lower layer again": (NEWER, frozenset({"/d"})),
    "up through a link in a lower folder": (ALL, frozenset({"/d", "/d/sub"})),
    "whiteout behind a link to a lower layer": (NEWER, frozenset({"/b"})),
}
"""What engines show otherwise than we do: the engines, and the paths."""

CIRCLES: dict[str, list[Item]] = {
    "two links": [symlink("a", "c"), symlink("c", "a"), text("a/x")],
    "a link to itself": [symlink("a", "a"), text("a/x")],
    "a link into itself": [symlink("a", "a/y"), text("a/x")],
    "a whiteout": [symlink("a", "a"), whiteout("a/x")],
    "the target of a hard link": [symlink("a", "a"), hard_link("h", "a/x")],
    "a hard link to a link": [symlink("a", "a"), hard_link("h", "a"), text("h/x")],
}
"""Layers that no engine loads."""
