"""Opens a copy of a file in the user's pager or editor."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from textual.app import SuspendNotSupported

from layerscope.errors import LayerscopeError
from layerscope.images.files.contents import Advance, Content
from layerscope.images.files.save import safe_name, save_file
from layerscope.text import visible
from layerscope.tui.terminal.signals import run_program
from layerscope.writing import temporary_folder

#: Gives the terminal to another program.
Suspend = Callable[[], AbstractContextManager[None]]

_VI = ("vim", "nvim", "view", "vi")


def pager_command(environment: Mapping[str, str]) -> list[str]:
    """Returns the pager, with options against escape sequences; raises LayerscopeError."""
    words = _split(environment.get("PAGER", "")) or ["less"]
    _check(words, "pager", "PAGER")
    if Path(words[0]).name == "less":
        # With -r and -R, less passes escape sequences through.
        words = [words[0], *(word for word in map(_without_raw, words[1:]) if word)]
    return words


def obeys(command: list[str]) -> bool:
    """Whether a pager may pass a file's control characters to the terminal."""
    return Path(command[0]).name != "less"


def editor_command(environment: Mapping[str, str], *, read_only: bool = True) -> list[str]:
    """Returns the editor, with its read-only option if wanted; raises LayerscopeError."""
    words = _split(environment.get("VISUAL", "")) or _split(environment.get("EDITOR", ""))
    words = words or ["vi"]
    _check(words, "editor", "EDITOR")
    if not read_only:
        return words
    name = Path(words[0]).name
    if name in _VI:
        words.append("-R")
    if name in ("vim", "nvim"):
        # A file may contain vim settings, which have been exploited to run programs.
        words += ["--cmd", "set nomodeline"]
    if name == "nano":
        words.append("-v")
    return words


def harmless(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment for a pager, without options and preprocessors of less."""
    left_out = ("LESS", "LESSOPEN", "LESSCLOSE", "LESSKEYIN", "LESSKEY", "LESSKEYIN_SYSTEM")
    kept = {name: value for name, value in environment.items() if name not in left_out}
    return {**kept, "LESSSECURE": "1"}


class Copy:
    """A copy of a file in a private folder; closing removes it."""

    def __init__(
        self,
        content: Content,
        name: bytes,
        advance: Advance | None = None,
        *,
        escape: bool = False,
    ) -> None:
        """Raises LayerscopeError if copying fails; `escape` escapes control characters."""
        with ExitStack() as stack:
            try:
                folder = stack.enter_context(temporary_folder())
            except OSError as error:
                raise LayerscopeError(
                    f"Cannot make a copy ({error.strerror}).", "Set TMPDIR to another folder."
                ) from None
            self.path = folder / safe_name(name)
            save_file(content, self.path, escape=escape, advance=advance)
            self.path.chmod(0o400)
            self.close = stack.pop_all().close


def show_in_program(
    suspend: Suspend, command: list[str], path: Path, environment: Mapping[str, str]
) -> str:
    """Runs a program on a file until it ends; returns an error sentence, or ""."""
    try:
        with suspend():
            code = run_program([*command, str(path)], environment)
    except SuspendNotSupported:
        return "Other programs cannot be shown in this terminal."
    except OSError as error:
        return f"Cannot start {visible(command[0])} ({error.strerror})."
    if not code:
        return ""
    # Not at the top: rarely needed.
    from layerscope.programs import ending

    return f"{visible(command[0])} {ending(code)}."


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
