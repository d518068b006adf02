"""A rung of the ladder: a way to run commands, and its limitations."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum

from layerscope.sandbox.process import Mapping, one_id, same_ids, subordinate_ids
from layerscope.sandbox.task import Way
from layerscope.sandbox.unpack import Rights


class RungName(StrEnum):
    ROOT = "root"
    IDS = "user namespace"
    CHROOT = "chroot"
    ONE_ID = "one id"
    PROOT = "PRoot"


@dataclass(frozen=True, slots=True)
class Rung:
    """A way to run commands."""

    name: RungName
    overlay: bool  # Whether layers are mounted; otherwise, each run copies them into one folder.

    @property
    def way(self) -> Way:
        return _WAYS.get(self.name, Way.NAMESPACES)

    @property
    def mapping(self) -> Mapping | None:
        """Returns the id mappings of its user namespace; None without one, or without ids."""
        if self.name is RungName.ONE_ID:
            return one_id()
        if self.name is RungName.IDS:
            return subordinate_ids() if os.geteuid() else same_ids()
        return None

    @property
    def rights(self) -> Rights:
        """The attributes that this process may set on files that it unpacks for this rung."""
        if self.name in (RungName.ROOT, RungName.CHROOT):
            return Rights(root=True)
        mapping = self.mapping
        return Rights(root=False, ids=mapping.count if mapping and mapping.count > 1 else 0)

    @property
    def form(self) -> str:
        """The name of the folder for its unpacked layers."""
        return self.name.replace(" ", "-").lower()

    @property
    def user_namespace(self) -> bool:
        return self.name in (RungName.IDS, RungName.ONE_ID)

    @property
    def one_id(self) -> bool:
        return self.name is RungName.ONE_ID

    @property
    def loses(self) -> tuple[str, ...]:
        """Differences from an engine, as ends of sentences."""
        lost = list(_LOSES[self.name])
        if not self.overlay and self.way is Way.NAMESPACES:
            lost.append("all layers are copied before each run")
        return tuple(lost)

    @property
    def better(self) -> str:
        """How to get a better rung, or ""."""
        if self.name is RungName.ROOT:
            return "" if self.overlay else "Keep the cache on a file system that overlayfs accepts."
        if self.name is RungName.IDS:
            return "" if self.overlay else "A kernel from 5.11 on can mount layers for users."
        if not os.geteuid():
            return "Give the container CAP_SYS_ADMIN, or allow user namespaces in it."
        if self.name is RungName.ONE_ID:
            return (
                "Install newuidmap (package uidmap or shadow-utils), and have "
                "`usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER` run."
            )
        return "Have user namespaces allowed (sysctl user.max_user_namespaces)."


_WAYS = {RungName.CHROOT: Way.CHROOT, RungName.PROOT: Way.PROOT}
_OWNERS = "owners that the command sets are lost"
_DEVICES = "devices cannot be made"
_LOSES = {
    RungName.ROOT: (),
    RungName.IDS: (_DEVICES,),
    RungName.CHROOT: (
        "processes and the network are the host's",
        "/proc and /sys are empty",
        "mounts are copies",
        "all layers are copied before each run",
    ),
    RungName.ONE_ID: (_OWNERS, _DEVICES, "every user is root"),
    RungName.PROOT: (
        _OWNERS,
        _DEVICES,
        "processes and the network are the host's",
        "it is several times slower",
        "all layers are copied before each run",
    ),
}

#: Best first. Without root, correct owners matter more than the time for copies.
LADDER = (
    Rung(RungName.ROOT, True),
    Rung(RungName.IDS, True),
    Rung(RungName.ROOT, False),
    Rung(RungName.IDS, False),
    Rung(RungName.CHROOT, False),
    Rung(RungName.ONE_ID, True),
    Rung(RungName.ONE_ID, False),
    Rung(RungName.PROOT, False),
)
