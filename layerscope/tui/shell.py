"""A shell in an image, in the terminal that the UI leaves to it."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from layerscope.text import short_id

if TYPE_CHECKING:
    from textual.app import App

#: What is there to type in; the first that an image has. How its last command ended is not told on:
#: it would be taken for what docker says of itself.
_SHELL = "if command -v bash >/dev/null 2>&1; then bash; else sh; fi; exit 0"

#: Exit codes of docker and podman of their own.
_PROBLEMS = {
    125: "The engine could not start a container. Check that it still runs.",
    126: "The image has no shell that can be run here.",
    127: "The image has no shell.",
}


def run_shell(app: App[object], image: str) -> str:
    """Runs a shell in a container of an image, and removes the container at the end.

    Args:
        app: The app, which lets go of the terminal meanwhile.
        image: Id of the image.

    Returns:
        Why that is not possible, in a sentence; empty if it was.
    """
    program = next(filter(None, map(shutil.which, ("docker", "podman"))), None)
    if program is None:
        return "A shell needs the docker or podman command, and there is neither here."
    command = [program, "run", "--rm", "--interactive", "--tty", "--entrypoint", "sh", image]
    with app.suspend():
        print(f"A shell in {short_id(image)}; exit leads back.", flush=True)  # noqa: T201
        try:
            ended = subprocess.run([*command, "-c", _SHELL], env=os.environ, check=False)  # noqa: S603
        except OSError as error:
            return f"The shell cannot be started: {error.strerror}."
    return _PROBLEMS.get(ended.returncode, "")
