"""Runs a shell or a command in an engine's image or container, by the engine's own command."""

from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from layerscope.content.description import NotThatKind
from layerscope.content.elf import describe_elf
from layerscope.errors import UsageError
from layerscope.text import short_name

#: Starts the best shell in the image. Drops the exit code of its last command, which could be
#: mistaken for one of docker's own.
_SHELL = "if command -v bash >/dev/null 2>&1; then bash; else sh; fi; exit 0"

_CONTAINER, _DAEMON = "container:", "docker-daemon:"
BUSYBOX = "/.layerscope/busybox"  # Its mount point: a path that no image has.

#: Exit codes of docker and podman themselves: no container, or no such program in it.
NOT_STARTED, NOT_RUNNABLE, NOT_FOUND = 125, 126, 127


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A shell or a command in an image or a container."""

    source: str  # `container:NAME`, `docker-daemon:NAME`, or a name or an id of an image.
    command: tuple[str, ...] = ()  # Empty for a shell.
    shell: str = ""  # Name or path of a shell; "" for the best available one.
    user: str = ""  # Name or number, optionally with a group; "" for the image's user.
    platform: str = ""
    busybox: str = ""  # Path of a busybox on this host, to run instead of the image's programs.
    terminal: bool = True  # Whether its input is a terminal.
    workdir: str = ""  # Empty for the image's.
    env: tuple[str, ...] = ()  # Variables: `NAME=VALUE`, or `NAME` for the value here.

    @property
    def words(self) -> list[str]:
        """Returns the command to run."""
        if self.busybox:
            return [BUSYBOX, *(self.command or ("sh",))]
        return [*self.command] or shell_words(self.shell)


def in_engine(source: str) -> bool:
    """Whether a source is an image or a container of an engine."""
    return source.startswith((_CONTAINER, _DAEMON))


def run_command(request: RunRequest, *, podman: bool = False) -> list[str]:
    """Returns the command that runs it in a new container of an image, or in a running one.

    Raises UsageError if neither docker nor podman is installed.
    """
    names = ("podman", "docker") if podman else ("docker", "podman")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        raise UsageError(
            "A shell needs the docker or podman command; neither is installed.",
            "Install the one of your engine.",
        )
    options = ["--interactive", *(["--tty"] if request.terminal else [])]
    if request.user:
        options += ["--user", request.user]
    if request.workdir:
        options += ["--workdir", request.workdir]
    options += [f"--env={each}" for each in request.env]
    if request.source.startswith(_CONTAINER):
        if request.busybox:
            raise UsageError(
                "Nothing can be mounted into a container that exists.",
                "Run its image, or commit the container and run that.",
            )
        name = request.source.removeprefix(_CONTAINER)
        return [program, "exec", *options, name, *request.words]
    if request.platform:
        options += ["--platform", request.platform]
    if request.busybox:
        options += ["--volume", f"{request.busybox}:{BUSYBOX}:ro"]
    image = request.source.removeprefix(_DAEMON)
    entrypoint, *rest = request.words
    return [program, "run", "--rm", *options, "--entrypoint", entrypoint, image, *rest]


def shell_words(shell: str = "") -> list[str]:
    """Returns the command of a shell, by default the best available one."""
    if shell:
        return [shell, "-c", f"{shlex.quote(shell)}; exit 0"]
    return ["sh", "-c", _SHELL]


def find_busybox() -> str:
    """Returns the path of a static busybox on this host, or ""."""
    found = shutil.which("busybox") or ""
    return found if found and is_static(found) else ""


def is_static(path: str) -> bool:
    """Whether a program runs without libraries."""
    try:
        with Path(path).open("rb") as file:
            described = describe_elf(_Program(file.fileno()))
    except (OSError, NotThatKind):
        return False
    return any(fact.key == "static" and fact.value is True for fact in described.facts)


class _Program:
    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.size = os.fstat(fd).st_size

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._fd, length, offset)


def shell_place(source: str) -> str:
    """Describes where a shell runs, safe to show."""
    return short_name(source.removeprefix(_DAEMON).removeprefix(_CONTAINER))
