"""Programs for other machines, which run only if the kernel has an interpreter for them."""

from __future__ import annotations

import platform
import struct
from pathlib import Path

_ELF = b"\x7fELF"
_LITTLE, _ORDER, _MACHINE = 1, 5, 18  # elf(5): EI_DATA, and the offsets of it and `e_machine`.
#: What each machine runs natively.
_RUNS = {
    "x86_64": {62, 3},
    "i686": {3},
    "aarch64": {183, 40},
    "armv7l": {40},
    "riscv64": {243},
    "ppc64le": {21},
    "s390x": {22},
}
_INTERPRETERS = Path("/proc/sys/fs/binfmt_misc")


def cannot_run(head: bytes, folder: Path = _INTERPRETERS) -> bool:
    """Whether this machine certainly cannot run a program, judging by its first bytes."""
    own = _RUNS.get(platform.machine())
    if own is None or not head.startswith(_ELF) or len(head) < _MACHINE + 2:
        return False
    order = "<" if head[_ORDER] == _LITTLE else ">"
    if struct.unpack_from(f"{order}H", head, _MACHINE)[0] in own:
        return False
    try:
        if (folder / "status").read_text().strip() != "enabled":
            return True
        files = [each for each in folder.iterdir() if each.name not in ("register", "status")]
        return not any(_interprets(file.read_text(), head) for file in files)
    except (OSError, ValueError):
        return False  # A container does not see it.


def _interprets(text: str, head: bytes) -> bool:
    """Whether an entry of binfmt_misc is for a program."""
    state, *lines = text.splitlines()
    fields = dict(line.partition(" ")[::2] for line in lines)
    magic = bytes.fromhex(fields.get("magic", ""))
    mask = bytes.fromhex(fields.get("mask", "ff" * len(magic)))
    place = int(fields.get("offset", "0"))
    piece = head[place : place + len(magic)]
    if state != "enabled" or not magic or len(piece) < len(magic):
        return False
    return all(a & m == b & m for a, b, m in zip(piece, magic, mask, strict=True))
