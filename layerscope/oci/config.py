"""The image configuration (OCI image specification, config.md) and its history."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from layerscope.records import text_of


class ConfigError(ValueError):
    """A document that is not an image configuration; the message is the reason."""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    created: str | None  # RFC 3339 time, or None if unknown.
    created_by: str
    comment: str
    empty_layer: bool
    layer: int | None  # Number of the layer it created; None if it created none or that is unknown.
    shell: str = ""  # The shell of the last SHELL up to here; empty for the builder's default.

    @property
    def instruction(self) -> str:
        return instruction(self.created_by, self.shell)

    @property
    def exported(self) -> bool:
        """Whether BuildKit wrote it for a layer that no Dockerfile describes."""
        return self.comment == _EXPORTER


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The parts of an image configuration that layerscope uses."""

    os: str
    architecture: str  # With `/` and its variant if it has one, such as `arm/v7`.
    created: str | None  # RFC 3339 time, or None.
    diff_ids: tuple[str, ...]  # `rootfs.diff_ids`, base first.
    history: tuple[HistoryEntry, ...]
    raw: Mapping[str, Any]
    data: bytes = b""  # The document itself, if known.


def parse_config(document: object, data: bytes = b"") -> ImageConfig:
    """Parses an image configuration with the bytes `data`; raises ConfigError if it is not one."""
    if not isinstance(document, dict):
        raise ConfigError("the image configuration is not a JSON object")
    rootfs = document.get("rootfs") or {}
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    diff_ids = [] if diff_ids is None else diff_ids
    if not isinstance(diff_ids, list) or not all(isinstance(d, str) for d in diff_ids):
        raise ConfigError("the image configuration has no list of diff_ids")
    variant = text_of(document, "variant")
    architecture = text_of(document, "architecture")
    return ImageConfig(
        os=text_of(document, "os"),
        architecture=f"{architecture}/{variant}" if variant else architecture,
        created=known_time(document.get("created")),
        diff_ids=tuple(diff_ids),
        history=_history(document.get("history"), len(diff_ids)),
        raw=document,
        data=data,
    )


def _history(entries: object, layers: int) -> tuple[HistoryEntry, ...]:
    """Assigns layers to entries; if their numbers do not match, no entry has one.

    Tools build on images without a history, or squash layers and keep the history. Which entry
    created which layer would be a guess.
    """
    result: list[HistoryEntry] = []
    number = 0
    found = entries if isinstance(entries, list) else []
    if not all(isinstance(entry, dict) for entry in found):
        raise ConfigError("the image configuration has a history entry that is not an object")
    match = sum(not entry.get("empty_layer") for entry in found) == layers
    for entry, shell in zip(found, shells(text_of(e, "created_by") for e in found), strict=True):
        empty = bool(entry.get("empty_layer"))
        layer = number if match and not empty else None
        number += not empty
        by, comment = text_of(entry, "created_by"), text_of(entry, "comment")
        created = known_time(entry.get("created"))
        result.append(HistoryEntry(created, by, comment, empty, layer, shell))
    return tuple(result)


def known_time(created: object) -> str | None:
    """A creation time as written, or None if it is absent, zero or not an RFC 3339 time.

    Go writes an unset time as `0001-01-01T00:00:00Z`. 1970-01-01 is a time like any other:
    reproducible builds set it on purpose.
    """
    if not isinstance(created, str) or _TIME.fullmatch(created) is None:
        return None
    try:
        moment = datetime.fromisoformat(created.upper())
    except ValueError:
        return None
    return created if moment.year > 1 else None


_NOP = re.compile(r"^(?:/bin/sh -c )?#\(nop\)\s*")
#: The comment of BuildKit's entries for layers that its own history does not describe.
_EXPORTER = "buildkit.exporter.image.v0"
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
#: The suffix by which Buildah distinguishes builds with other options: `|unsetLabel=true`.
_SUFFIX = re.compile(r"(?:force|inherit|new|rewrite|set|unset)[A-Za-z-]*=\S*")
_MOST_SUFFIXES = 64
_SHELL = re.compile(
    r"^(?:\|\d+ (?P<args>.*?) )?/bin/(?:sh|bash)(?: -o pipefail)? -e?c (?P<command>.*)$", re.S
)
#: Other shells, which stay in the text, and build arguments before a command.
_RUN = re.compile(
    r"\|\d+ |(?:\S*/)?(?:[a-z]{0,3}sh(?: -\S+| pipefail)* -[a-z]*c"
    r"|(?:powershell|pwsh)(?:\.exe)? -\w+|cmd(?:\.exe)? /S /C) ",
    re.IGNORECASE,
)
_GO_LIST = re.compile(
    r'(?:CMD|ENTRYPOINT|SHELL|VOLUME) \["(?:[^"\\]|\\.)*"(?: "(?:[^"\\]|\\.)*")+\]', re.S
)
_STRING = re.compile(r'("(?:[^"\\]|\\.)*") ', re.S)
_OWN_SHELL = r"(?:\|\d+ (?:.*? )?)?{} (?P<command>.*)$"


#: The longest entry that is searched for a SHELL.
_LONGEST_SHELL = 4096
#: The classic builder writes the shell before a SHELL, BuildKit its list.
_NEW_SHELL = re.compile(
    r"(?P<shell>\S.*) #\(nop\)\s+SHELL \[(?P=shell)\]|SHELL \[(?P<list>.*)\](?:\s+# buildkit)?",
    re.S,
)


def shells(commands: Iterable[str]) -> Iterator[str]:
    """The shell that runs each command of a history; empty for the builder's default."""
    shell = ""
    for command in commands:
        new = _NEW_SHELL.fullmatch(command.strip()) if len(command) <= _LONGEST_SHELL else None
        if new is not None:
            shell = new["shell"] or new["list"]
        yield shell


def _without_suffixes(text: str) -> str:
    for _ in range(_MOST_SUFFIXES):
        before, bar, suffix = text.rpartition("|")
        if not bar or _SUFFIX.fullmatch(suffix) is None:
            break
        text = before.rstrip()
    return text


def instruction(created_by: str, shell: str = "") -> str:
    """The Dockerfile instruction behind a `created_by`, or its text if a tool wrote something else.

    Builders write `/bin/sh -c #(nop)  EXPOSE 80`, `/bin/sh -c apt-get update`, `RUN /bin/sh -c
    apt-get update # buildkit`, or `|1 A=b /bin/sh -c …` where build arguments are set. `shell` is
    the one set in the Dockerfile, as builders write it, or empty.
    """
    text = _without_suffixes(created_by.strip().removesuffix("# buildkit").rstrip())
    if shell and text.startswith(f"{shell} #(nop)"):
        text = text.removeprefix(f"{shell} ")
    if _NOP.match(text):
        return _with_commas(_NOP.sub("", text, count=1).strip())
    had_run = text.startswith("RUN ")
    body = text.removeprefix("RUN ")
    known = re.match(_OWN_SHELL.format(re.escape(shell)), body, re.S) if shell else None
    known = known or _SHELL.match(body)
    if known is not None:
        return "RUN " + known["command"].strip()
    return f"RUN {text}" if _RUN.match(text) and not had_run else _with_commas(text)


def _with_commas(text: str) -> str:
    """A list of strings as in a Dockerfile: Go prints it without commas."""
    return _STRING.sub(r"\1, ", text) if _GO_LIST.fullmatch(text) else text
