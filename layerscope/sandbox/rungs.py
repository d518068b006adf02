"""The ladder: ways to run a command, best first, and the first one that works on this host.

Each is tested by running a program in a real, tiny root folder. The results, with the reasons of
failures, are cached in this process.
"""

from __future__ import annotations

import os
import platform
import shutil
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from layerscope.errors import LayerscopeError, NotFoundError
from layerscope.sandbox.folders import RunFolder
from layerscope.sandbox.inside import NETWORK_FILES
from layerscope.sandbox.ownership import known_machine
from layerscope.sandbox.process import perform, subordinate_ids
from layerscope.sandbox.rung import LADDER, Rung, RungName
from layerscope.sandbox.task import Stub, Task

#: Seconds for a test on a busy machine.
_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Tried:
    """A rung, and why it is not available, or ""."""

    rung: Rung
    why: str

    @property
    def works(self) -> bool:
        return not self.why


_known: dict[Path, list[Tried]] = {}
_lock = threading.Lock()


def rungs(folder: Path) -> list[Tried]:
    """Returns the ladder down to the first rung that works with data in a folder."""
    with _lock:
        if folder not in _known:
            _known[folder] = list(_climb_down(folder))
        return _known[folder]


def best_rung(folder: Path) -> Rung:
    """Returns the best rung of this host; raises NotFoundError if no rung works."""
    tried = rungs(folder)
    if not tried[-1].works:
        why = {each.rung.name: each.why for each in tried}
        reasons = "; ".join(f"{name}: {each}" for name, each in why.items())
        raise NotFoundError(
            f"No command can be run without an engine here ({reasons}).",
            "Install proot, or have user namespaces allowed.",
        )
    return tried[-1].rung


def _climb_down(folder: Path) -> Iterator[Tried]:
    for rung in LADDER:
        why = try_rung(rung, folder)
        yield Tried(rung, why)
        if not why:
            return


def try_rung(rung: Rung, folder: Path) -> str:
    """Runs a program on a rung; returns why that failed, or ""."""
    if why := _lacks(rung):
        return why
    program = _true()
    if program is None:
        return f"there is no test for {platform.machine()}"
    try:
        with RunFolder(folder, rung) as run:
            root = run.path / ("layer" if rung.overlay else "merged")
            (root / "bin").mkdir(parents=True)
            (root / "bin/true").write_bytes(program)
            (root / "bin/true").chmod(0o755)
            for name in NETWORK_FILES:
                (run.path / name).touch()
            stubs = [Stub("etc"), *(Stub(f"etc/{name}", folder=False) for name in NETWORK_FILES)]
            result = perform(
                Task(
                    way=rung.way,
                    folder=str(run.path),
                    user_namespace=rung.user_namespace,
                    one_id=rung.one_id,
                    lower=(str(root),) if rung.overlay else (),
                    stubs=(*stubs, Stub("proc"), Stub("sys"), Stub("dev")),
                    command=("/bin/true",),
                ),
                rung.mapping,
                seconds=_LONGEST,
            )
    except LayerscopeError as error:
        return error.message.rstrip(".")
    except OSError as error:
        return f"it cannot be tried ({error.strerror})"
    finally:
        with suppress(OSError):  # It contains layers.
            (folder / rung.form).rmdir()
    return "" if result.code == 0 else f"a test ended with code {result.code}"


def _lacks(rung: Rung) -> str:
    """Returns what this host or user lacks for a rung, or ""."""
    root = not os.geteuid()
    match rung.name:
        case RungName.ROOT | RungName.CHROOT:
            return "" if root else "only root can"
        case RungName.IDS:
            if root:
                return ""
            if not shutil.which("newuidmap"):
                return "newuidmap is not installed"
            return (
                "" if subordinate_ids() else "this user has no ids in /etc/subuid and /etc/subgid"
            )
        case RungName.ONE_ID:
            return "" if known_machine() else f"no filter is known for {platform.machine()}"
        case RungName.PROOT:
            return "" if shutil.which("proot") else "proot is not installed"


def _true() -> bytes | None:
    """Returns a static program for this machine that exits with 0 (elf(5))."""
    codes = {
        # mov eax, 60; xor edi, edi; syscall.
        "x86_64": (62, bytes.fromhex("b83c00000031ff0f05")),
        # mov x8, #93; mov x0, #0; svc #0.
        "aarch64": (183, bytes.fromhex("a80b8052000080d2010000d4")),
        # li a7, 93; li a0, 0; ecall.
        "riscv64": (243, bytes.fromhex("9308d0051305000073000000")),
    }
    if platform.machine() not in codes:
        return None
    machine, code = codes[platform.machine()]
    base, size = 0x400000, 64 + 56 + len(code)
    head = struct.pack("<4s5B7x", b"\x7fELF", 2, 1, 1, 0, 0)
    head += struct.pack("<2HI3QI6H", 2, machine, 1, base + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return head + struct.pack("<2I6Q", 1, 5, 0, base, base, size, size, 4096) + code
