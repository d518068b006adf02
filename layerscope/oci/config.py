"""The image configuration (OCI image specification, config.md) and its history."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


class ConfigError(ValueError):
    """A document that is not an image configuration; the message says why."""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One entry of `history`.

    Attributes:
        created: RFC 3339 time, or None.
        created_by: The command, as the builder wrote it.
        comment: The builder's comment.
        empty_layer: Whether the entry made no layer.
        layer: Number of the layer that it made, None for an empty one.
        shell: What runs its command, by a SHELL at or above it; empty for the builder's own.
    """

    created: str | None
    created_by: str
    comment: str
    empty_layer: bool
    layer: int | None
    shell: str = ""

    @property
    def instruction(self) -> str:
        """The Dockerfile instruction behind it, as nearly as it can be told."""
        return instruction(self.created_by, self.shell)


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What layerscope reads of an image configuration.

    Attributes:
        os: Operating system, such as `linux`.
        architecture: Architecture, such as `amd64`, with its variant behind a slash if it has one.
        created: RFC 3339 time, or None.
        diff_ids: `rootfs.diff_ids`, base first.
        history: All entries, oldest first.
        raw: The document itself.
    """

    os: str
    architecture: str
    created: str | None
    diff_ids: tuple[str, ...]
    history: tuple[HistoryEntry, ...]
    raw: Mapping[str, Any]


def parse_config(document: object) -> ImageConfig:
    """Reads an image configuration.

    Raises:
        ConfigError: It is none.
    """
    if not isinstance(document, dict):
        raise ConfigError("the image configuration is not a JSON object")
    rootfs = document.get("rootfs") or {}
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    diff_ids = [] if diff_ids is None else diff_ids
    if not isinstance(diff_ids, list) or not all(isinstance(d, str) for d in diff_ids):
        raise ConfigError("the image configuration has no list of diff_ids")
    variant = _text(document, "variant")
    architecture = _text(document, "architecture")
    return ImageConfig(
        os=_text(document, "os"),
        architecture=f"{architecture}/{variant}" if variant else architecture,
        created=_text(document, "created") or None,
        diff_ids=tuple(diff_ids),
        history=_history(document.get("history"), len(diff_ids)),
        raw=document,
    )


def _history(entries: object, layers: int) -> tuple[HistoryEntry, ...]:
    """Numbers the entries that made layers; a history of another length than the layers is kept."""
    result: list[HistoryEntry] = []
    number = 0
    found = entries if isinstance(entries, list) else []
    if not all(isinstance(entry, dict) for entry in found):
        raise ConfigError("the image configuration has a history entry that is no object")
    for entry, shell in zip(found, shells(_text(e, "created_by") for e in found), strict=True):
        empty = bool(entry.get("empty_layer"))
        layer = None if empty or number >= layers else number
        number += not empty
        result.append(
            HistoryEntry(
                created=_text(entry, "created") or None,
                created_by=_text(entry, "created_by"),
                comment=_text(entry, "comment"),
                empty_layer=empty,
                layer=layer,
                shell=shell,
            )
        )
    return tuple(result)


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""


_NOP = re.compile(r"^(?:/bin/sh -c )?#\(nop\)\s*")
_SHELL = re.compile(
    r"^(?:\|\d+ (?P<args>.*?) )?/bin/(?:sh|bash)(?: -o pipefail)? -e?c (?P<command>.*)$", re.S
)
_OWN_SHELL = r"(?:\|\d+ (?:.*? )?)?{} (?P<command>.*)$"
_INSTRUCTION = re.compile(
    r"(?:ADD|ARG|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|FROM|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|RUN|SHELL"
    r"|STOPSIGNAL|USER|VOLUME|WORKDIR)\b"
)


#: Characters of an entry that sets a shell; what is longer is not looked through for one.
_LONGEST_SHELL = 4096
#: The classic builder writes a SHELL as what it makes of it, and BuildKit as a list.
_NEW_SHELL = re.compile(
    r"(?P<shell>\S.*) #\(nop\)\s+SHELL \[(?P=shell)\]|SHELL \[(?P<list>.*)\](?:\s+# buildkit)?",
    re.S,
)


def shells(commands: Iterable[str]) -> Iterator[str]:
    """What runs each command of a history, oldest first; empty for the builder's own shell."""
    shell = ""
    for command in commands:
        new = _NEW_SHELL.fullmatch(command.strip()) if len(command) <= _LONGEST_SHELL else None
        if new is not None:
            shell = new["shell"] or new["list"]
        yield shell


def instruction(created_by: str, shell: str = "") -> str:
    """The Dockerfile instruction behind a `created_by`, as nearly as it can be told.

    Builders write `/bin/sh -c #(nop)  EXPOSE 80`, `/bin/sh -c apt-get update`, `RUN /bin/sh -c
    apt-get update # buildkit`, or `|1 A=b /bin/sh -c …` where build arguments are set.

    Args:
        created_by: What the builder wrote.
        shell: The shell that the Dockerfile had set, as builders write it; empty for none.
    """
    text = created_by.strip()
    text = text.removesuffix("# buildkit").rstrip()
    if shell and text.startswith(f"{shell} #(nop)"):
        text = text.removeprefix(f"{shell} ")
    if _NOP.match(text):
        return _NOP.sub("", text, count=1).strip()
    had_run = text.startswith("RUN ")
    body = text.removeprefix("RUN ")
    known = re.match(_OWN_SHELL.format(re.escape(shell)), body, re.S) if shell else None
    known = known or _SHELL.match(body)
    if known is not None:
        return "RUN " + known["command"].strip()
    if had_run or _INSTRUCTION.match(text):
        return text
    return f"RUN {text}" if text else ""
