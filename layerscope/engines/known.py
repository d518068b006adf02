"""The available engines: contexts, connections, sockets, local daemons, data folders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from layerscope.engines.address import (
    AUTO,
    EMBEDDED,
    PODMAN,
    Address,
    chosen_engine,
    context_names,
    current_address,
    engine_address,
    local_sockets,
)
from layerscope.engines.folders import default_folders
from layerscope.engines.podman_connections import podman_connections
from layerscope.errors import LayerscopeError

#: Programs that serve Docker's API.
_DAEMONS = ("dockerd", "podman")
#: Parts of the paths of their other sockets.
_NO_API = ("/libnetwork/", "/metrics.sock")
_LISTENS = "00010000"  # The flag of a socket that accepts connections (__SO_ACCEPTCON).


@dataclass(frozen=True, slots=True)
class KnownEngine:
    name: str  # As for `--engine`.
    kind: str  # Its origin, such as `Docker context`.
    address: Address | None = None
    problem: LayerscopeError | None = None  # Why it has no address.
    current: bool = False

    @property
    def shown(self) -> str:
        return "" if self.address is None else self.address.shown


def known_engines() -> list[KnownEngine]:
    """Returns all available engines, each once, in display order.

    Engines that the user has named are listed even if two of them have the same address.
    """
    found = [_known("default", "DOCKER_HOST" if os.environ.get("DOCKER_HOST") else "default")]
    found += [_known(name, "Docker context") for name in context_names()]
    connections = podman_connections()
    found += [_known(f"{PODMAN}{name}", "Podman connection") for name in connections]
    hosts = {_real(each.address) for each in found}

    def add(name: str, kind: str) -> None:
        each = _known(name, kind)
        if _real(each.address) not in hosts:
            hosts.add(_real(each.address))
            found.append(each)

    for name, socket in local_sockets().items():
        if Path(socket).exists():
            add(name, "socket")
    for socket in daemon_sockets():
        add(f"unix://{socket}", "daemon")
    add(EMBEDDED, "own store")
    for folder in default_folders():
        add(folder, "data folder")
    add(EMBEDDED, "own store")
    chosen = chosen_engine()
    if all(each.name != chosen for each in found) and chosen != AUTO:
        found.append(_known(chosen, "chosen"))
    return _with_current(found, chosen)


def distinct(engines: Sequence[KnownEngine]) -> list[KnownEngine]:
    """Returns one engine per address: the current one, or else the first."""
    found: dict[str, KnownEngine] = {}
    for each in sorted(engines, key=lambda each: not each.current):
        found.setdefault(_real(each.address) or each.name, each)
    return [each for each in engines if each in found.values()]


def _known(name: str, kind: str) -> KnownEngine:
    try:
        return KnownEngine(name, kind, engine_address(name))
    except LayerscopeError as error:
        return KnownEngine(name, kind, problem=error)


def _real(address: Address | None) -> str:
    """Returns the host with symlinks in a socket's path resolved; `/var/run` often is one."""
    if address is None or not address.host.startswith("unix://"):
        return "" if address is None else address.host
    return os.path.realpath(address.host.removeprefix("unix://"))


def _with_current(engines: list[KnownEngine], chosen: str) -> list[KnownEngine]:
    """Marks the current engine: by name, or else the first with its address."""
    place = next((at for at, each in enumerate(engines) if each.name == chosen), None)
    if place is None:
        with suppress(LayerscopeError):
            address = current_address()
            same = [at for at, each in enumerate(engines) if _real(each.address) == _real(address)]
            named = [at for at in same if address.why.endswith(f" {engines[at].name}")]
            place = next(iter(named or same), None)
    return [
        KnownEngine(each.name, each.kind, each.address, each.problem, current=at == place)
        for at, each in enumerate(engines)
    ]


def daemon_sockets() -> list[str]:
    """Returns the sockets of this host's daemons that this user may see."""
    found: dict[str, None] = {}
    with suppress(OSError):
        for process in Path("/proc").iterdir():
            if process.name.isdecimal():
                with suppress(OSError, ValueError):
                    found |= dict.fromkeys(_sockets_of(process))
    return sorted(found)


def _sockets_of(process: Path) -> Iterator[str]:
    if (process / "comm").read_text().strip() not in _DAEMONS:
        return
    links = ((process / "fd" / each).readlink() for each in os.listdir(process / "fd"))  # noqa: PTH208
    inodes = {str(link)[8:-1] for link in links if str(link).startswith("socket:[")}
    for line in (process / "net/unix").read_text(errors="surrogateescape").splitlines()[1:]:
        _, _, _, flags, _, _, inode, *path = line.split(maxsplit=7)
        if (
            flags != _LISTENS
            or inode not in inodes
            or not path
            or any(each in path[0] for each in _NO_API)
        ):
            continue
        # The process may see other files; only the same file can be used.
        with suppress(OSError):
            if Path(path[0]).samefile(process / "root" / path[0].lstrip("/")):
                yield path[0]
