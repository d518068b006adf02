"""The connections of `podman system connection`: containers.conf(5), podman-connections.json."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from layerscope.bounded import read_file
from layerscope.config import home
from layerscope.records import Record, field, lenient


class PodmanConnection(Record, frozen=True):
    uri: str = ""
    identity: str = ""  # The private key for ssh; may be empty.


class _Engine(Record, frozen=True):
    service_destinations: dict[str, PodmanConnection] = field(default_factory=dict)


class _Configuration(Record, frozen=True):
    engine: _Engine = _Engine()


class _JsonConnection(Record, frozen=True):
    URI: str = ""
    Identity: str = ""


class _Json(Record, frozen=True, rename="pascal"):
    connections: dict[str, _JsonConnection] = field(default_factory=dict)


class _JsonFile(Record, frozen=True, rename="pascal"):
    connection: _Json = _Json()


def podman_connections() -> dict[str, PodmanConnection]:
    """Returns the connections by name; skips unreadable files."""
    found: dict[str, PodmanConnection] = {}
    for path in _configurations():
        document = _document(path, tomllib.loads)
        try:
            found |= lenient(document, _Configuration).engine.service_destinations
        except ValueError:
            continue
    named = os.environ.get("PODMAN_CONNECTIONS_CONF")
    path = Path(named) if named else _folder() / "podman-connections.json"
    try:
        known = lenient(_document(path, json.loads), _JsonFile).connection.connections
    except ValueError:
        known = {}
    found |= {name: PodmanConnection(each.URI, each.Identity) for name, each in known.items()}
    return {name: each for name, each in found.items() if each.uri}


def _document(path: Path, parse: Any) -> Any:
    try:
        return parse(read_file(path).decode())
    except (OSError, ValueError, RecursionError):
        return {}


def _configurations() -> Iterator[Path]:
    """Yields the files; later ones take precedence."""
    if named := os.environ.get("CONTAINERS_CONF"):
        yield Path(named)
        return
    for folder in (Path("/usr/share/containers"), Path("/etc/containers"), _folder()):
        yield folder / "containers.conf"
        yield from sorted((folder / "containers.conf.d").glob("*.conf"))


def _folder() -> Path:
    configured = os.environ.get("XDG_CONFIG_HOME")
    return (Path(configured) if configured else home() / ".config") / "containers"
