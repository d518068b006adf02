"""Records in JSON files, parsed into checked objects, so that readers never see a wrong type.

A record is a `Record` with typed fields. Unknown fields are ignored, so that older versions can
read files of newer ones. Text is parsed by the standard library's json, which keeps the lone
surrogates of names that are not UTF-8.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import field as field
from msgspec.structs import replace as replace

from layerscope.bounded import SMALL, read_file

T = TypeVar("T")

#: Bytes, numbers of files and the like.
Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
#: Any number that fits into 64 bits.
Whole = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
#: Numbers that may be negative, such as exit codes.
Number = Annotated[int, msgspec.Meta(ge=-(1 << 31), le=1 << 31)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e11)]  # Durations in seconds.
#: Seconds since 1970, up to the year 9999.
UnixTime = Annotated[float, msgspec.Meta(ge=0, le=253402300799)]


class Record(msgspec.Struct, frozen=True):
    """Base of records; immutable."""

    def document(self) -> dict[str, Any]:
        """The record as a JSON object; numeric keys become strings."""
        found: dict[str, Any] = msgspec.to_builtins(self, str_keys=True)
        return found

    def dump(self) -> bytes:
        return json.dumps(self.document(), separators=(",", ":")).encode("ascii")


class GoObject(dict[str, Any]):
    """A JSON object with case-insensitive keys, as in Go's encoding/json.

    Old tools rely on that: Jib wrote `"config"` where Docker reads `Config`. The last key wins,
    whatever its case.
    """

    def __getitem__(self, key: str) -> Any:
        folded = key.casefold()
        for own, value in reversed(self.items()):
            if own.casefold() == folded:
                return value
        raise KeyError(key)

    def get(self, key: str, default: Any = None) -> Any:
        try:
            return self[key]
        except KeyError:
            return default

    def __contains__(self, key: object) -> bool:
        return self.get(str(key), self) is not self


def go_json(data: bytes) -> Any:
    """Parses a document in the way of Go programs; raises ValueError if it is not JSON."""
    try:
        return json.loads(data, object_hook=GoObject)
    except RecursionError:
        raise ValueError("too deeply nested") from None


def text_of(document: Mapping[str, Any], key: str) -> str:
    """A JSON object's string under a key; empty for other types."""
    value = document.get(key)
    return value if isinstance(value, str) else ""


def convert(document: object, kind: type[T]) -> T:
    """Checks parsed JSON against a type; raises ValueError if it does not match."""
    return msgspec.convert(document, kind, str_keys=True)


def lenient(document: object, kind: type[T]) -> T:
    """As `convert`, but null counts as absent: Go writes it for empty values."""
    try:
        return convert(_without_nulls(document), kind)
    except RecursionError:
        raise ValueError("too deeply nested") from None


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value if each is not None]
    return value


def parse(data: bytes, kind: type[T]) -> T:
    """Parses JSON; raises ValueError if it is not JSON or has a different shape."""
    try:
        return convert(json.loads(data), kind)
    except RecursionError:
        raise ValueError("too deeply nested") from None


def lenient_file(path: Path, kind: type[T]) -> T | None:
    """As `read`, for a file that a Go program writes."""
    try:
        return lenient(json.loads(read_file(path)), kind)
    except (OSError, ValueError, RecursionError):
        return None


def read(path: Path, kind: type[T], most: int = SMALL) -> T | None:
    """The record in a file; None if it is missing, unreadable, too large or damaged."""
    try:
        return parse(read_file(path, most), kind)
    except (OSError, ValueError):
        return None
