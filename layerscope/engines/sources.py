"""Classifies a SOURCE by its text: a place, a file, or an image of an engine."""

from __future__ import annotations

import os
from pathlib import Path

from layerscope.errors import UsageError
from layerscope.text import visible

#: File name extensions of archives.
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2")

#: Transports, and the text after their colon; all other sources are names or paths.
TRANSPORTS = {
    "container": "NAME",
    "containerd-root": "DIR[:NAMESPACE/NAME]",
    "containers-storage": "[DIR]NAME",
    "dir": "DIR",
    "docker": "//HOST/NAME:TAG",
    "docker-archive": "PATH[:REF]",
    "docker-daemon": "NAME[:TAG]",
    "docker-root": "DIR[:NAME]",
    "embedded": "NAME[:TAG]",
    "oci": "DIR[:REF]",
    "oci-archive": "PATH[:REF]",
}
#: Transports of files, which a push can read.
FILES = ("docker-archive", "oci-archive", "oci")


def is_place(source: str) -> bool:
    """Whether a source names a file, a folder or a transport, other than a registry."""
    transport, colon, rest = source.partition(":")
    # `docker:27` is the name of an image, and `dir:27` may be.
    named = bool(colon) and transport in TRANSPORTS and not rest[:1].isdigit()
    return (named and transport != "docker") or looks_like_path(source)


def is_file(source: str) -> bool:
    """Whether a source needs no running engine."""
    return source.partition(":")[0] in (*FILES, "embedded")


def is_path(source: str) -> bool:
    """Whether a source without a transport is a file or a folder, not a name."""
    return _is_there(Path(source)) or looks_like_path(source)


def _is_there(path: Path) -> bool:
    """Whether a file exists or is inaccessible."""
    try:
        return path.exists()
    except PermissionError:
        return True
    except OSError:
        return False


def looks_like_path(source: str) -> bool:
    return source.startswith(("/", "./", "../", "~")) or source.endswith(ARCHIVES)


def split_archive(text: str) -> tuple[Path, str | None]:
    """Splits `PATH[:REF]` at the first colon for which the path exists.

    Raises UsageError if there is no path.
    """
    if os.path.lexists(text):
        return Path(text), None
    for place, character in enumerate(text):
        if character == ":" and os.path.lexists(text[:place]):
            return Path(text[:place]), text[place + 1 :] or None
    path, _, wanted = text.partition(":")
    if not path:
        # An empty path would be the current folder.
        raise UsageError(f"There is no path before :{visible(wanted)}.", "Write PATH:REF.")
    return Path(path), wanted or None
