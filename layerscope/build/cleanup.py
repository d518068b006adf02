"""Records what a running build has in the engine, so that others can clean up after it.

A stopped build removes what it created. A killed build cannot, nor can one whose engine does not
answer: the next build on that engine does it, or `layerscope jobs cancel`. Images of steps stay, as
cache hits for the next build.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from layerscope.build.request import BUILD
from layerscope.engines.address import Address, current_address
from layerscope.engines.builds import remove_build_container
from layerscope.engines.docker import DockerEngine, connect
from layerscope.engines.podman_builds import Windows, remove_working_containers
from layerscope.errors import LayerscopeError
from layerscope.jobs.folder import all_jobs
from layerscope.jobs.job import LEFT, Job, State
from layerscope.records import Record, read, replace
from layerscope.writing import write_whole


class Leftovers(Record, frozen=True):
    """What a build would leave behind if it ended now."""

    engine: str  # The engine's address.
    #: For Docker's classic builder, the id of the container of the running step.
    container: str | None = None
    #: For Podman, the working containers that existed before the build.
    working: frozenset[str] = frozenset()
    windows: Windows | None = None  # For Podman, when the containers of the build were created.

    @property
    def anything(self) -> bool:
        return bool(self.container or self.windows)


def note(folder: Path, left: Leftovers) -> None:
    """Records what a job has in the engine; ignores a full disk."""
    if not left.anything:
        forget(folder)
        return
    with suppress(OSError):
        write_whole(folder / LEFT, left.dump())


def forget(folder: Path) -> None:
    with suppress(OSError):
        (folder / LEFT).unlink()


def noted(folder: Path) -> Leftovers | None:
    """Returns what a job has left behind, or None."""
    left = read(folder / LEFT, Leftovers)
    if left is None or left.windows is None:
        return left
    try:
        noted_at = (folder / LEFT).stat().st_mtime
    except OSError:
        return None
    # A container whose window was open already existed at the time of the record.
    closed = {
        image: (begun, noted_at if ended is None else ended)
        for image, (begun, ended) in left.windows.items()
    }
    return replace(left, windows=closed)


def remove_left(engine: DockerEngine, left: Leftovers) -> int:
    """Stops and removes the containers that a build has left, and returns their number.

    Raises LayerscopeError if the engine fails to.
    """
    removed = 0
    if left.windows is not None:
        removed += remove_working_containers(engine, left.working, left.windows)
    if left.container is not None:
        removed += remove_build_container(engine, left.container)
    return removed


def abandoned(host: str) -> list[tuple[Job, Leftovers]]:
    """Returns the ended jobs that have left something in an engine."""
    return [
        (job, left)
        for job in all_jobs()
        if (left := noted(job.folder)) is not None
        and left.engine == host
        and job.state is not State.RUNNING
    ]


def clean_up(engine: DockerEngine, own: Job, say: Callable[[str], object]) -> None:
    """Removes what jobs before `own` have left in an engine, and reports a sentence for each."""
    for job, left in abandoned(engine.host):
        if left.windows is not None and _others_build(engine.host, own.id):
            continue
        with suppress(LayerscopeError, OSError):
            removed = remove_left(engine, left)
            forget(job.folder)
            if removed:
                what = "a container" if removed == 1 else f"{removed} containers"
                say(f"Removed {what} that job {job.id} had left in the engine.")


def clean_after(job: Job) -> int:
    """Removes what an ended job has left in its engine; returns the number of containers.

    Raises LayerscopeError if the engine fails to, or another build is running there.
    """
    left = noted(job.folder)
    removed = 0
    if left is not None:
        if left.windows is not None and _others_build(left.engine, job.id):
            raise LayerscopeError(
                "Another build runs on that engine, and their containers cannot be distinguished.",
                "Try again when it has ended.",
            )
        address = current_address()
        if address.shown != left.engine:
            address = Address(left.engine, None, "the job")
        with closing(connect(address)) as engine:
            removed = remove_left(engine, left)
    forget(job.folder)
    return removed


def _others_build(host: str, own: str) -> bool:
    """Whether another build runs on an engine: Podman does not know whose containers are whose."""
    return any(
        job.id != own and request.engine == host and job.state is State.RUNNING
        for job in all_jobs()
        if (request := BUILD.request_of(job)) is not None
    )


def retried(tasks: list[Callable[[], object]], patience: float) -> bool:
    """Retries tasks that an engine refuses until it has noticed that its client hung up.

    Returns whether all of them succeeded.
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
