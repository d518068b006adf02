"""Parses the fields of a build, for the command line and the form.

Each function parses the user's text, or raises an error that says what is wrong and what to write.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from layerscope.dockerfile.context.conventions import conventions
from layerscope.dockerfile.meaning.stages import stage_number
from layerscope.errors import UsageError
from layerscope.oci.platform import PlatformError, parse_platform
from layerscope.oci.reference import parse_reference
from layerscope.text import visible

#: Contexts and sources that are not local paths.
REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://|git@|github\.com/", re.IGNORECASE)

#: Values of `--network`; Docker's classic builder also accepts a network or a container.
NETWORKS = {
    "default": "the engine's choice",
    "host": "the host's own",
    "none": "no network but loopback",
}


def context_folder(text: str, folder: Path | None = None) -> Path:
    """Returns the folder of a build context, absolute and without symlinks.

    Names are relative to `folder`, or the current one. Raises UsageError if there is no such
    folder.
    """
    if text == "-" or REMOTE.match(text):
        raise UsageError(
            f"{visible(text)} is not a folder: layerscope only sends folders.",
            "Download or unpack it, and name the folder. For a Dockerfile on stdin, use -f -.",
        )
    path = _path(text or ".", folder)
    if not _is(path.is_dir):
        raise UsageError(
            f"{visible(text)} is not a folder.", "Name the folder of the build context."
        )
    return Path(os.path.realpath(path))


def dockerfile_of(text: str, context: Path, folder: Path | None = None, builder: str = "") -> Path:
    """Returns the Dockerfile of a build, absolute and without symlinks; see `context_folder`.

    Without a text, it is the builder's default in the context. Raises UsageError if there is no
    such file or access is denied.
    """
    names = conventions(builder, context).dockerfiles
    paths = [_path(text, folder)] if text else [context / name for name in names]
    found = next((path for path in paths if _is(path.is_file)), None)
    if found is None:
        name = text or str(context / names[0])
        if any(map(_is_closed, paths)):
            raise UsageError(
                f"{visible(name)} cannot be read (Permission denied).",
                "Check the permissions of the folder, or name another Dockerfile (-f).",
            )
        raise UsageError(f"There is no file {visible(name)}.", "Name the Dockerfile (-f).")
    return Path(os.path.realpath(found))


def file_of(text: str, folder: Path | None = None) -> str:
    """Returns an absolute path; "" without a text. Raises UsageError if there is no such file."""
    if not text:
        return ""
    path = _path(text, folder)
    if not _is(path.is_file):
        raise UsageError(f"There is no file {visible(text)}.", "Name a file with rules.")
    return os.path.realpath(path)


def dockerfiles_in(context: Path) -> list[Path]:
    """Returns files in a folder named like Dockerfiles: `Dockerfile.dev`, `web.dockerfile`."""
    try:
        names = sorted(path.name for path in context.iterdir() if _is(path.is_file))
    except OSError:
        return []
    rules = (".dockerignore", ".containerignore")
    lowered = ((name, name.lower()) for name in names if not name.endswith(rules))
    return [
        context / name
        for name, low in lowered
        if low.startswith(("dockerfile", "containerfile")) or low.endswith(".dockerfile")
    ]


def tag_of(text: str) -> str:
    """Returns the name of the image; raises UsageError if it is invalid."""
    try:
        reference = parse_reference(text)
    except ValueError:
        hint = "Write NAME:TAG."
        with suppress(ValueError):
            parse_reference(text.lower())
            hint = "Names must be in lower case."
        raise UsageError(f"{visible(text)} is not the name of an image.", hint) from None
    if reference.digest:
        raise UsageError(f"{visible(text)} has a digest.", "Write NAME:TAG.")
    return text


def pair_of(text: str) -> tuple[str, str | None]:
    """Splits `NAME=VALUE`; the value is None without an equals sign.

    Raises UsageError if there is no name.
    """
    name, equals, value = text.partition("=")
    if not name or name != name.strip():
        raise UsageError(f"{visible(text)} has no name.", "Write NAME=VALUE.")
    return name, value if equals else None


def platform_of(text: str) -> str:
    """Returns a platform in the builders' form; "" for the engine's own.

    Raises UsageError if it is invalid.
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
        raise UsageError("Only one platform can be built at a time.", hint)
    raise UsageError(f"{visible(text)} is not a platform.", hint)


def network_of(text: str) -> str:
    """Returns the network of RUN instructions; "" for the engine's default. Raises UsageError."""
    text = text.strip()
    if any(character.isspace() or not character.isprintable() for character in text):
        raise UsageError(
            "The name of a network has no spaces.", f"Write one of {', '.join(NETWORKS)}."
        )
    # Podman has no network `default`.
    return "" if text == "default" else text


def target_of(text: str, stages: Iterable[str | None]) -> str:
    """Returns the name of the stage to build; "" for the last.

    `stages` are the names of the Dockerfile's stages, None for unnamed ones. Raises UsageError if
    the Dockerfile has no such stage.
    """
    text = text.strip()
    names = list(stages)
    if not text or not names:
        return text
    known = [name for name in names if name is not None]
    if text.lower() in known:
        return text
    if stage_number(text, len(names)) is not None:
        hint = f"Name stage {text}: FROM … AS NAME."
        raise UsageError("Builders find a target by its name, not its number.", hint)
    near = difflib.get_close_matches(text.lower(), known, 1, 0.6)
    hint = f"Did you mean {near[0]}?" if near else f"It has {_named(known, len(names))}."
    raise UsageError(f"There is no stage {visible(text)}.", hint)


def _named(names: list[str], count: int) -> str:
    if names:
        return ", ".join(map(visible, dict.fromkeys(names)))
    return f"stages 0 to {count - 1}" if count > 1 else "one stage"


def agent_of(text: str) -> tuple[str, str]:
    """Returns the id of an SSH agent and its socket, as for `docker build --ssh`.

    Raises UsageError if there is no socket.
    """
    name, _, path = text.partition("=")
    path = os.path.realpath(path or os.environ.get("SSH_AUTH_SOCK", ""))
    if not name or not _is(Path(path).is_socket):
        raise UsageError(
            f"There is no SSH agent for --ssh {visible(text)}.",
            "Start one with ssh-agent, or write ID=SOCKET.",
        )
    return name, path


def checked_agent(text: str) -> str:
    name, path = agent_of(text)
    return f"{name}={path}"


def words_of(text: str) -> list[str]:
    """Splits words separated by spaces, quoted as in a shell.

    Raises UsageError if a quote is not closed.
    """
    try:
        return shlex.split(text)
    except ValueError:
        raise UsageError("A quote is not closed.", 'Write NAME="a value".') from None


def _path(text: str, folder: Path | None) -> Path:
    path = Path(text)
    if folder is not None:
        # In a form, no shell has expanded `~`.
        path = folder / os.path.expanduser(path)  # noqa: PTH111 - never raises
    return path


def _is(asked: Callable[[], bool]) -> bool:
    try:
        return asked()
    except (OSError, ValueError):
        return False


def _is_closed(path: Path) -> bool:
    """Whether a path leads through a folder without search permission."""
    try:
        path.stat()
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return False
