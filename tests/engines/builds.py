"""Builds as users start them: a process, its events, and what is left in the engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.engines.docker_daemon import DockerDaemon
from tests.engines.harness import Engine
from tests.truth.command import run_program

REPOSITORY = Path(__file__).resolve().parents[2]

#: Each builder on each engine that has it.
MATRIX = (
    ("docker-debian", "classic"),
    ("docker-28", "classic"),
    ("docker-28", "buildkit"),
    ("docker-28-containerd", "classic"),
    ("docker-28-containerd", "buildkit"),
    ("podman", "podman"),
)

#: One engine for each builder: classic, BuildKit, Podman.
BUILDERS = (MATRIX[1], MATRIX[2], MATRIX[5])

Event = dict[str, Any]


@dataclass(frozen=True)
class Built:
    """A build that is over."""

    code: int
    events: list[Event]
    errors: str

    def of(self, *kinds: str) -> list[Event]:
        """Return the events of some kinds."""
        return [event for event in self.events if event["event"] in kinds]

    def step(self, step: int) -> Event:
        """Return how a step ended."""
        kinds = ("step_committed", "step_cached", "step_failed")
        (found,) = [event for event in self.of(*kinds) if event["step"] == step]
        return found

    def log(self, step: int) -> list[str]:
        """Return the log of a step."""
        return [event["text"] for event in self.of("log") if event.get("step") == step]


@dataclass
class Site:
    """A build context, an engine and a builder."""

    engine: Engine
    builder: str
    folder: Path

    @property
    def context(self) -> Path:
        folder = self.folder / "context"
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a user whose `docker` is the engine's own."""
        path = self.engine.path if isinstance(self.engine, DockerDaemon) else os.environ["PATH"]
        return {
            **self.engine.env,
            "PATH": f"{Path(sys.executable).parent}:{path}",
            "HOME": str(self.folder),
            "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
            "PYTHONPATH": str(REPOSITORY),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
        }

    def write(self, dockerfile: str, **files: str) -> None:
        """Write the Dockerfile, and other files of the context."""
        (self.context / "Dockerfile").write_text(dockerfile)
        for name, text in files.items():
            (self.context / name).write_text(text)

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of `layerscope`."""
        return [sys.executable, "-m", "layerscope", *arguments]

    def build_command(self, *arguments: str) -> list[str]:
        """Return the command line of a build."""
        flags = ["--builder", self.builder, "--network", "host", "--json-lines"]
        return self.command("build", *flags, *arguments, str(self.context))

    def run(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run `layerscope`."""
        return run_program(self.command(*arguments), self.environment, timeout=timeout)

    def build(self, *arguments: str, timeout: float = 300, **variables: str) -> Built:
        """Build with more variables in the environment, and wait for the end."""
        run = run_program(
            self.build_command(*arguments), self.environment | variables, timeout=timeout
        )
        return Built(run.returncode, [json.loads(x) for x in run.stdout.splitlines()], run.stderr)

    @contextmanager
    def begun(self, until: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Begin a build, and wait until a line of its log begins with a text."""
        with subprocess.Popen(
            self.build_command(*arguments),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                event = json.loads(line)
                if event["event"] == "log" and event["text"].startswith(until):
                    break
            else:
                raise AssertionError(f"the build never said {until}")
            try:
                yield process
            finally:
                process.kill()

    def inspect(self, image: str) -> dict[str, Any]:
        """Return what `layerscope inspect` says of an image."""
        run = self.run("inspect", f"docker-daemon:{image}", "--json")
        assert run.returncode == 0, run.stderr
        document: dict[str, Any] = json.loads(run.stdout)
        return document

    def runs(self, words: str) -> bool:
        """Tell whether a process of the engine or of this site has words on its command line."""
        marks = (self.engine.folder.path.name.encode(), str(self.folder).encode())
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ")
                if words.encode() not in command:
                    continue
                context = (process / "environ").read_bytes() + (process / "cgroup").read_bytes()
            except OSError:
                continue
            if any(mark in command + context for mark in marks):
                return True
        return False

    def left(self) -> tuple[set[str], set[str]]:
        """Return the ids of all images and all containers, working ones of Podman included."""
        with self.engine.api() as api:
            images = {image["Id"] for image in api.images(all=True)}
            containers = {container["Id"] for container in api.containers(all=True)}
        if self.engine.kind == "podman":
            run = subprocess.run(
                [*self.engine.command("ps", "--all", "--external", "--quiet")],
                env=self.engine.env,
                capture_output=True,
                text=True,
                check=True,
            )
            containers |= set(run.stdout.split())
        return images, containers
