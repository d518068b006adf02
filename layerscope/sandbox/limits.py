"""Control groups that limit the memory and the number of processes of a sandbox."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
#: By the name of the limit in cgroup v2: the controller and the file in cgroup v1.
_FILES = {"memory.max": ("memory", "memory.limit_in_bytes"), "pids.max": ("pids", "pids.max")}


@contextmanager
def control_groups(memory: int, processes: int) -> Iterator[tuple[str, ...]]:
    """Yields new control groups with limits, 0 for none; empty if this user cannot create them."""
    limits = {"memory.max": memory, "pids.max": processes}
    limits = {name: value for name, value in limits.items() if value}
    made: list[Path] = []
    try:
        if limits:
            with suppress(OSError, ValueError):
                _make(limits, made)
        # If only some limits can be set, uses rlimits instead.
        yield tuple(map(str, made)) if made and made[-1].is_dir() else ()
    finally:
        for group in made:
            _remove(group)


def _make(limits: dict[str, int], made: list[Path]) -> None:
    own: dict[str, str] = {}
    for line in Path("/proc/self/cgroup").read_text("utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        own |= dict.fromkeys(controllers.split(","), path.lstrip("/"))
    name = f"layerscope-{os.urandom(4).hex()}"
    try:
        if (_CGROUPS / "cgroup.controllers").exists():
            _make_version_2(limits, _CGROUPS / own[""], name, made)
            return
        for limit, value in limits.items():
            controller, file = _FILES[limit]
            group = _CGROUPS / controller / own[controller] / name
            group.mkdir()
            made.append(group)
            (group / file).write_text(str(value), "ascii")
    except (OSError, KeyError):
        for group in made:
            _remove(group)
        made.clear()


def _make_version_2(limits: dict[str, int], own: Path, name: str, made: list[Path]) -> None:
    # A group with processes cannot have children; one above may.
    for above in (own, *own.parents):
        controllers = (above / "cgroup.subtree_control").read_text("ascii").split()
        if {_FILES[limit][0] for limit in limits} <= set(controllers):
            group = above / name
            group.mkdir()
            made.append(group)
            for limit, value in limits.items():
                (group / limit).write_text(str(value), "ascii")
            return
        if above == _CGROUPS:
            return


def _remove(group: Path) -> None:
    # Killed processes may not be gone yet.
    for _ in range(100):
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.01)
        else:
            return
