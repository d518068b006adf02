"""The registries that Docker and Podman may access without TLS or a valid certificate.

Docker's `insecure-registries` in daemon.json, and `insecure` in both versions of registries.conf
(containers-registries.conf(5)). Files that cannot be read allow nothing.
"""

from __future__ import annotations

import ipaddress
import json
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from layerscope.bounded import read_file
from layerscope.config import home
from layerscope.oci.distribution import split_url

_DOCKER = "/etc/docker/daemon.json"
_CONTAINERS = "/etc/containers/registries.conf"


def is_insecure(domain: str, repository: str) -> bool:
    """Whether this machine's settings allow access to a repository without valid TLS."""
    if any(_is_named(entry, domain) for entry in _docker_entries()):
        return True
    name = f"{domain}/{repository}"
    fitting = [
        (len(prefix), insecure)
        for prefix, insecure in _containers_entries()
        if _has_prefix(name, prefix)
    ]
    # The longest prefix wins; among equal ones, the last.
    return bool(fitting) and max(reversed(fitting), key=lambda pair: pair[0])[1]


def _docker_entries() -> Iterator[str]:
    for path in (Path(_DOCKER), _config_home() / "docker/daemon.json"):
        try:
            document = json.loads(read_file(path))
            entries = document.get("insecure-registries")
        except (OSError, ValueError, RecursionError, AttributeError):
            continue
        if isinstance(entries, list):
            yield from (each for each in entries if isinstance(each, str))


def _is_named(entry: str, domain: str) -> bool:
    """Whether an entry (a host, with or without port, or a network) covers a registry."""
    if entry.rstrip("/") == domain:
        return True
    parts = split_url(f"//{domain}")
    try:
        return ipaddress.ip_address((parts and parts.hostname) or "") in ipaddress.ip_network(entry)
    except ValueError:
        return False


def _containers_entries() -> Iterator[tuple[str, bool]]:
    for path in _containers_files():
        try:
            document = tomllib.loads(read_file(path).decode("utf-8"))
        except (OSError, ValueError, RecursionError):
            continue
        yield from _entries_of(document)


def _containers_files() -> Iterator[Path]:
    own = _config_home() / "containers"
    named = os.environ.get("CONTAINERS_REGISTRIES_CONF")
    if named:
        yield Path(named)
    elif os.path.lexists(own / "registries.conf"):
        yield own / "registries.conf"
    else:
        yield Path(_CONTAINERS)
    for folder in (Path(f"{_CONTAINERS}.d"), own / "registries.conf.d"):
        yield from sorted(folder.glob("*.conf"))


def _entries_of(document: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Prefixes, and whether they are insecure."""
    tables = document.get("registry")
    for table in tables if isinstance(tables, list) else ():
        if isinstance(table, dict):
            prefix = table.get("prefix") or table.get("location")
            if isinstance(prefix, str):
                yield prefix, table.get("insecure") is True
    old = document.get("registries")
    insecure = old.get("insecure") if isinstance(old, dict) else None
    names = insecure.get("registries") if isinstance(insecure, dict) else None
    for name in names if isinstance(names, list) else ():
        if isinstance(name, str):
            yield name, True


def _has_prefix(name: str, prefix: str) -> bool:
    """Whether a prefix, possibly with `*.` for all subdomains, matches a repository's full name."""
    if prefix.startswith("*."):
        host, _, path = name.partition("/")
        _, dot, domain = host.partition(".")
        wanted, _, below = prefix[2:].partition("/")
        fits = bool(dot) and (domain == wanted or domain.endswith(f".{wanted}"))
        return fits and (not below or _has_prefix(path, below))
    return name == prefix or name.startswith(prefix.rstrip("/") + "/")


def _config_home() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or home() / ".config")
