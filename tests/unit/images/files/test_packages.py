"""Databases of package managers, what a layer did to packages, and files with special rights."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.content.package_lists import (
    Package,
    RpmError,
    apk_packages,
    dpkg_packages,
    rpm_packages,
)
from layerscope.engines.resolve import open_image
from layerscope.images.files.contents import Contents
from layerscope.images.files.packages import PackageReader
from layerscope.images.loading import load
from layerscope.images.progress import Progress
from layerscope.reports.packages_report import glance_facts
from tests.archives import Item, layer_tar, text, whiteout, write_archive

DPKG = """Package: bash
Status: install ok installed
Installed-Size: 7164
Architecture: amd64
Version: 5.2.15-2
Description: GNU Bourne Again SHell
 Package: not a field
 Bash is an sh-compatible command language.

Package: gone
Status: deinstall ok config-files
Version: 1

Package: python3
Status: install ok installed
Version: 3.11.2-1
"""
APK = "C:Q1\nP:musl\nV:1.2.5-r0\nI:667648\nF:lib\nR:libc.so\n\nP:busybox\nV:1.36\n\n"


def rpm_header(name: str, version: str, release: str, size: int, epoch: int = 0) -> bytes:
    values = [
        (1000, 6, name.encode() + b"\0"),
        (1001, 6, version.encode() + b"\0"),
        (1002, 6, release.encode() + b"\0"),
    ]
    numbers = [(1009, 4, struct.pack(">I", size))] + (
        [(1003, 4, struct.pack(">I", epoch))] if epoch else []
    )
    index, data = b"", b""
    for tag, kind, value in values + numbers:
        data += bytes(-len(data) % 4) if kind == 4 else b""
        index += struct.pack(">IIII", tag, kind, len(data), 1)
        data += value
    return struct.pack(">II", len(index) // 16, len(data)) + index + data


def rpm_database(path: Path, *headers: bytes, journal: str = "wal") -> bytes:
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA journal_mode={journal}")
    connection.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)")
    connection.executemany("INSERT INTO Packages (blob) VALUES (?)", [(x,) for x in headers])
    connection.commit()
    connection.close()
    return path.read_bytes()


def test_dpkg_has_only_what_is_installed() -> None:
    assert dpkg_packages(DPKG.encode()) == [
        Package("deb", "bash", "5.2.15-2", 7164 * 1024),
        Package("deb", "python3", "3.11.2-1", None),
    ]
    assert dpkg_packages(b"Package: tzdata\nVersion: 2024a\n") == [
        Package("deb", "tzdata", "2024a", None)
    ]


def test_apk() -> None:
    assert apk_packages(APK.encode()) == [
        Package("apk", "musl", "1.2.5-r0", 667648),
        Package("apk", "busybox", "1.36", None),
    ]


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_rpm_in_sqlite(tmp_path: Path, journal: str) -> None:
    data = rpm_database(
        tmp_path / "db",
        rpm_header("bash", "5.1.8", "9.el9", 7_700_000),
        rpm_header("tar", "1.34", "6", 3, epoch=2),
        rpm_header("gpg-pubkey", "fd431d51", "4ae0493b", 0),
        journal=journal,
    )
    assert rpm_packages(data) == [
        Package("rpm", "bash", "5.1.8-9.el9", 7_700_000),
        Package("rpm", "tar", "2:1.34-6", 3),
    ]


def test_a_database_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(RpmError, match="not an SQLite database"):
        rpm_packages(b"")
    connection = sqlite3.connect(tmp_path / "view")
    connection.execute(
        "CREATE VIEW Packages AS WITH RECURSIVE a(blob) AS (SELECT 1 UNION ALL SELECT 2 FROM a) "
        "SELECT * FROM a"
    )
    connection.close()
    with pytest.raises(RpmError, match="no table"):
        rpm_packages((tmp_path / "view").read_bytes())
    data = rpm_database(tmp_path / "db", b"\xff" * 20)
    with pytest.raises(RpmError, match="damaged"):
        rpm_packages(data)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    dpkg_packages(data)
    apk_packages(data)
    with pytest.raises(RpmError):
        rpm_packages(b"SQLite format 3\0" + data)


# Images.


def reader_of(folder: Path, *layers: Sequence[Item]) -> PackageReader:
    path = write_archive(folder, [layer_tar(list(layer)) for layer in layers])
    image = open_image(str(path), Progress())
    return PackageReader(load(image, Progress()).stack, Contents(image))


def names(packages: Sequence[Package]) -> list[str]:
    return [f"{x.kind} {x.name} {x.version}".strip() for x in packages]


STATUS = "var/lib/dpkg/status"


def test_a_layer_adds_upgrades_and_removes(tmp_path: Path) -> None:
    later = DPKG.replace("5.2.15-2", "5.2.15-3").replace("python3", "zlib1g")
    reader = reader_of(tmp_path, [text(STATUS, DPKG)], [text("a")], [text(STATUS, later)])
    first, second, third = (reader.glance(layer) for layer in range(3))
    assert names(first.added) == ["deb bash 5.2.15-2", "deb python3 3.11.2-1"]
    assert (second.added, second.upgraded, second.removed) == ((), (), ())
    assert names(third.added) == ["deb zlib1g 3.11.2-1"]
    assert [(a.version, b.version) for a, b in third.upgraded] == [("5.2.15-2", "5.2.15-3")]
    assert names(third.removed) == ["deb python3 3.11.2-1"]
    assert glance_facts(third) == [
        (
            "Packages",
            "1 added, 1 upgraded, 1 removed: zlib1g 3.11.2-1, bash 5.2.15-2 → 5.2.15-3, "
            "python3 3.11.2-1",
        ),
        ("Rights", "none"),
    ]
    assert glance_facts(second) == [("Packages", "none changed"), ("Rights", "none")]
    assert glance_facts(first, 1)[0] == ("Packages", "2 added: bash 5.2.15-2, …")


def test_packages_that_paths_tell_of(tmp_path: Path) -> None:
    site = "usr/lib/python3.11/site-packages"
    reader = reader_of(
        tmp_path,
        [
            text(f"{site}/requests-2.31.0.dist-info/METADATA"),
            text(f"{site}/old-1.0-py3.11.egg-info"),
            text(f"{site}/older-2.0.egg-info/PKG-INFO"),
            text("app/node_modules/left-pad/package.json"),
            text("app/node_modules/@babel/core/package.json"),
            text("app/node_modules/@babel/core/lib/package.json"),
            text("app/package.json"),
            text("usr/lib/ruby/gems/3.1.0/specifications/rake-13.0.6.gemspec"),
            text("opt/METADATA"),
        ],
        [
            whiteout("app/node_modules"),
            whiteout(f"{site}/requests-2.31.0.dist-info"),
            text(f"{site}/requests-2.32.0.dist-info/METADATA"),
        ],
    )
    assert names(reader.installed(0)[0]) == [
        "gem rake 13.0.6",
        "npm @babel/core",
        "npm left-pad",
        "python old 1.0",
        "python older 2.0",
        "python requests 2.31.0",
    ]
    glance = reader.glance(1)
    assert names(glance.removed) == ["npm @babel/core", "npm left-pad"]
    assert [(a.version, b.version) for a, b in glance.upgraded] == [("2.31.0", "2.32.0")]
    assert reader.installed(-1) == ([], [])


def test_alpine_distroless_and_rpm(tmp_path: Path) -> None:
    rpm = rpm_database(tmp_path / "db", rpm_header("bash", "5", "1", 9))
    reader = reader_of(
        tmp_path,
        [text("lib/apk/db/installed", APK)],
        [
            text("var/lib/dpkg/status.d/tzdata", "Package: tzdata\nVersion: 2024a\n"),
            text("var/lib/dpkg/status.d/tzdata.md5sums", "Package: no\nVersion: 0\n"),
        ],
        [Item("usr/lib/sysimage/rpm/rpmdb.sqlite", content=rpm)],
        [whiteout("usr/lib/sysimage/rpm/rpmdb.sqlite"), text("var/lib/rpm/Packages", "bdb")],
        [text("var/lib/rpm/rpmdb.sqlite", "none")],
    )
    assert names(reader.glance(0).added) == ["apk musl 1.2.5-r0", "apk busybox 1.36"]
    assert names(reader.glance(1).added) == ["deb tzdata 2024a"]
    assert names(reader.glance(2).added) == ["rpm bash 5-1"]
    (note,) = reader.glance(3).notes
    assert note == "RPM database in an older format: /var/lib/rpm/Packages is not read."
    (note,) = reader.glance(4).notes
    assert note == "/var/lib/rpm/rpmdb.sqlite is not read: it is not an SQLite database."


def test_files_with_special_rights(tmp_path: Path) -> None:
    capability = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)
    reader = reader_of(
        tmp_path,
        [
            text("bin/su", "x", mode=0o4755),
            text("bin/wall", "x", mode=0o2755, gid=5),
            text("bin/sh", "x", mode=0o755),
            Item("tmp", "dir", mode=0o3777),
            Item(
                "bin/ping",
                content=b"x",
                mode=0o755,
                pax={"SCHILY.xattr.security.capability": capability.decode("ascii")},
            ),
        ],
        [text("bin/su", "y", mode=0o755)],
    )
    assert [(x.path, x.what, x.group) for x in reader.privileged(0)] == [
        (b"bin/ping", "cap_net_raw=ep", 0),
        (b"bin/su", "setuid", 0),
        (b"bin/wall", "setgid", 5),
    ]
    assert [x.path for x in reader.privileged(0, 1)] == [b"bin/ping", b"bin/wall"]
    assert reader.privileged(1) == []
    assert glance_facts(reader.glance(0))[1] == (
        "Rights",
        "3 setuid, setgid, capable: /bin/ping cap_net_raw=ep, /bin/su, /bin/wall",
    )
