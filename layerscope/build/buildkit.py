"""Builds with BuildKit, by `docker buildx build --progress=rawjson`.

buildx speaks BuildKit's session protocol, sends the context and knows the user's builders; what it
is told by BuildKit it prints as JSON objects one after another. Layers are there at the end, when
the image is: each instruction of the stage has one entry in its history, in order, which says
whether it has a layer.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from layerscope.build.plan import Plan
from layerscope.build.recorder import Recorder
from layerscope.build.request import BuildRequest
from layerscope.build.vertices import Vertices, reason
from layerscope.errors import BuildFailedError, EngineError, LayerscopeError
from layerscope.images.reader import ImageReader
from layerscope.jobs.worker import Cancellation

#: Seconds after which a buildx that was asked to stop is ended.
_PATIENCE = 10.0


@functools.cache
def has_buildx() -> bool:
    """Whether there is a `docker` with buildx on this host."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        asked = subprocess.run(  # noqa: S603
            [docker, "buildx", "version"], capture_output=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def build_by_buildkit(
    request: BuildRequest,
    plan: Plan,
    recorder: Recorder,
    wish: Cancellation,
    open_image: Callable[[str], ImageReader],
    triggers: Callable[[str], Sequence[str]],
) -> str:
    """Builds an image.

    Args:
        request: What to build.
        plan: The steps of the Dockerfile.
        recorder: Takes the steps.
        wish: The wish to stop.
        open_image: Opens an image of the engine by its id.
        triggers: What an image of the engine has for those that build on it, by its name.

    Returns:
        Id of the image.

    Raises:
        LayerscopeError: There is no buildx, the build failed, or it was stopped.
    """
    docker = shutil.which("docker")
    if docker is None:
        raise _no_buildx()
    watch = Vertices(plan, recorder, triggers)
    with tempfile.TemporaryDirectory(prefix="layerscope-") as folder:
        iid, given = Path(folder) / "iid", Path(folder) / "Dockerfile"
        given.write_bytes((request.text or "").encode("utf-8", "surrogateescape"))
        with (
            given.open("rb") as dockerfile,
            subprocess.Popen(  # noqa: S603
                [*_bound(), docker, *_arguments(request, iid)],
                stdin=dockerfile,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={**os.environ, "BUILDKIT_PROGRESS": "rawjson"},
                # A signal to this group of processes is ours to pass on.
                process_group=0,
            ) as process,
        ):
            wish.on_cancel(lambda: _stop(process))
            assert process.stderr is not None  # noqa: S101
            tail = watch.read(process.stderr)
            code = process.wait()
        wish.check()
        if code:
            # Asked only now, since the answer takes as long as many a step.
            if not watch.spoke and not has_buildx():
                raise _no_buildx()
            watch.tell_ended(cached=True)
            raise BuildFailedError(f"The build failed: {watch.problem or _reason(tail)}")
        image = iid.read_text().strip()
    try:
        reader = open_image(image)
    except LayerscopeError:
        # The containerd store knows an image without layers by its name only.
        if not request.tags:
            watch.tell_ended()
            return image
        reader = open_image(request.tags[0])
    with closing(reader):
        watch.settle(reader)
        return reader.image.id or image


def _bound() -> list[str]:
    """What starts a program so that it ends with us, even if we are killed; where there is one."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return []
    try:
        asked = subprocess.run(  # noqa: S603
            [setpriv, "--help"], capture_output=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    # That of BusyBox cannot.
    known = b"--pdeathsig" in asked.stdout
    return [setpriv, "--pdeathsig", "TERM", "--"] if known else []


def _no_buildx() -> EngineError:
    return EngineError(
        "BuildKit needs a docker command with buildx, and there is none here.",
        "Install docker-buildx, or use --builder classic.",
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    # Should it wait for a daemon that does not answer.
    timer = threading.Timer(_PATIENCE, process.kill)
    timer.daemon = True
    timer.start()


def _arguments(request: BuildRequest, iid: Path) -> list[str]:
    arguments = ["buildx", "build", "--progress=rawjson", "--load", f"--iidfile={iid}"]
    arguments += [f"--file={request.dockerfile}"]
    arguments += [f"--tag={tag}" for tag in request.tags]
    for name, value in (request.build_args or {}).items():
        arguments.append(f"--build-arg={name}" if value is None else f"--build-arg={name}={value}")
    arguments += [f"--label={name}={value}" for name, value in (request.labels or {}).items()]
    arguments += [f"--secret={secret}" for secret in request.secrets]
    for flag, value in (
        ("target", request.target),
        ("platform", request.platform),
        ("network", request.network),
    ):
        if value:
            arguments.append(f"--{flag}={value}")
    if request.no_cache:
        arguments.append("--no-cache")
    if request.pull:
        arguments.append("--pull")
    return [*arguments, "--", request.context]


def _reason(tail: deque[str]) -> str:
    """The last thing that buildx said in plain words."""
    for line in reversed(tail):
        if line.startswith("ERROR:"):
            return reason(line)
    return reason(tail[-1]) if tail else "buildx gave no reason."
