"""Mount points that an image lacks: empty files and folders, in a separate layer.

So they are never part of the changes, and their parent folders keep the owner, mode and time of the
image. Docker does the same (moby: daemon/initlayer).
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.settle import LayerLinks
from layerscope.filesystem.stack import Stack
from layerscope.oci.tar_header import TarError
from layerscope.sandbox.process import SandboxError
from layerscope.sandbox.task import Stub
from layerscope.text import visible

#: Paths in every container, and whether they are folders.
COMMON = {
    "/proc": True,
    "/sys": True,
    "/dev": True,
    "/etc/resolv.conf": False,
    "/etc/hosts": False,
    "/etc/hostname": False,
}
_NAMES = {EntryType.CHAR: "device", EntryType.BLOCK: "device", EntryType.FIFO: "named pipe"}
_MTAB, _MTAB_TARGET = b"etc/mtab", "/proc/mounts"


def find_stubs(stack: Stack, targets: Mapping[str, bool], workdir: str) -> list[Stub]:
    """Returns the stubs for paths, which map to whether they are folders; parents come first.

    Raises SandboxError if the image has something else where a folder must be.
    """
    top = stack.height - 1
    links = _links(stack)
    found: dict[bytes, Stub] = {}
    _check_folder(stack, workdir, _followed(links, workdir))
    for target, folder in {**COMMON, **targets}.items():
        try:
            path = _followed(links, target)
        except SandboxError:
            if folder:
                raise
            _followed(links, target.rpartition("/")[0])
            continue
        _check_folder(stack, target, path if folder else path.rpartition(b"/")[0])
        found |= _above(stack, path, top, folder=folder, known=found)
    if _MTAB not in found and _stub(stack, _MTAB, top) is None and b"etc" in found:
        found[_MTAB] = Stub(os.fsdecode(_MTAB), link=_MTAB_TARGET)
    return list(found.values())


def root_of(stack: Stack) -> Stub:
    """Returns the image's root folder."""
    row = stack.version(0, stack.height - 1)
    return Stub("") if row is None else _of_row(stack, b"", row)


def real_path(stack: Stack, path: str) -> str:
    """Resolves the image's symlinks in an absolute path; raises SandboxError."""
    return "/" + os.fsdecode(_followed(_links(stack), path))


def _followed(links: LayerLinks, path: str) -> bytes:
    try:
        return links.follow(os.fsencode(path.strip("/")), 0)
    except TarError:
        raise SandboxError(f"{visible(path)} leads through a loop of symbolic links.") from None


def _check_folder(stack: Stack, wanted: str, path: bytes) -> None:
    parts = path.split(b"/")
    for end in range(1, len(parts) + 1):
        node = stack.tree.find(b"/".join(parts[:end]))
        row = None if node is None else stack.version(node, stack.height - 1)
        if row is None:
            return
        kind = EntryType(int(stack.types[row]))
        if kind is not EntryType.DIR:
            there = visible(b"/" + b"/".join(parts[:end]))
            raise SandboxError(
                f"The sandbox needs a folder for {visible(wanted)}, but {there} of the image is "
                f"a {_NAMES.get(kind, kind.label)}."
            )


def _above(
    stack: Stack, path: bytes, top: int, *, folder: bool, known: Mapping[bytes, Stub]
) -> dict[bytes, Stub]:
    """Returns a stub for a path, unless the image has it, and its parents."""
    if _stub(stack, path, top) is not None:
        return {}
    parts = path.split(b"/")
    found = {}
    for end in range(1, len(parts)):
        above = b"/".join(parts[:end])
        found[above] = known.get(above) or _stub(stack, above, top) or Stub(os.fsdecode(above))
    found[path] = Stub(os.fsdecode(path), folder=folder)
    return found


def _stub(stack: Stack, path: bytes, top: int) -> Stub | None:
    """Returns what the image has at a path."""
    node = stack.tree.find(path)
    row = None if node is None else stack.version(node, top)
    return None if row is None else _of_row(stack, path, row)


def _of_row(stack: Stack, path: bytes, row: int) -> Stub:
    return Stub(
        os.fsdecode(path),
        mode=int(stack.modes[row]),
        uid=int(stack.uids[row]),
        gid=int(stack.gids[row]),
        mtime=max(0, int(stack.mtimes[row])),
        exists=True,
    )


def _links(stack: Stack) -> LayerLinks:
    links = LayerLinks(len(stack.tree))
    rows = stack.union(stack.height - 1) if stack.height else np.zeros(0, np.int32)
    for row in rows[stack.types[rows] == EntryType.SYMLINK].tolist():
        target = stack.link(int(stack.inodes[row])) or b""
        links.add(stack.tree.path(int(stack.nodes[row])), target)
    return links
