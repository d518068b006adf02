"""The value of `RUN --mount`: fields with commas between, as in CSV."""

from __future__ import annotations

from dataclasses import dataclass

from layerscope.dockerfile.document import Flag
from layerscope.dockerfile.source import Span


@dataclass(frozen=True, slots=True)
class MountKey:
    """A key of `RUN --mount`.

    Attributes:
        name: Its name.
        text: What it says.
        choices: Values that it may have, if they are few.
        aliases: Other names.
        flag: Whether it can stand without a value.
    """

    name: str
    text: str
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    flag: bool = False


_TARGET = MountKey("target", "Where it is mounted.", aliases=("dst", "destination"))
_SOURCE = MountKey("source", "Path in what is mounted; its root by default.", aliases=("src",))
_FROM = MountKey("from", "A stage, a named context or an image; the build context by default.")
_READ_ONLY = MountKey("readonly", "Refuses writes.", ("true", "false"), ("ro",), flag=True)
_WRITE = MountKey(
    "readwrite", "Allows writes; they are lost after the step.", ("true", "false"), ("rw",), True
)
_ID = MountKey("id", "Its name; the target or source by default.")
_REQUIRED = MountKey("required", "Fails if it was not given.", ("true", "false"), flag=True)
_OWNER = (
    MountKey("mode", "Permissions, octal."),
    MountKey("uid", "Owner, as a number."),
    MountKey("gid", "Group, as a number."),
)

#: What `RUN --mount=type=…` can be, with a sentence and its keys.
MOUNTS: dict[str, tuple[str, tuple[MountKey, ...]]] = {
    "bind": (
        "Files of the build context, a stage or an image; read only unless rw.",
        (_TARGET, _SOURCE, _FROM, _WRITE, _READ_ONLY),
    ),
    "cache": (
        "A folder that stays from build to build and is in no layer.",
        (
            _ID,
            _TARGET,
            _READ_ONLY,
            _WRITE,
            MountKey("sharing", "What builds at once do.", ("shared", "private", "locked")),
            _FROM,
            _SOURCE,
            *_OWNER,
        ),
    ),
    "secret": (
        "A file or variable that the build was given by --secret and that is in no layer.",
        (
            _ID,
            _TARGET,
            _SOURCE,
            MountKey("env", "Variable to set instead of a file, or as well."),
            _REQUIRED,
            *_OWNER,
        ),
    ),
    "ssh": ("The SSH agent that the build was given by --ssh.", (_ID, _TARGET, _REQUIRED, *_OWNER)),
    "tmpfs": ("An empty folder in memory.", (_TARGET, MountKey("size", "Bytes at most."))),
}


@dataclass(frozen=True, slots=True)
class MountField:
    """A field of a mount.

    Attributes:
        key: Its key, in lower case, by its main name.
        value: Its value; None if there is no `=`.
        span: Where it stands.
        value_span: Where its value stands; its end if there is none.
    """

    key: str
    value: str | None
    span: Span
    value_span: Span


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount.

    Attributes:
        type: Its type; `bind` if none is given, and whatever is given if there is no such type.
        fields: Its fields, in order.
    """

    type: str
    fields: tuple[MountField, ...]

    def field(self, key: str) -> MountField | None:
        """The last field of a key."""
        return next((found for found in reversed(self.fields) if found.key == key), None)


_KEYS: dict[str, str] = {
    alias: key.name
    for _, keys in MOUNTS.values()
    for key in keys
    for alias in (key.name, *key.aliases)
} | {"type": "type"}


def mount_keys(kind: str) -> tuple[MountKey, ...]:
    """Keys that a type of mount may have."""
    return MOUNTS[kind][1] if kind in MOUNTS else ()


def parse_mount(flag: Flag) -> Mount:
    """Reads the value of a `--mount`. Spans are exact where the flag has no quotes or escapes."""
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
    return Mount(kind, tuple(fields))
