"""Programs of the user that a copy of a file is shown in: the pager and the editor."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from layerscope.errors import LayerscopeError
from layerscope.images.contents import Advance, Content
from layerscope.images.save_file import safe_name, save_file
from layerscope.text import visible

_VI = ("vim", "nvim", "view", "vi")


def pager_command(environment: Mapping[str, str]) -> list[str]:
    """The pager, and the options that keep it from obeying what is in a file.

    Raises:
        LayerscopeError: There is none.
    """
    words = _split(environment.get("PAGER", "")) or ["less"]
    _check(words, "pager", "PAGER")
    if Path(words[0]).name == "less":
        # With -r and -R, less hands escape sequences on.
        words = [words[0], *(word for word in map(_without_raw, words[1:]) if word)]
    return words


def editor_command(environment: Mapping[str, str], *, read_only: bool = True) -> list[str]:
    """The editor, told that the file is for reading, if so, where it can be told.

    Args:
        environment: Tells which editor it is.
        read_only: Whether the file is for reading, and somebody else's.

    Raises:
        LayerscopeError: There is none.
    """
    words = _split(environment.get("VISUAL", "")) or _split(environment.get("EDITOR", ""))
    words = words or ["vi"]
    _check(words, "editor", "EDITOR")
    if not read_only:
        return words
    name = Path(words[0]).name
    if name in _VI:
        words.append("-R")
    if name in ("vim", "nvim"):
        # A file may hold settings for vim, and these have run programs before.
        words += ["--cmd", "set nomodeline"]
    if name == "nano":
        words.append("-v")
    return words


def harmless(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a pager: without options and preprocessors for less."""
    left_out = ("LESS", "LESSOPEN", "LESSCLOSE", "LESSKEYIN", "LESSKEY", "LESSKEYIN_SYSTEM")
    kept = {name: value for name, value in environment.items() if name not in left_out}
    return {**kept, "LESSSECURE": "1"}


class Copy:
    """A copy of content in a folder that nobody else can enter, which goes when it is closed."""

    def __init__(self, content: Content, name: bytes, advance: Advance | None = None) -> None:
        """Makes the copy.

        Args:
            content: The content.
            name: Name of the file.
            advance: Told how many bytes are written; may raise to stop.

        Raises:
            LayerscopeError: It cannot be made.
        """
        try:
            self._folder = tempfile.TemporaryDirectory(prefix="layerscope-")
        except OSError as error:
            raise LayerscopeError(
                f"No copy can be made ({error.strerror}).", "Set TMPDIR to another folder."
            ) from None
        self.path = Path(self._folder.name) / safe_name(name)
        try:
            save_file(content, self.path, advance=advance)
            self.path.chmod(0o400)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Removes the copy."""
        self._folder.cleanup()


def run_program(command: list[str], path: Path, environment: Mapping[str, str]) -> str:
    """Runs a program on a file, in the terminal, until it ends.

    Returns:
        What went wrong, in a sentence; empty if nothing did.
    """
    try:
        # What it runs is what the user has set.
        done = subprocess.run(  # noqa: S603
            [*command, str(path)], check=False, env=dict(environment)
        )
    except OSError as error:
        return f"{visible(command[0])} cannot be started ({error.strerror})."
    if done.returncode:
        return f"{visible(command[0])} ended with {done.returncode}."
    return ""


Command = Callable[[Mapping[str, str]], list[str]]


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _check(words: list[str], what: str, name: str) -> None:
    if shutil.which(words[0], path=os.environ.get("PATH")) is None:
        raise LayerscopeError(
            f"There is no {what}: {visible(words[0])} is not installed.",
            f"Set {name} to one, or save the file with s.",
        )


def _without_raw(word: str) -> str:
    if word.lower() == "--raw-control-chars":
        return ""
    if word.startswith("-") and not word.startswith("--"):
        word = word.replace("r", "").replace("R", "")
        return "" if word == "-" else word
    return word
