"""The command that runs a shell in an image, or in a container, of an engine."""

from __future__ import annotations

import shutil

from layerscope.errors import UsageError
from layerscope.text import short_name

#: Starts the best shell that the image has. The exit code of its last command is dropped: it could
#: be mistaken for one of docker's own.
_SHELL = "if command -v bash >/dev/null 2>&1; then bash; else sh; fi; exit 0"

_CONTAINER, _DAEMON = "container:", "docker-daemon:"


def in_engine(source: str) -> bool:
    """Whether a source is an image or a container of an engine."""
    return source.startswith((_CONTAINER, _DAEMON))


def shell_command(source: str, *, podman: bool = False, platform: str = "") -> list[str]:
    """The command for a shell in a new container of an image, or in a container that runs.

    Raises UsageError if neither docker nor podman is installed.
    """
    names = ("podman", "docker") if podman else ("docker", "podman")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        raise UsageError(
            "A shell needs the docker or podman command; neither is installed.",
            "Install the one of your engine.",
        )
    if source.startswith(_CONTAINER):
        name = source.removeprefix(_CONTAINER)
        return [program, "exec", "--interactive", "--tty", name, "sh", "-c", _SHELL]
    image = source.removeprefix(_DAEMON)
    options = ["--platform", platform] if platform else []
    run = [program, "run", "--rm", "--interactive", "--tty", *options, "--entrypoint", "sh"]
    return [*run, image, "-c", _SHELL]


def shell_place(source: str) -> str:
    """What a shell is in, safe to show."""
    return short_name(source.removeprefix(_DAEMON).removeprefix(_CONTAINER))
