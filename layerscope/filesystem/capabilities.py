"""File capabilities, as the kernel stores them in `security.capability` (capabilities(7))."""

from __future__ import annotations

import struct

ATTRIBUTE = b"security.capability"

# By number, from linux/capability.h.
_NAMES = (
    "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable "
    "net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio "
    "sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time "
    "sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog "
    "wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore"
)

#: For each revision, the number of pairs of 32-bit words, and whether a root user's id follows.
_REVISIONS = {1: (1, False), 2: (2, False), 3: (2, True)}


def capability_text(value: bytes) -> str | None:
    """Capabilities as getcap prints them, `cap_net_raw=ep`; None if the value is damaged."""
    if len(value) < 4:
        return None
    magic = struct.unpack_from("<I", value)[0]
    pairs, has_root = _REVISIONS.get(magic >> 24, (0, False))
    if not pairs or len(value) != 4 + 8 * pairs + 4 * has_root:
        return None
    words = struct.unpack_from(f"<{2 * pairs}I", value, 4)
    permitted = sum(word << 32 * place for place, word in enumerate(words[0::2]))
    inheritable = sum(word << 32 * place for place, word in enumerate(words[1::2]))
    names = _NAMES.split()
    groups: dict[str, list[str]] = {}
    for number in range(32 * pairs):
        flags = "e" if magic & 1 and (permitted | inheritable) >> number & 1 else ""
        flags += "i" * (inheritable >> number & 1) + "p" * (permitted >> number & 1)
        if flags:
            name = names[number] if number < len(names) else str(number)
            groups.setdefault(flags, []).append(f"cap_{name}")
    text = " ".join(f"{','.join(found)}={flags}" for flags, found in groups.items()) or "none"
    if has_root:
        text += f" [rootid={struct.unpack_from('<I', value, len(value) - 4)[0]}]"
    return text
