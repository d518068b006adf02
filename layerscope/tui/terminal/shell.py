"""Runs a shell in an image or a container while the UI is suspended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from layerscope.errors import LayerscopeError
from layerscope.programs import python_module
from layerscope.tui.terminal.signals import run_program

if TYPE_CHECKING:
    from textual.app import App

    from layerscope.engines.shell import RunRequest

USAGE = 2  # The exit code of layerscope for errors.
NO_SHELL = "The image has no shell."
#: The exit codes of docker and podman themselves.
_PROBLEMS = {
    1: "There is no shell: the container does not run.",
    125: "The engine could not start a container. Check that it still runs.",
    126: "The image has no shell that can run here.",
    127: NO_SHELL,
}


def run_shell(app: App[object], request: RunRequest, *, podman: bool = False) -> str:
    """Runs a shell in a running container, or in a temporary one.

    Returns an error sentence, or "".
    """
    # Not at the top: rarely needed.
    from layerscope.engines.address import command_environment
    from layerscope.engines.shell import run_command

    try:
        command, environment = run_command(request, podman=podman), command_environment()
    except LayerscopeError as error:
        return error.message
    code = _run_suspended(app, request.source, command, environment)
    return code if isinstance(code, str) else _PROBLEMS.get(code, "")


def run_own_shell(app: App[object], source: str, options: Sequence[str]) -> str:
    """Runs a shell in layerscope's sandbox; returns an error sentence, or ""."""
    command, environment = python_module("layerscope", "run", *options, source)
    code = _run_suspended(app, source, command, environment, pause_at=USAGE)
    if isinstance(code, str):
        return code
    return "The shell could not be run." if code == USAGE else ""


def _run_suspended(
    app: App[object],
    source: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    pause_at: int | None = None,
) -> int | str:
    """Returns the exit code or an error; at code `pause_at`, waits for a key to show output."""
    from layerscope.engines.shell import shell_place

    try:
        with app.suspend():
            print(f"A shell in {shell_place(source)}; type exit to come back.", flush=True)  # noqa: T201
            code = run_program(command, environment)
            if code == pause_at:
                input("Press enter to come back. ")
            return code
    except SuspendNotSupported:
        return "Other programs cannot be shown in this terminal."
    except OSError as error:
        return f"Cannot start the shell: {error.strerror}."
