"""The value of `RUN --mount`: comma-separated fields, as in CSV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from layerscope.dockerfile.syntax.document import Flag, Instruction
from layerscope.dockerfile.syntax.source import Span


@dataclass(frozen=True, slots=True)
class MountKey:
    """A key of `RUN --mount`; with `flag`, it may have no value."""

    name: str
    text: str
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    flag: bool = False


_TARGET = MountKey("target", "Where it is mounted.", aliases=("dst", "destination"))
_SOURCE = MountKey("source", "Path to mount; by default the root.", aliases=("src",))
_FROM = MountKey("from", "A stage, a named context or an image; by default the build context.")
_READ_ONLY = MountKey("readonly", "Refuses writes.", ("true", "false"), ("ro",), flag=True)
_WRITE = MountKey(
    "readwrite", "Allows writes; they are lost after the step.", ("true", "false"), ("rw",), True
)
_ID = MountKey("id", "Its name; by default the target or source.")
_REQUIRED = MountKey("required", "Fails if it is missing.", ("true", "false"), flag=True)
_OWNER = (
    MountKey("mode", "Permissions, octal."),
    MountKey("uid", "Owner, as a number."),
    MountKey("gid", "Group, as a number."),
)

#: The types of `RUN --mount=type=…`, each with a description and its keys.
MOUNTS: dict[str, tuple[str, tuple[MountKey, ...]]] = {
    "bind": (
        "Files of the build context, a stage or an image; read only unless rw.",
        (_TARGET, _SOURCE, _FROM, _WRITE, _READ_ONLY),
    ),
    "cache": (
        "A folder that is kept between builds and is not part of a layer.",
        (
            _ID,
            _TARGET,
            _READ_ONLY,
            _WRITE,
            MountKey("sharing", "How concurrent builds share it.", ("shared", "private", "locked")),
            _FROM,
            _SOURCE,
            *_OWNER,
        ),
    ),
    "secret": (
        "A file or variable passed to the build with --secret; not part of a layer.",
        (
            _ID,
            _TARGET,
            _SOURCE,
            MountKey("env", "Variable to set instead of, or besides, a file."),
            _REQUIRED,
            *_OWNER,
        ),
    ),
    "ssh": ("The SSH agent passed to the build with --ssh.", (_ID, _TARGET, _REQUIRED, *_OWNER)),
    "tmpfs": ("An empty folder in memory.", (_TARGET, MountKey("size", "Maximum size in bytes."))),
}


@dataclass(frozen=True, slots=True)
class MountField:
    key: str  # Its main name, in lower case.
    value: str | None  # Its value, or None without a `=`.
    span: Span
    value_span: Span  # The position of its value; an empty span at the end without one.


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount; the type is `bind` by default, and may be invalid."""

    type: str
    fields: tuple[MountField, ...]
    span: Span  # The position of the whole flag.

    def field(self, key: str) -> MountField | None:
        return next((found for found in reversed(self.fields) if found.key == key), None)


_KEYS: dict[str, str] = {
    alias: key.name
    for _, keys in MOUNTS.values()
    for key in keys
    for alias in (key.name, *key.aliases)
} | {"type": "type"}


def mount_keys(kind: str) -> tuple[MountKey, ...]:
    return MOUNTS[kind][1] if kind in MOUNTS else ()


def parse_mount(flag: Flag) -> Mount:
    """Parses the value of a `--mount`. Spans are exact if the flag has no quotes or escapes."""
    value = flag.value or ""
    start = flag.value_span.start if flag.value_span is not None else flag.span.end
    end = flag.value_span.end if flag.value_span is not None else flag.span.end
    fields = []
    place = 0
    for text in value.split(",") if value else ():
        key, equals, content = text.partition("=")
        key = key.strip().lower()
        begin = min(start + place, end)
        stop = min(begin + len(text), end)
        value_begin = min(begin + len(text) - len(content), stop)
        fields.append(
            MountField(
                _KEYS.get(key, key),
                content if equals else None,
                Span(begin, stop),
                Span(value_begin, stop),
            )
        )
        place += len(text) + 1
    kind = next((f.value.lower() for f in reversed(fields) if f.key == "type" and f.value), "bind")
    return Mount(kind, tuple(fields), flag.span)


def mounts_of(instruction: Instruction) -> Iterator[Mount]:
    if instruction.keyword == "RUN":
        yield from (parse_mount(flag) for flag in instruction.flags if flag.name == "mount")
