"""What a build can be asked for, read from what a user wrote: for the command line and the form.

Each function takes a text and gives what it means, or raises one sentence that says what is wrong
and one that says how it is written.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path

from layerscope.dockerfile.stages import stage_number
from layerscope.dockerfile.text_file import NAMES
from layerscope.errors import UsageError
from layerscope.oci.platform import PlatformError, parse_platform
from layerscope.oci.reference import parse_reference
from layerscope.text import visible

#: Contexts that docker takes, and that are no folders.
_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://|git@|github\.com/", re.IGNORECASE)

#: What `--network` of a RUN can be; Docker's classic builder also joins a network or a container.
NETWORKS = {
    "default": "the engine's choice",
    "host": "the host's own",
    "none": "no network but loopback",
}


def context_folder(text: str, folder: Path | None = None) -> Path:
    """The folder of a build context, absolute and without links.

    Args:
        text: What was written.
        folder: The folder that names are relative to; None for the current one.

    Raises:
        UsageError: There is no such folder.
    """
    if text == "-" or _REMOTE.match(text):
        raise UsageError(
            f"{visible(text)} is no folder: layerscope sends folders only.",
            "Fetch or unpack it, and name the folder. A Dockerfile may come by stdin: -f -.",
        )
    path = _path(text or ".", folder)
    if not _is(path.is_dir):
        raise UsageError(f"{visible(text)} is no folder.", "Name the folder of the build context.")
    return Path(os.path.realpath(path))


def dockerfile_of(text: str, context: Path, folder: Path | None = None) -> Path:
    """The Dockerfile of a build, absolute and without links.

    Args:
        text: What was written; empty for the one of the context.
        context: The context.
        folder: The folder that names are relative to; None for the current one.

    Raises:
        UsageError: There is no such file, or it may not be looked at.
    """
    paths = [_path(text, folder)] if text else [context / name for name in NAMES]
    found = next((path for path in paths if _is(path.is_file)), None)
    if found is None:
        name = text or str(context / NAMES[0])
        if any(map(_is_closed, paths)):
            raise UsageError(
                f"{visible(name)} cannot be read (Permission denied).",
                "Check who may read the folder, or name another Dockerfile (-f).",
            )
        raise UsageError(f"There is no file {visible(name)}.", "Name the Dockerfile (-f).")
    return Path(os.path.realpath(found))


def dockerfiles_in(context: Path) -> list[Path]:
    """Files of a folder that are called as Dockerfiles are: `Dockerfile.dev`, `web.dockerfile`."""
    try:
        names = sorted(path.name for path in context.iterdir() if _is(path.is_file))
    except OSError:
        return []
    lowered = ((name, name.lower()) for name in names if not name.endswith(".dockerignore"))
    return [
        context / name
        for name, low in lowered
        if low.startswith(("dockerfile", "containerfile")) or low.endswith(".dockerfile")
    ]


def tag_of(text: str) -> str:
    """The name of an image that is to be built.

    Raises:
        UsageError: No image can be called so.
    """
    try:
        reference = parse_reference(text)
    except ValueError:
        lowered = text.lower()
        why = "Names are in lower case." if lowered != text and _names(lowered) else ""
        raise UsageError(f"{visible(text)} names no image.", why or "Write NAME:TAG.") from None
    if reference.digest:
        raise UsageError(f"{visible(text)} has a digest.", "Write NAME:TAG.")
    return text


def _names(text: str) -> bool:
    try:
        parse_reference(text)
    except ValueError:
        return False
    return True


def pair_of(text: str) -> tuple[str, str | None]:
    """A name and its value, as `NAME=VALUE`; None for the value if there is no equals sign.

    Args:
        text: What was written.

    Raises:
        UsageError: There is no name.
    """
    name, equals, value = text.partition("=")
    if not name or name != name.strip():
        raise UsageError(f"{visible(text)} has no name.", "Write NAME=VALUE.")
    return name, value if equals else None


def platform_of(text: str) -> str:
    """A platform to build for, as builders take it; empty for the engine's own.

    Raises:
        UsageError: It is none.
    """
    text = text.strip()
    if not text:
        return ""
    try:
        if "/" in text:
            return str(parse_platform(text))
    except PlatformError:
        pass
    hint = "Write OS/ARCH[/VARIANT], such as linux/arm64."
    if "," in text:
        raise UsageError("One platform is built for at a time.", hint)
    raise UsageError(f"{visible(text)} is no platform.", hint)


def network_of(text: str) -> str:
    """The network of RUN instructions; empty for the engine's choice.

    Raises:
        UsageError: It is none.
    """
    text = text.strip()
    if any(character.isspace() or not character.isprintable() for character in text):
        raise UsageError("A network's name has no blanks.", f"Write one of {', '.join(NETWORKS)}.")
    # Podman knows no network of that name.
    return "" if text == "default" else text


def target_of(text: str, stages: Iterable[str | None]) -> str:
    """The stage to build; empty for the last.

    Args:
        text: Its name, or its number from 0.
        stages: The names of the Dockerfile's stages, None for those without.

    Raises:
        UsageError: The Dockerfile has no such stage.
    """
    text = text.strip()
    names = list(stages)
    if not text or not names:
        return text
    known = [name for name in names if name is not None]
    if text.lower() in known or stage_number(text, len(names)) is not None:
        return text
    near = difflib.get_close_matches(text.lower(), known, 1, 0.6)
    hint = f"Did you mean {near[0]}?" if near else f"It has {_named(known, len(names))}."
    raise UsageError(f"There is no stage {visible(text)}.", hint)


def _named(names: list[str], count: int) -> str:
    if names:
        return ", ".join(map(visible, dict.fromkeys(names)))
    return f"stages 0 to {count - 1}" if count > 1 else "one stage"


def words_of(text: str) -> list[str]:
    """Words with blanks between, quoted as in a shell.

    Raises:
        UsageError: A quote has no end.
    """
    try:
        return shlex.split(text)
    except ValueError:
        raise UsageError("A quote has no end.", 'Write NAME="a value".') from None


def _path(text: str, folder: Path | None) -> Path:
    path = Path(text)
    if folder is not None:
        # Nothing else expands it in a form, as a shell does on the command line.
        try:
            path = folder / path.expanduser()
        except RuntimeError:
            path = folder / path
    return path


def _is(asked: Callable[[], bool]) -> bool:
    try:
        return asked()
    except (OSError, ValueError):
        return False


def _is_closed(path: Path) -> bool:
    """Whether a path leads through a folder that may not be searched."""
    try:
        path.stat()
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return False
