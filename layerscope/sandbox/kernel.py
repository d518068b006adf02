"""System calls without a Python function: namespaces, mounts, capabilities, seccomp."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import struct
from typing import Any

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_SECCOMP = 22
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_SECCOMP_FILTER = 2

#: Docker's default capabilities for containers (linux/capability.h): chown, dac_override, fowner,
#: fsetid, kill, setgid, setuid, setpcap, net_bind_service, net_raw, sys_chroot, mknod, audit_write,
#: setfcap.
_KEPT = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31})
_CAPABILITIES = 64  # More than any kernel has.

_libc = ctypes.CDLL(None, use_errno=True)
_pivot_root = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "i686": 217, "armv7l": 218}


def _call(name: str, *arguments: Any) -> int:
    result: int = getattr(_libc, name)(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def unshare(flags: int) -> None:
    _call("unshare", ctypes.c_int(flags))


def mount(
    source: str | bytes, target: str | bytes, kind: str = "", flags: int = 0, options: str = ""
) -> None:
    _call(
        "mount",
        os.fsencode(source),
        os.fsencode(target),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        os.fsencode(options) or None,
    )


def detach(target: str) -> None:
    """Unmounts a tree of mounts lazily."""
    _call("umount2", os.fsencode(target), ctypes.c_int(MNT_DETACH))


def pivot_root(folder: str) -> None:
    """Makes a mount point the root folder of this mount namespace.

    The old root is then mounted on top of it, reachable only through open descriptors.
    """
    number = _pivot_root.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"pivot_root is not known on {platform.machine()}")
    os.chdir(folder)
    _call("syscall", ctypes.c_long(number), b".", b".")


def die_with_parent(parent: int) -> None:
    """Ends this process with its parent, or now if that has ended; setuid resets this."""
    _call("prctl", _PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def hide_memory() -> None:
    """Keeps programs in the sandbox from inspecting this process through /proc."""
    _call("prctl", _PR_SET_DUMPABLE, ctypes.c_ulong(0), 0, 0, 0)


def adopt_orphans() -> None:
    _call("prctl", _PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0)


def limit_capabilities() -> None:
    """Limits capabilities of executed programs to those of Docker's containers."""
    for number in range(_CAPABILITIES):
        if number not in _KEPT:
            try:
                _call("prctl", _PR_CAPBSET_DROP, ctypes.c_ulong(number), 0, 0, 0)
            except OSError:
                # The kernel has fewer capabilities, or this process has none.
                return


def filter_calls(program: bytes) -> None:
    """Installs a seccomp filter: instructions of classic BPF."""
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    _call("prctl", _PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_FILTER), header, 0, 0)


def loopback_up() -> None:
    """Brings up the loopback interface of a new network namespace."""
    import fcntl
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        # struct ifreq: the name and the flags IFF_UP and IFF_RUNNING; SIOCSIFFLAGS.
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH22x", b"lo", 0x41))
