"""Runs a shell in an image or a container, while the UI is suspended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from layerscope.errors import LayerscopeError
from layerscope.tui.terminal.signals import run_program

if TYPE_CHECKING:
    from textual.app import App

NO_SHELL = "The image has no shell."
#: The exit codes of docker and podman themselves.
_PROBLEMS = {
    1: "There is no shell: the container does not run.",
    125: "The engine could not start a container. Check that it still runs.",
    126: "The image has no shell that can run here.",
    127: NO_SHELL,
}


def run_shell(
    app: App[object], source: str, *, podman: bool = False, platform: str = "", busybox: str = ""
) -> str:
    """Runs a shell in a running container, or in a new one that is removed at the end.

    `busybox` is a program of this host to run in place of the image's. Returns what went wrong, or
    "".
    """
    # Not at the top: most runs start no shell.
    from layerscope.engines.address import command_environment
    from layerscope.engines.shell import RunRequest, run_command, shell_place

    try:
        request = RunRequest(source, platform=platform, busybox=busybox)
        command = run_command(request, podman=podman)
        environment = command_environment()
        with app.suspend():
            print(f"A shell in {shell_place(source)}; type exit to come back.", flush=True)  # noqa: T201
            code = run_program(command, environment)
    except LayerscopeError as error:
        return error.message
    except SuspendNotSupported:
        return "Other programs cannot be shown in this terminal."
    except OSError as error:
        return f"Cannot start the shell: {error.strerror}."
    return _PROBLEMS.get(code, "")
