"""What package managers have noted down as installed: dpkg, apk and rpm."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """An installed package.

    Attributes:
        kind: What installed it: `deb`, `apk`, `rpm`, `python`, `npm` or `gem`.
        name: Its name.
        version: Its version; empty if that is not known.
        size: Bytes that it takes as its maker says; None if that is not known.
    """

    kind: str
    name: str
    version: str
    size: int | None = None


#: A database with more is made to use up memory.
MOST_PACKAGES = 100_000


def dpkg_packages(data: bytes) -> list[Package]:
    """The packages of `/var/lib/dpkg/status`, or of a file in `status.d` (deb-control(5))."""
    found = []
    for paragraph in data.replace(b"\r\n", b"\n").split(b"\n\n")[:MOST_PACKAGES]:
        fields = {
            key: _text(value)
            for key, value in _lines(paragraph, b":")
            if key in (b"Package", b"Status", b"Version", b"Installed-Size")
        }
        # Where there is no status, as in images without dpkg, the file is there as it is installed.
        status = fields.get(b"Status", "install ok installed").split()
        if b"Package" in fields and status[-1:] == ["installed"]:
            size = fields.get(b"Installed-Size", "")
            kibibytes = int(size) if size.isascii() and size.isdigit() and len(size) < 16 else None
            found.append(
                Package(
                    "deb",
                    fields[b"Package"],
                    fields.get(b"Version", ""),
                    None if kibibytes is None else kibibytes * 1024,
                )
            )
    return found


def apk_packages(data: bytes) -> list[Package]:
    """The packages of `/lib/apk/db/installed` (apk-installed(5))."""
    found = []
    for paragraph in data.split(b"\n\n")[:MOST_PACKAGES]:
        fields = {key: value for key, value in _lines(paragraph, b":") if key in b"P V I".split()}
        if b"P" in fields:
            size = fields.get(b"I", b"")
            known = size.isdigit() and len(size) < 19
            found.append(
                Package(
                    "apk",
                    _text(fields[b"P"]),
                    _text(fields.get(b"V", b"")),
                    int(size) if known else None,
                )
            )
    return found


def _lines(paragraph: bytes, separator: bytes) -> Iterator[tuple[bytes, bytes]]:
    for line in paragraph.split(b"\n"):
        key, found, value = line.partition(separator)
        if found and not key.startswith((b" ", b"\t")):
            yield key, value


def _text(value: bytes) -> str:
    return value.strip().decode("utf-8", "replace")[:200]


class RpmError(ValueError):
    """A database of rpm that cannot be read; the text says why, as the end of a sentence."""


#: Steps of SQLite that a database may take to be read: a schema can hold anything.
_MOST_STEPS = 20_000
_STEP = 1_000

# Tags of a header, from rpmtag.h, and the types of values that they have.
_NAME, _VERSION, _RELEASE, _EPOCH, _SIZE, _LONG_SIZE = 1000, 1001, 1002, 1003, 1009, 5009
_INT32, _INT64, _STRING = 4, 5, 6


def rpm_packages(data: bytes) -> list[Package]:
    """The packages of an `rpmdb.sqlite`.

    Raises:
        RpmError: It is none, or damaged.
    """
    if not data.startswith(b"SQLite format 3\0"):
        raise RpmError("it is no SQLite database")
    # A database with a write-ahead log cannot be opened in memory; without the log it is as good.
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
    # Keys that packages are signed with are entries too.
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
