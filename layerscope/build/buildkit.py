"""Builds with BuildKit, by `docker buildx build --progress=rawjson`.

buildx speaks BuildKit's session protocol, sends the context and knows the user's builders; it
prints BuildKit's status as a stream of JSON objects. Layers exist only at the end, with the image:
its history has an entry for each instruction of the stage, in order, with or without a layer.
"""

from __future__ import annotations

import functools
import re
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from io import BufferedIOBase
from pathlib import Path

from layerscope.build.plan import Plan
from layerscope.build.recorder import Recorder
from layerscope.build.request import BuildRequest
from layerscope.build.vertices import Vertices, reason
from layerscope.engines.address import command_environment
from layerscope.errors import BuildFailedError, EngineError, LayerscopeError
from layerscope.images.reader import ImageReader
from layerscope.jobs.worker import Cancellation
from layerscope.programs import OutputError, run
from layerscope.writing import temporary_folder

_PATIENCE = 10.0  # Seconds before an interrupted buildx is killed.


@functools.cache
def has_buildx() -> bool:
    """Whether there is a `docker` with buildx on this host."""
    return _output("docker", "buildx", "version") is not None


@functools.cache
def buildx_builder(instance: str = "", engine: str = "") -> tuple[str, int]:
    """Returns the driver of a buildx builder, and the minor version of its BuildKit.

    "" as `instance` means the current one, which depends on the engine. Returns "" and 0 if
    unknown.
    """
    output = buildx_output("inspect", *([instance] if instance else []))
    text = (output or b"").decode(errors="replace")
    driver = re.search(r"^Driver: *(\S+)", text, re.MULTILINE)
    version = re.search(r"^BuildKit(?: version)?: *v?0\.(\d+)", text, re.MULTILINE)
    return driver[1] if driver else "", int(version[1]) if version else 0


def buildx_output(*arguments: str) -> bytes | None:
    """Returns the output of `docker buildx` for the current engine; None if missing or failed."""
    return _output("docker", "buildx", *arguments)


def _output(name: str, *arguments: str) -> bytes | None:
    """Returns the output of a program; None if it is not installed or fails."""
    program = shutil.which(name)
    if program is None:
        return None
    try:
        environment = command_environment()
        code, out, _ = run([program, *arguments], seconds=20, group=True, environment=environment)
    except (OSError, OutputError, EngineError):
        return None
    return None if code else out


def build_by_buildkit(
    request: BuildRequest,
    plan: Plan,
    recorder: Recorder,
    cancellation: Cancellation,
    open_image: Callable[[str], ImageReader],
    triggers: Callable[[str], Sequence[str]],
) -> str:
    """Builds an image, and returns its id.

    `triggers` returns the ONBUILD instructions of an image of the engine, by name. Raises
    LayerscopeError if there is no buildx, the build failed, or it was stopped.
    """
    docker = shutil.which("docker")
    if docker is None:
        raise _no_buildx()
    watch = Vertices(plan, recorder, triggers)
    with temporary_folder() as folder:
        iid, given = folder / "iid", folder / "Dockerfile"
        given.write_bytes((request.text or "").encode("utf-8", "surrogateescape"))
        with (
            given.open("rb") as dockerfile,
            subprocess.Popen(  # noqa: S603
                [*_bound(), docker, *_arguments(request, iid)],
                stdin=dockerfile,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={**command_environment(), "BUILDKIT_PROGRESS": "rawjson"},
                # `_stop` passes on signals to this process group.
                process_group=0,
            ) as process,
        ):
            cancellation.on_cancel(lambda: _stop(process))
            assert isinstance(process.stderr, BufferedIOBase)  # noqa: S101
            tail = watch.read(process.stderr)
            code = process.wait()
        cancellation.check()
        if code:
            # Checked last, since it takes as long as many steps.
            if not watch.spoke and not has_buildx():
                raise _no_buildx()
            watch.write_ended(cached=True)
            why = watch.problem or _reason(tail)
            # Text of buildx around the reason why a build could not begin.
            for line in () if recorder.failed else tail:
                if reason(line) != why:
                    recorder.log(None, f"{line}\n")
            raise BuildFailedError(f"The build failed: {why}")
        image = iid.read_text().strip()
    try:
        reader = open_image(image)
    except LayerscopeError:
        # The containerd store finds an image without layers only by name.
        if not request.tags:
            watch.write_ended()
            return image
        reader = open_image(request.tags[0])
    with closing(reader):
        watch.settle(reader)
        return reader.image.id or image


def _bound() -> list[str]:
    """Returns a command prefix that ends the program if this process is killed, or nothing."""
    # BusyBox has a setpriv without the option.
    if b"--pdeathsig" not in (_output("setpriv", "--help") or b""):
        return []
    return ["setpriv", "--pdeathsig", "TERM", "--"]


def _no_buildx() -> EngineError:
    return EngineError(
        "BuildKit needs a docker command with buildx, which is not installed.",
        "Install docker-buildx, or use --builder classic.",
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    # It may wait for a daemon that does not answer.
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
    arguments += [f"--ssh={agent}" for agent in request.ssh]
    values = {"target": request.target, "platform": request.platform, "network": request.network}
    values["builder"] = request.instance
    arguments += [f"--{flag}={value}" for flag, value in values.items() if value]
    arguments += ["--no-cache"] * request.no_cache + ["--pull"] * request.pull
    return [*arguments, "--", request.context]


def _reason(tail: deque[str]) -> str:
    errors = [line for line in tail if line.startswith("ERROR:")] or [*tail]
    return reason(errors[-1]) if errors else "buildx gave no reason."
