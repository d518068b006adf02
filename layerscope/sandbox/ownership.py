"""Emulates changes of ownership, for users who have only one id.

A seccomp filter makes chown, the set*id calls, capset and mknod of devices succeed without effect.
That needs no helper process and no C: the filter is a few dozen instructions of classic BPF
(linux/filter.h) for each architecture that the kernel runs.
"""

from __future__ import annotations

import platform
import struct
from dataclasses import dataclass

# Offsets in struct seccomp_data: call number, architecture, arguments.
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_LOAD, _EQUAL, _AND, _RETURN = 0x20, 0x15, 0x54, 0x06
_ALLOW, _SUCCEED = 0x7FFF0000, 0x00050000  # SECCOMP_RET_ALLOW; SECCOMP_RET_ERRNO with errno 0.
_FORMAT, _CHAR, _BLOCK = 0o170000, 0o020000, 0o060000


@dataclass(frozen=True, slots=True)
class _Calls:
    """The system call numbers of an architecture."""

    audit: int  # AUDIT_ARCH_…
    #: chown, fchown, lchown, fchownat, set[re]uid, set[re]gid, setres[ug]id, setgroups, capset.
    owners: tuple[int, ...]
    mknod: int | None
    mknodat: int


_GENERIC = (54, 55, 143, 144, 145, 146, 147, 149, 159, 91)
_X86_64 = _Calls(0xC000003E, (92, 93, 94, 260, 105, 106, 113, 114, 116, 117, 119, 126), 133, 259)
#: Calls for 16-bit and 32-bit ids; 32-bit ARM has the same except two.
_SHORT_IDS = (182, 95, 16, 23, 46, 70, 71, 81, 164, 170, 185)
_OLD = (*_SHORT_IDS, 212, 207, 198, 213, 214, 203, 204, 206, 208, 210)
_I386 = _Calls(0x40000003, (*_OLD, 298), 14, 297)
_ARM = _Calls(0x40000028, (*_OLD, 325), 14, 324)
#: The architectures that a kernel for each machine runs.
_MACHINES = {
    "x86_64": (_X86_64, _I386),
    "i686": (_I386,),
    "aarch64": (_Calls(0xC00000B7, _GENERIC, None, 33), _ARM),
    "armv7l": (_ARM,),
    "riscv64": (_Calls(0xC00000F3, _GENERIC, None, 33),),
}


def known_machine() -> bool:
    return platform.machine() in _MACHINES


_Instruction = tuple[int, int, int, int]  # Code, jumps if true and if false, operand.


def ownership_filter() -> bytes:
    """Returns the filter for this machine."""
    program: list[_Instruction] = [(_LOAD, 0, 0, _ARCHITECTURE)]
    for calls in _MACHINES[platform.machine()]:
        block = _block(calls)
        program += [(_EQUAL, 0, len(block), calls.audit), *block]
    program.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *each) for each in program)


def _block(calls: _Calls) -> list[_Instruction]:
    """Returns the instructions for one architecture."""
    block: list[_Instruction] = [(_LOAD, 0, 0, _NUMBER)]
    for number in calls.owners:
        block += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _SUCCEED)]
    # The mode is argument 1 of mknod, and argument 2 of mknodat.
    for call, place in ((calls.mknod, 1), (calls.mknodat, 2)):
        if call is not None:
            block += [
                (_EQUAL, 0, 6, call),
                (_LOAD, 0, 0, _ARGUMENTS + 8 * place),
                (_AND, 0, 0, _FORMAT),
                (_EQUAL, 2, 0, _CHAR),
                (_EQUAL, 1, 0, _BLOCK),
                (_RETURN, 0, 0, _ALLOW),
                (_RETURN, 0, 0, _SUCCEED),
            ]
    return [*block, (_RETURN, 0, 0, _ALLOW)]
