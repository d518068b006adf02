"""Builds by Podman's API: secrets, and what a stopped build leaves.

Secrets come as files in the context, named in a parameter `secrets`, as Podman's own client sends
them; Podman moves them out of the context before anything is built from it.

What is left are working containers, and a command that runs on: Podman's API lets go of a build
when its client hangs up, but the command of its step goes on until it ends by itself, and the
containers that the build works in stay. They are no containers of Podman but of the storage below
it, which its own API (`libpod`) lists as `external`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from layerscope.engines.answers import told
from layerscope.engines.docker import Engine
from layerscope.errors import LayerscopeError

#: The version of libpod's API that has what is asked for; later ones answer to it too.
_LIBPOD = "/v4.0.0/libpod"

#: Seconds by which clocks and journals may differ.
_SLACK = 1.0


#: The first Podman that moves secrets out of the context. One before would copy them into layers.
_SECRETS = (4, 0)
#: The first that reads a mount with `required` alone; the service of one before crashes at it
#: (containers/podman issue 18438).
_REQUIRED = (4, 6)


def takes_secrets(engine: Engine) -> bool:
    """Whether builds can be given secrets by the engine's API."""
    return _version(engine) >= _SECRETS


def crashes_at_required(engine: Engine) -> bool:
    """Whether the engine ends at a mount of a secret with `required` and no value."""
    return _version(engine) < _REQUIRED


def _version(engine: Engine) -> tuple[int, int]:
    found = re.match(r"Podman (\d+)\.(\d+)", engine.name)
    return (0, 0) if found is None else (int(found[1]), int(found[2]))


def secret_files(values: Mapping[str, bytes]) -> tuple[dict[str, bytes], dict[str, str]]:
    """How a build is given secrets.

    Args:
        values: Their values by their ids.

    Returns:
        Files to add to the context by name, and query parameters of the build.
    """
    # Nobody's COPY can name what nobody can guess, whatever becomes of the file.
    names = {identifier: f".layerscope.{secrets.token_hex(16)}" for identifier in values}
    listed = [f"id={identifier},src={name}" for identifier, name in names.items()]
    files = {names[identifier]: value for identifier, value in values.items()}
    return files, {"secrets": json.dumps(listed)} if listed else {}


def working_containers(engine: Engine) -> frozenset[str]:
    """Ids of the containers that builds work in, whoever's they are.

    Raises:
        EngineError: The engine did not answer as it should.
    """
    return frozenset(str(entry.get("Id")) for entry in _external(engine))


def remove_working_containers(
    engine: Engine, before: frozenset[str], images: Mapping[str, tuple[float, float]]
) -> int:
    """Ends the commands that a stopped build left running, and removes its containers.

    Args:
        engine: The engine.
        before: Working containers that were there when the build began: they are somebody else's.
        images: For the id of each image that the build made, or began a stage with, the Unix times
            between which its container was made.

    Returns:
        How many there were.

    Raises:
        EngineError: The engine did not do it.
    """
    removed = 0
    for entry in _external(engine):
        identifier = str(entry.get("Id"))
        image = f"sha256:{entry.get('ImageID')}"
        window = images.get(image)
        if identifier in before or window is None:
            continue
        if window[0] - _SLACK <= _time(entry.get("Created")) <= window[1] + _SLACK:
            _end_processes(engine, identifier)
            with told(engine.host):
                url = f"{engine.client.base_url}{_LIBPOD}/containers/{identifier}"
                engine.client.delete(url, params={"force": "true"})
            removed += 1
    return removed


def _external(engine: Engine) -> list[Mapping[str, Any]]:
    with told(engine.host):
        url = f"{engine.client.base_url}{_LIBPOD}/containers/json"
        response = engine.client.get(url, params={"all": "true", "external": "true"})
        response.raise_for_status()
        entries = response.json()
    # Podman's own containers are listed too; those of builds have this for a command.
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


def _end_processes(engine: Engine, container: str) -> None:
    """Kills what runs in a container's root, where the engine runs on this host."""
    root = Path(str(engine.info().get("DockerRootDir") or "/nonexistent"))
    try:
        # Not at the top: of a build that goes well, nobody need wait for these.
        from layerscope.images.data_folder import DataFolder
        from layerscope.images.podman_store import PodmanStore

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
    """Whether the root of a process is an overlay with that upper folder."""
    try:
        lines = Path(f"/proc/{process}/mountinfo").read_text().splitlines()
    except OSError:
        return False
    # proc(5): the fifth field is the mount point, the last one the file system's options.
    return any(
        len(fields) > 4 and fields[4] == "/" and upper in fields[-1].split(",")
        for fields in map(str.split, lines)
    )
