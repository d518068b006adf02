"""What a build has in the engine while it runs, noted, so that others can clean up after it.

A build that is stopped takes away what it has begun. One that is killed cannot, nor can one whose
engine does not answer: the next build on that engine does it for them, or `layerscope jobs cancel`.
Images of steps stay: they are cache hits for the next build.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from layerscope.engines.address import Address, current_address
from layerscope.engines.builds import remove_build_container
from layerscope.engines.docker import Engine, connect
from layerscope.engines.podman_builds import remove_working_containers
from layerscope.errors import LayerscopeError
from layerscope.images.cache_folder import write_whole
from layerscope.jobs.folder import all_jobs
from layerscope.jobs.job import LEFT, Job, State


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What a build would leave if it ended now.

    Attributes:
        engine: Where the engine listens.
        container: Id of the container of the step that runs, of Docker's classic builder.
        working: Of Podman, the working containers that were there before the build.
        windows: Of Podman, for the id of each image that the build works on, the Unix times between
            which its container was made; None for Docker.
    """

    engine: str
    container: str | None = None
    working: frozenset[str] = frozenset()
    windows: Mapping[str, tuple[float, float]] | None = field(default=None)

    @property
    def anything(self) -> bool:
        """Whether there is anything to be taken away."""
        return bool(self.container or self.windows)


def note(folder: Path, left: Leftovers) -> None:
    """Notes what a job has in the engine; a disk that is full keeps no build from going on."""
    if not left.anything:
        forget(folder)
        return
    windows = None
    if left.windows is not None:
        # JSON has no infinity.
        windows = {
            image: [begun, None if math.isinf(ended) else ended]
            for image, (begun, ended) in left.windows.items()
        }
    document = {
        "engine": left.engine,
        "container": left.container,
        "working": sorted(left.working),
        "windows": windows,
    }
    with suppress(OSError):
        write_whole(folder / LEFT, json.dumps(document).encode())


def forget(folder: Path) -> None:
    """Nothing is left of a job."""
    with suppress(OSError):
        (folder / LEFT).unlink()


def noted(folder: Path) -> Leftovers | None:
    """What a job has left; None if that is nothing."""
    try:
        document = json.loads((folder / LEFT).read_bytes())
        windows = document["windows"]
        if windows is not None:
            ended = (folder / LEFT).stat().st_mtime
            windows = {
                # What was open had begun when that was noted.
                str(image): (float(times[0]), float(ended if times[1] is None else times[1]))
                for image, times in windows.items()
            }
        container = document["container"]
        return Leftovers(
            str(document["engine"]),
            None if container is None else str(container),
            frozenset(map(str, document["working"])),
            windows,
        )
    except (OSError, ValueError, TypeError, KeyError, LookupError):
        return None


def take_away(engine: Engine, left: Leftovers) -> int:
    """Ends and removes the containers that a build has left.

    Returns:
        How many there were.

    Raises:
        LayerscopeError: The engine did not do it.
    """
    removed = 0
    if left.windows is not None:
        removed += remove_working_containers(engine, left.working, left.windows)
    if left.container is not None:
        removed += remove_build_container(engine, left.container)
    return removed


def abandoned(host: str) -> list[tuple[Job, Leftovers]]:
    """The jobs that have ended and left something in an engine."""
    return [
        (job, left)
        for job in all_jobs()
        if (left := noted(job.folder)) is not None
        and left.engine == host
        and job.state is not State.RUNNING
    ]


def clean_up(engine: Engine, own: Job, say: Callable[[str], object]) -> None:
    """Takes away what jobs before have left in an engine.

    Args:
        engine: The engine.
        own: The job that does so.
        say: Takes a sentence for each of them that had left something indeed.
    """
    for job, left in abandoned(engine.host):
        if left.windows is not None and _others_build(engine.host, own.id):
            continue
        with suppress(LayerscopeError, OSError):
            removed = take_away(engine, left)
            forget(job.folder)
            if removed:
                what = "a container" if removed == 1 else f"{removed} containers"
                say(f"Job {job.id} had left {what} in the engine; that is removed now.")


def clean_after(job: Job) -> int:
    """Takes away what a job that has ended left in its engine.

    Returns:
        How many containers there were.

    Raises:
        LayerscopeError: The engine did not do it, or another build works there.
    """
    left = noted(job.folder)
    removed = 0
    if left is not None:
        if left.windows is not None and _others_build(left.engine, job.id):
            raise LayerscopeError(
                "Another build runs on that engine, whose containers look the same.",
                "Try again when it has ended.",
            )
        address = current_address()
        if address.host != left.engine:
            address = Address(left.engine, None, "the job")
        with closing(connect(address)) as engine:
            removed = take_away(engine, left)
    forget(job.folder)
    return removed


def _others_build(host: str, own: str) -> bool:
    """Whether another build works on an engine: Podman's containers do not tell whose they are."""
    return any(
        job.id != own and job.spec.get("engine") == host and job.state is State.RUNNING
        for job in all_jobs()
    )


def done_patiently(tasks: list[Callable[[], object]], patience: float) -> bool:
    """Does what an engine may refuse at first, as it takes a moment to see that nobody listens.

    Returns:
        Whether all of it was done.
    """
    until = time.monotonic() + patience
    done = True
    while tasks:
        try:
            tasks[0]()
        except LayerscopeError:
            if time.monotonic() < until:
                time.sleep(0.2)
                continue
            done = False
        tasks.pop(0)
    return done
