"""The union as engines make it, with dicts and loops, to measure against.

They follow the OCI image specification, but for two things: a folder undoes a whiteout of its own
layer that comes before it, and the opaque whiteout of a layer's root hides nothing.

Layers are applied one after the other. First goes what their whiteouts hide ("whiteout files MUST
only apply to resources in lower/parent layers"), then comes what their entries make of an empty
folder, in the order of the tar: each replaces what is at its path, folders over folders excepted.
In the names of entries, symlinks that the layer has made before are followed inside that folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.archives import Item

Seen = tuple[str, int, int, int, int, int, str | None]
"""What `files` shows of a path: type, mode, uid, gid, size, mtime and the target of a symlink."""


@dataclass(eq=False)
class Inode:
    """What one or more paths name."""

    kind: str
    mode: int
    uid: int
    gid: int
    mtime: int
    content: bytes
    link: str | None
    layer: int
    device: tuple[int, int] | None = None
    implied: bool = False

    @property
    def state(self) -> tuple[object, ...]:
        """All of it that a change can change."""
        return (
            *(self.kind, self.mode, self.uid, self.gid, self.mtime),
            *(self.content, self.link, self.device),
        )

    @property
    def seen(self) -> Seen:
        """What it looks like."""
        size = len(self.content)
        return (self.kind, self.mode, self.uid, self.gid, size, self.mtime, self.link)


Tree = dict[str, Inode]


@dataclass
class Applied:
    """A layer as it was applied."""

    layer: int  # its number.
    union: Tree  # what is visible with it on top.
    below: dict[str, tuple[object, ...]]  # what was visible without it, as it was then.
    #: the paths of its other entries that its own later ones leave, and what they made.
    entries: Tree = field(default_factory=dict)
    whiteouts: set[str] = field(default_factory=set)  # the paths of its whiteouts.
    opaques: set[str] = field(default_factory=set)  # the folders that it makes opaque.

    @property
    def size(self) -> int:
        """Bytes of the layer's regular files, each inode once."""
        return _size(inode for inode in self.union.values() if inode.layer == self.layer)

    @property
    def visible_size(self) -> int:
        """Bytes of the regular files that are visible, each inode once."""
        return _size(self.union.values())

    def change(self, path: str) -> str:
        """What the layer did to the path of one of its entries."""
        if path not in self.below:
            return "added"
        return "unchanged" if self.below[path] == self.union[path].state else "modified"

    def removes(self, path: str, *, inside: bool) -> bool:
        """Whether something at or below a path is no longer there."""
        if inside and not path:
            return False
        gone = [each for each in self.below if each not in self.union]
        return any(is_below(each, path) or (each == path and not inside) for each in gone)


def is_below(path: str, above: str) -> bool:
    """Tell whether one path lies below another; the root is the empty path."""
    return path != above and (above == "" or path.startswith(f"{above}/"))


def remove(tree: dict[str, Any], path: str, *, inside: bool = False) -> None:
    """Remove a path and all below it, or only (inside) what is below it."""
    for each in [each for each in tree if is_below(each, path)]:
        del tree[each]
    if not inside:
        tree.pop(path, None)


def apply(lower: Tree, items: Iterable[Item], layer: int) -> Applied:
    """Apply a layer; `lower` stays as it is."""
    done = Applied(layer, dict(lower), {path: inode.state for path, inode in lower.items()})
    own: Tree = {}
    for item in items:
        above, _, name = item.name.strip("/").rpartition("/")
        if name.startswith(".wh."):
            above = followed(own, above)
        if name == ".wh..wh..opq":
            done.opaques.add(above)
        elif name.startswith(".wh."):
            done.whiteouts.add(f"{above}/{name[4:]}".strip("/"))
        else:
            _extract(own, item, layer, lower)
            if item.kind == "dir":
                done.whiteouts.discard(real_path(own, item.name.strip("/")))
    for path in done.opaques - {""}:
        remove(done.union, path, inside=True)
    for path in done.whiteouts:
        remove(done.union, path)
    for path, inode in sorted(own.items()):
        _lay_over(done.union, path, inode)
    for path in [*done.opaques, *(each.rpartition("/")[0] for each in done.whiteouts)]:
        if not any(path == each or is_below(path, each) for each in done.whiteouts):
            _imply(done.union, path, layer)
    done.entries = {path: inode for path, inode in own.items() if not inode.implied}
    return done


def followed(tree: Mapping[str, Inode | Item], folder: str) -> str:
    """Return where a folder is, with the symlinks of a tree followed inside its root."""
    at = ""
    for part in folder.split("/"):
        if part == "..":
            at = at.rpartition("/")[0]
        elif part not in ("", "."):
            name = f"{at}/{part}".strip("/")
            there = tree.get(name)
            if there is not None and there.kind == "symlink":
                link = there.link or ""
                at = followed(tree, link if link.startswith("/") else f"{at}/{link}")
            else:
                at = name
    return at


def real_path(tree: Mapping[str, Inode | Item], path: str) -> str:
    """Return where an entry of that name comes to lie."""
    above, _, name = path.rpartition("/")
    return f"{followed(tree, above)}/{name}".strip("/")


def _extract(own: Tree, item: Item, layer: int, lower: Tree) -> None:
    """Add an entry to what the layer's own folder holds."""
    path = real_path(own, item.name.strip("/"))
    parts = path.split("/")
    for count in range(1, len(parts)):
        parent = "/".join(parts[:count])
        if parent not in own or own[parent].kind != "dir":
            remove(own, parent)
            own[parent] = Inode("dir", 0o755, 0, 0, 0, b"", None, layer, implied=True)
    target = real_path(own, item.link) if item.kind == "hardlink" else item.link
    inode = _inode(replace(item, link=target), layer, {**lower, **own})
    if not (item.kind == "dir" and path in own and own[path].kind == "dir"):
        remove(own, path)
    own[path] = inode


def _inode(item: Item, layer: int, there: Tree) -> Inode:
    if item.kind == "hardlink":
        inode = there[item.link]
        if inode.layer == layer:
            # An engine gives the one inode what the link's header says, as it does a file.
            inode.uid, inode.gid = item.uid, item.gid
            if inode.kind != "symlink":
                inode.mode, inode.mtime = item.mode, item.mtime
        return inode
    mode = 0o777 if item.kind == "symlink" else item.mode
    return Inode(
        *(item.kind, mode, item.uid, item.gid, item.mtime, item.content),
        *(item.link if item.kind == "symlink" else None, layer),
        item.device if item.kind in ("char", "block") else None,
    )


def _imply(tree: Tree, path: str, layer: int) -> None:
    """Make the folder that a whiteout is in, as engines do, unless the layer says what it is."""
    parts = path.split("/") if path else []
    folders = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    if any(
        each in tree and tree[each].kind != "dir" and tree[each].layer == layer for each in folders
    ):
        return
    for each in folders:
        if each not in tree or tree[each].kind != "dir":
            remove(tree, each)
            tree[each] = Inode("dir", 0o755, 0, 0, 0, b"", None, layer, implied=True)


def _lay_over(tree: Tree, path: str, inode: Inode) -> None:
    """Put what a layer has at a path over what lower layers have there."""
    there = tree.get(path)
    if inode.kind == "dir" and there is not None and there.kind == "dir":
        if not inode.implied:
            tree[path] = inode
        return
    remove(tree, path)
    tree[path] = inode


def _size(inodes: Iterable[Inode]) -> int:
    files = {id(inode): inode for inode in inodes if inode.kind == "file"}
    return sum(len(inode.content) for inode in files.values())


def apply_all(layers: Sequence[Sequence[Item]]) -> list[Applied]:
    """Apply layers on top of each other."""
    done: list[Applied] = []
    for number, items in enumerate(layers):
        done.append(apply(done[-1].union if done else {}, items, number))
    return done
