"""Builds by Podman's API: secrets, and leftovers of a stopped build.

Secrets are sent as files in the context, named in a parameter `secrets`, as Podman's own client
does; Podman moves them out of the context before the build.

When the client hangs up, Podman stops the build, but the command of the running step continues, and
the working containers of the build stay. They belong not to Podman but to the storage below it; the
`libpod` API lists them as `external`.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import secrets
import signal
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from layerscope.engines.docker import DockerEngine
from layerscope.engines.errors import translated
from layerscope.errors import LayerscopeError

#: By id of an image that a build created or began a stage with: the Unix times between which the
#: container of the next step was created; None as the end if that is still possible.
Windows = dict[str, tuple[float, float | None]]

#: The first version of libpod's API with the requests used here; later ones accept it.
_LIBPOD = "/v4.0.0/libpod"

_SLACK = 1.0  # Seconds by which clocks and journals may differ.

#: The first Podman that moves secrets out of the context; older ones would copy them into layers.
_SECRETS = (4, 0)


def takes_secrets(engine: DockerEngine) -> bool:
    """Whether builds by the engine's API support secrets."""
    return _version(engine) >= _SECRETS


def _version(engine: DockerEngine) -> tuple[int, int]:
    found = re.match(r"Podman (\d+)\.(\d+)", engine.name)
    return (0, 0) if found is None else (int(found[1]), int(found[2]))


def secret_files(values: Mapping[str, bytes]) -> tuple[dict[str, bytes], dict[str, str]]:
    """Returns files to add to the context, and query parameters, for secrets by id."""
    # A name that no COPY can guess.
    names = {identifier: f".layerscope.{secrets.token_hex(16)}" for identifier in values}
    listed = [f"id={identifier},src={name}" for identifier, name in names.items()]
    files = {names[identifier]: value for identifier, value in values.items()}
    return files, {"secrets": json.dumps(listed)} if listed else {}


def working_containers(engine: DockerEngine) -> frozenset[str]:
    return frozenset(str(entry.get("Id")) for entry in _external(engine))


def remove_working_containers(
    engine: DockerEngine, before: frozenset[str], windows: Windows
) -> int:
    """Kills the commands that a stopped build left running, and removes its containers.

    Keeps containers from `before` the build. Returns how many were removed.
    """
    removed = 0
    for entry in _external(engine):
        identifier = str(entry.get("Id"))
        window = windows.get(f"sha256:{entry.get('ImageID')}")
        if identifier in before or window is None:
            continue
        last = math.inf if window[1] is None else window[1]
        if window[0] - _SLACK <= _time(entry.get("Created")) <= last + _SLACK:
            _end_processes(engine, identifier)
            with translated(engine.host):
                url = f"{engine.client.base_url}{_LIBPOD}/containers/{identifier}"
                engine.client.delete(url, params={"force": "true"})
            removed += 1
    return removed


def _external(engine: DockerEngine) -> list[Mapping[str, Any]]:
    with translated(engine.host):
        url = f"{engine.client.base_url}{_LIBPOD}/containers/json"
        response = engine.client.get(url, params={"all": "true", "external": "true"})
        response.raise_for_status()
        entries = response.json()
    # The list includes Podman's own containers; those of builds have this command.
    return [
        entry
        for entry in entries or ()
        if isinstance(entry, dict) and entry.get("Command") == ["buildah"]
    ]


def _time(text: object) -> float:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return 0.0


def _end_processes(engine: DockerEngine, container: str) -> None:
    """Kills the processes in a container's root, if the engine runs on this host."""
    root = Path(engine.info().folder or "/nonexistent")
    try:
        # Not at the top: only stopped builds need it.
        from layerscope.images.stores.data_folder import DataFolder
        from layerscope.images.stores.podman import PodmanStore

        layer = PodmanStore(DataFolder(root)).container_layer(container)
    except (LayerscopeError, OSError):
        return
    upper = f"upperdir={root}/overlay/{layer}/diff"
    for process in _processes():
        if _root_is(process, upper):
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)


def _processes() -> list[int]:
    try:
        return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    except OSError:
        return []


def _root_is(process: int, upper: str) -> bool:
    """Whether the root of a process is an overlay with an upper directory."""
    try:
        lines = Path(f"/proc/{process}/mountinfo").read_text().splitlines()
    except OSError:
        return False
    # proc(5): field 5 is the mount point, the last one the file system's options.
    return any(
        len(fields) > 4 and fields[4] == "/" and upper in fields[-1].split(",")
        for fields in map(str.split, lines)
    )
