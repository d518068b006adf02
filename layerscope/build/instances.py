"""The builders of buildx, with their endpoints and states.

`docker buildx create` stores each in a file in `buildx/instances` in Docker's settings folder;
`docker buildx inspect` reports their states.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from layerscope.build.buildkit import buildx_output
from layerscope.engines.address import docker_folder
from layerscope.records import Record, lenient_file

_MOST = 32  # The most builders to inspect.
_PATIENCE = 15.0  # Seconds for all of them together to answer.


class _Node(Record, frozen=True, rename="pascal"):
    endpoint: str = ""


class _Instance(Record, frozen=True, rename="pascal"):
    name: str = ""
    driver: str = ""
    nodes: tuple[_Node, ...] = ()


@dataclass(frozen=True, slots=True)
class BuilderInstance:
    """A builder of buildx; its texts are not safe to show."""

    name: str
    driver: str = ""  # `docker`, `docker-container`, `kubernetes` or `remote`.
    endpoints: tuple[str, ...] = ()  # Of its nodes.
    state: str = ""  # Such as `running` or `inactive`; "" if unknown.
    problem: str = ""  # Why it cannot be used.
    buildkit: str = ""  # Version of BuildKit.
    platforms: tuple[str, ...] = ()
    current: bool = False  # Whether it is buildx's default.


def known_instances() -> list[BuilderInstance]:
    """Returns the stored builders, without querying them."""
    named = os.environ.get("BUILDX_CONFIG")
    folder = (Path(named) if named else docker_folder() / "buildx") / "instances"
    try:
        paths = sorted(folder.iterdir())[:_MOST]
    except OSError:
        return []
    files = (lenient_file(path, _Instance) for path in paths)
    return [
        BuilderInstance(each.name, each.driver, tuple(node.endpoint for node in each.nodes))
        for each in files
        if each is not None and each.name
    ]


def instance_states() -> list[BuilderInstance]:
    """Returns all builders with their states, including the current one.

    Queries them by buildx in parallel; without buildx, their states are unknown.
    """
    known = {each.name: each for each in known_instances()}
    names = ["", *known]
    answers: dict[str, BuilderInstance] = {}

    def ask(name: str) -> None:
        output = buildx_output("inspect", *([name] if name else []))
        if output is not None:
            answers[name] = parsed(output.decode(errors="replace"))

    # Daemon threads, so that the program can exit before they end.
    threads = [Thread(target=ask, args=(name,), daemon=True) for name in names]
    for thread in threads:
        thread.start()
    end = time.monotonic() + _PATIENCE
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    found = {name: answers.get(name, each) for name, each in known.items()}
    current = answers.get("")
    if current is not None and current.name:
        found[current.name] = current
    return sorted(
        (_with_known(each, known.get(each.name), current) for each in found.values()),
        key=lambda each: (not each.current, each.name),
    )


def _with_known(
    each: BuilderInstance, known: BuilderInstance | None, current: BuilderInstance | None
) -> BuilderInstance:
    return BuilderInstance(
        each.name,
        each.driver or (known.driver if known is not None else ""),
        each.endpoints or (known.endpoints if known is not None else ()),
        each.state,
        each.problem,
        each.buildkit,
        each.platforms,
        current=current is not None and each.name == current.name,
    )


def parsed(text: str) -> BuilderInstance:
    """Parses `docker buildx inspect`: `Name: value` lines of the builder and of each node."""
    builder, _, nodes = text.partition("\nNodes:")
    values: dict[str, list[str]] = {}
    for line in nodes.splitlines():
        key, colon, value = line.partition(":")
        if colon and value.strip():
            values.setdefault(key.strip(), []).append(value.strip())
    head = dict(_pairs(builder.splitlines()))
    error = head.get("Error") or next(iter(values.get("Error", ())), "")
    states = list(dict.fromkeys(values.get("Status", ())))
    platforms = (p.strip("* ") for line in values.get("Platforms", ()) for p in line.split(","))
    versions = values.get("BuildKit version") or values.get("BuildKit") or values.get("Buildkit")
    return BuilderInstance(
        head.get("Name", ""),
        head.get("Driver", ""),
        tuple(values.get("Endpoint", ())),
        ", ".join(states) or ("error" if error else ""),
        error,
        next(iter(versions or ()), ""),
        tuple(dict.fromkeys(filter(None, platforms))),
    )


def _pairs(lines: Sequence[str]) -> list[tuple[str, str]]:
    split = (line.partition(":") for line in lines)
    return [(key.strip(), value.strip()) for key, colon, value in split if colon]
