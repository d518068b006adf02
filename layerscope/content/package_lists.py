"""Parses the package databases of dpkg, apk and rpm."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Container, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Package:
    kind: str  # Its package manager: `deb`, `apk`, `rpm`, `python`, `npm` or `gem`.
    name: str
    version: str  # Empty if unknown.
    size: int | None = None  # Its installed size in bytes according to its metadata, or None.


#: A larger database is an attempt to exhaust the memory.
MOST_PACKAGES = 100_000


def dpkg_packages(data: bytes) -> list[Package]:
    """Parses `/var/lib/dpkg/status`, or a file in `status.d` (deb-control(5))."""
    found = []
    for fields in _paragraphs(data, b"Package", b"Status", b"Version", b"Installed-Size"):
        # Images without dpkg have files without a status for installed packages only.
        status = fields.get(b"Status", "install ok installed").split()
        if b"Package" in fields and status[-1:] == ["installed"]:
            version, kibibytes = fields.get(b"Version", ""), _number(fields.get(b"Installed-Size"))
            size = None if kibibytes is None else kibibytes * 1024
            found.append(Package("deb", fields[b"Package"], version, size))
    return found


def apk_packages(data: bytes) -> list[Package]:
    """Parses `/lib/apk/db/installed` (apk-installed(5))."""
    return [
        Package("apk", fields[b"P"], fields.get(b"V", ""), _number(fields.get(b"I")))
        for fields in _paragraphs(data, b"P", b"V", b"I")
        if b"P" in fields
    ]


def apk_files(data: bytes, names: Container[str]) -> set[bytes]:
    """The paths of packages in `/lib/apk/db/installed`, without leading slash."""
    found: set[bytes] = set()
    folder, taken = b"", False
    for line in data.split(b"\n"):
        key, _, value = line.partition(b":")
        if key == b"P":
            taken, folder = _text(value) in names, b""
        elif taken and key == b"F":
            folder = value
            found.add(value)
        elif taken and key == b"R":
            found.add(folder + b"/" + value if folder else value)
    return found


def dpkg_automatic(data: bytes) -> set[str]:
    """Names of automatically installed packages in `/var/lib/apt/extended_states`."""
    paragraphs = _paragraphs(data, b"Package", b"Auto-Installed")
    return {
        p[b"Package"] for p in paragraphs if p.get(b"Auto-Installed") == "1" and b"Package" in p
    }


def _paragraphs(data: bytes, *keys: bytes) -> Iterator[dict[bytes, str]]:
    for paragraph in data.replace(b"\r\n", b"\n").split(b"\n\n")[:MOST_PACKAGES]:
        lines = (line.partition(b":") for line in paragraph.split(b"\n"))
        yield {key: _text(value) for key, colon, value in lines if colon and key in keys}


def _text(value: bytes) -> str:
    return value.strip().decode("utf-8", "replace")[:200]


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else None


class RpmError(ValueError):
    """An rpm database cannot be read; the text is the reason, as the end of a sentence."""


#: The limit of SQLite steps for reading a database, because its schema can contain anything.
_MOST_STEPS = 20_000
_STEP = 1_000

# Tags of a header, from rpmtag.h, and the types of their values.
_NAME, _VERSION, _RELEASE, _EPOCH, _SIZE, _LONG_SIZE = 1000, 1001, 1002, 1003, 1009, 5009
_INT32, _INT64, _STRING = 4, 5, 6


def rpm_packages(data: bytes) -> list[Package]:
    """Parses an `rpmdb.sqlite`; raises RpmError if it is not one, or is damaged."""
    if not data.startswith(b"SQLite format 3\0"):
        raise RpmError("it is not an SQLite database")
    # A database in write-ahead log mode cannot be opened in memory, so switch it to the other mode.
    data = data[:18] + b"\x01\x01" + data[20:]
    steps = 0

    def stop() -> bool:
        nonlocal steps
        steps += 1
        return steps > _MOST_STEPS

    connection = sqlite3.connect(":memory:")
    try:
        connection.deserialize(data)
        connection.set_progress_handler(stop, _STEP)
        connection.execute("PRAGMA trusted_schema=OFF")
        kinds = connection.execute("SELECT type FROM sqlite_master WHERE name='Packages'")
        if [kind for (kind,) in kinds] != ["table"]:
            raise RpmError("it has no table of packages")
        rows = connection.execute(f"SELECT blob FROM Packages LIMIT {MOST_PACKAGES}")  # noqa: S608
        found = [_rpm_package(blob) for (blob,) in rows if isinstance(blob, bytes)]
    except (sqlite3.Error, struct.error, OverflowError, MemoryError) as error:
        raise RpmError(f"it is damaged ({type(error).__name__})") from None
    finally:
        connection.close()
    # The keys that sign packages are entries too.
    return [package for package in found if package.name not in ("", "gpg-pubkey")]


def _rpm_package(blob: bytes) -> Package:
    entries, length = struct.unpack_from(">II", blob)
    start = 8 + 16 * min(entries, 10_000)
    values: dict[int, str | int] = {}
    for place in range(min(entries, 10_000)):
        tag, kind, offset, _ = struct.unpack_from(">IIII", blob, 8 + 16 * place)
        if offset >= length:
            continue
        if kind == _STRING:
            end = blob.find(b"\0", start + offset)
            values[tag] = _text(blob[start + offset : end])
        elif kind == _INT32:
            values[tag] = struct.unpack_from(">I", blob, start + offset)[0]
        elif kind == _INT64:
            values[tag] = struct.unpack_from(">Q", blob, start + offset)[0]
    version = f"{values.get(_VERSION, '')}-{values.get(_RELEASE, '')}".strip("-")
    if values.get(_EPOCH):
        version = f"{values[_EPOCH]}:{version}"
    size = values.get(_LONG_SIZE, values.get(_SIZE))
    return Package(
        "rpm", str(values.get(_NAME, "")), version, size if isinstance(size, int) else None
    )
