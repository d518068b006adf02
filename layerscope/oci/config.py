"""The image configuration (OCI image specification, config.md) and its history."""

from __future__ import annotations

import re
from collections.abc import Mapping
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
    """

    created: str | None
    created_by: str
    comment: str
    empty_layer: bool
    layer: int | None


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
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict):
            raise ConfigError("the image configuration has a history entry that is no object")
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
_INSTRUCTION = re.compile(
    r"(?:ADD|ARG|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|FROM|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|RUN|SHELL"
    r"|STOPSIGNAL|USER|VOLUME|WORKDIR)\b"
)


def instruction(created_by: str) -> str:
    """The Dockerfile instruction behind a `created_by`, as nearly as it can be told.

    Builders write `/bin/sh -c #(nop)  EXPOSE 80`, `/bin/sh -c apt-get update`, `RUN /bin/sh -c
    apt-get update # buildkit`, or `|1 A=b /bin/sh -c …` where build arguments are set.
    """
    text = created_by.strip()
    text = text.removesuffix("# buildkit").rstrip()
    if _NOP.match(text):
        return _NOP.sub("", text, count=1).strip()
    had_run = text.startswith("RUN ")
    body = text.removeprefix("RUN ")
    shell = _SHELL.match(body)
    if shell is not None:
        return "RUN " + shell["command"].strip()
    if had_run or _INSTRUCTION.match(text):
        return text
    return f"RUN {text}" if text else ""
