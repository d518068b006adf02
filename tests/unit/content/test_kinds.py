"""Kinds of files: real files if the machine has them, generated ones otherwise."""

from __future__ import annotations

import datetime
import gzip
import importlib.util
import io
import json
import random
import sqlite3
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest

from layerscope.content.access import as_file
from layerscope.content.description import Description
from layerscope.content.kind import describe
from layerscope.content.packed import describe_packed
from tests import archives
from tests.archives import InMemory, saved
from tests.command import one_line_error, run


def reported(data: bytes, name: str = "file") -> Description:
    return describe(InMemory(data), name)


def facts(found: Description) -> dict[str, object]:
    return {fact.key: fact.value for fact in found.facts}


# --- text ---


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"plain\n", "ascii"),
        ("größer\n".encode(), "utf-8"),
        (b"\xef\xbb\xbfmark\n", "utf-8-sig"),
        ("größer\n".encode("latin-1"), "latin-1"),
        ("wide\n".encode("utf-16"), "utf-16-le"),
        ("no mark, wide\n".encode("utf-16-be"), "utf-16-be"),
        ("no mark, wide\n".encode("utf-16-le"), "utf-16-le"),
        (b"\x1b[31mred\x1b[0m\n", "ascii"),
        (b"a\0b", None),
        (bytes(range(256)), None),
        (b"\x01\x02\x03\x04" * 9, None),
        (b"\xff\xfe\xfd\x80\x81\x82" * 30, "utf-16-le"),
        (b"\x90\x80\xc5\x81\x82" * 30, None),
        ("größer, wärmer".encode() + b" \xff bad", "utf-8"),
    ],
)
def test_the_encoding_of_text(data: bytes, encoding: str | None) -> None:
    assert reported(data).encoding == encoding


def test_a_cut_character_does_not_change_the_encoding() -> None:
    assert reported("ä".encode() * 40_000 + b"x").encoding == "utf-8"
    assert reported(b"x" + "ä".encode() * 40_000).encoding == "utf-8"


def test_nothing_is_empty_text() -> None:
    assert reported(b"") == Description("empty", "empty", "ascii")


def test_scripts_and_line_ends() -> None:
    script = reported(b"#!/usr/bin/env python3\nprint()\n")
    assert (script.kind, facts(script)) == ("script", {"interpreter": "/usr/bin/env python3"})
    assert reported(b"a\r\nb\r\n").summary == "ASCII text, CRLF"
    assert reported(b"a\r\nb\n").summary == "ASCII text"


# --- ELF ---


def test_an_interpreter_as_elf(tmp_path: Path) -> None:
    found = reported(Path(sys.executable).resolve().read_bytes())
    known = facts(found)
    assert found.kind == "elf"
    assert found.summary.startswith("ELF 64-bit ")
    assert "ld-linux" in str(known["interpreter"])
    assert any("libc.so" in name for name in known["needed"])  # type: ignore[attr-defined]
    assert known["type"] == "executable"
    assert known["static"] is False


def small_elf(kind: int = 2, machine: int = 40) -> bytes:
    ident = b"\x7fELF\x01\x02\x01" + bytes(9)
    return ident + struct.pack(">HHIIIIIHHHHHH", kind, machine, 1, 0, 52, 0, 0, 52, 32, 0, 40, 0, 0)


def test_a_small_static_elf() -> None:
    found = reported(small_elf())
    assert found.summary == "ELF 32-bit ARM executable, static"
    assert facts(found)["byte_order"] == "big endian"
    assert facts(found)["relro"] == "none"
    assert facts(found)["stripped"] is True


def test_a_truncated_elf_is_damaged() -> None:
    assert reported(small_elf()[:40]).summary == "binary, it is truncated"


def test_damaged_elf_files_never_raise() -> None:
    data = Path("/bin/true").read_bytes()
    numbers = random.Random(7)
    for _ in range(300):
        bad = bytearray(data)
        for _ in range(8):
            bad[numbers.randrange(0, 0x1000)] = numbers.randrange(256)
        assert reported(bytes(bad)).kind
        assert reported(bytes(bad[: numbers.randrange(5, 3000)])).kind


# --- pictures ---


def _png(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")


JPEG = (
    b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"
    b"\xff\xc0\0\x11\x08" + struct.pack(">HH", 30, 40) + b"\3\1\x22\0\2\x11\1\3\x11\1"
)


@pytest.mark.parametrize(
    ("data", "summary"),
    [
        (_png(640, 480), "PNG picture, 640 × 480"),
        (JPEG, "JPEG picture, 40 × 30"),
        (b"GIF89a" + struct.pack("<HH", 3, 4) + bytes(20), "GIF picture, 3 × 4"),
        (b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + b"\x0f\0\0\x1f\0\0", "WebP picture, 16 × 32"),
        (b"RIFF\0\0\0\0WEBPVP8L" + bytes(4) + b"\x2f\x03\xc0\0\0", "WebP picture, 4 × 4"),
        (b"RIFF\0\0\0\0WEBPVP8 " + bytes(10) + struct.pack("<HH", 9, 8), "WebP picture, 9 × 8"),
    ],
)
def test_pictures(data: bytes, summary: str) -> None:
    assert reported(data).summary == summary


@pytest.mark.parametrize("data", [_png(1, 1)[:20], JPEG[:24], b"GIF89a\1", b"RIFF\0\0\0\0WEBPxxxx"])
def test_damaged_pictures(data: bytes) -> None:
    assert reported(data).kind == "damaged"


def test_svg() -> None:
    found = reported(b'<?xml version="1.0"?><svg width="10px" height="20">')
    assert (found.kind, facts(found)["dimensions"]) == ("svg", "10 × 20")
    assert "view box" in str(facts(reported(b'<svg viewBox="0 0 7 8">'))["dimensions"])
    assert reported(b"<svg>").facts == ()


# --- archives ---


def test_zip_wheel_and_jar() -> None:
    def zipped(*names: str) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.writestr(name, b"x" * 1000)
        return out.getvalue()

    found = reported(zipped("a", "b"))
    assert (found.kind, facts(found)) == ("zip", {"entries": 2, "uncompressed_size": 2000})
    assert reported(zipped("a"), "x-1-py3-none-any.whl").summary == "Python wheel"
    assert reported(zipped("META-INF/MANIFEST.MF")).summary == "Java archive"
    assert "damaged" in reported(zipped("a", "b")[:-30]).summary


def test_compressed_files() -> None:
    assert facts(reported(gzip.compress(b"x" * 5000)))["uncompressed_size"] == 5000
    assert reported(gzip.compress(b"x"), "a.tar.gz").summary == "tar archive, gzip"
    import lzma

    import zstandard

    assert reported(lzma.compress(b"x")).kind == "xz"
    for size in (10, 300, 70_000, 5_000_000):
        data = zstandard.ZstdCompressor().compress(b"x" * size)
        assert facts(reported(data))["uncompressed_size"] == size


def test_tar_and_deb(tmp_path: Path) -> None:
    assert facts(reported(archives.layer(("first", b"x"))))["first"] == "first"
    member = b"debian-binary   1700000000  0     0     100644  4         `\n2.0\n"
    more = b"control.tar.xz  1700000000  0     0     100644  2         `\nab"
    found = reported(b"!<arch>\n" + member + more)
    assert found.summary == "Debian package"
    assert facts(found) == {"format": "2.0", "members": ("debian-binary", "control.tar.xz")}
    assert reported(b"!<arch>\n" + more).kind == "ar"


def test_rpm() -> None:
    lead = b"\xed\xab\xee\xdb\3\0\0\0\0\1" + b"bash-5.2-1".ljust(66, b"\0") + bytes(99)
    assert facts(reported(lead)) == {"name": "bash-5.2-1", "source": False}


def test_damaged_archives() -> None:
    assert describe_packed(b"nothing of that", InMemory(b"nothing of that"), "x") is None


# --- certificates ---


def _certificate() -> tuple[bytes, bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name.from_rfc4514_string("CN=example.test,O=Example")
    begin = datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC)
    names = [x509.DNSName("example.test"), x509.DNSName("*.example.test")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(4711)
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding
    return certificate.public_bytes(encoding.PEM), certificate.public_bytes(encoding.DER)


def test_certificates() -> None:
    pem, der = _certificate()
    for data, form in ((pem, "PEM"), (der, "DER")):
        found = reported(data, "x.crt")
        assert found.summary == f"certificate, {form}"
        known = facts(found)
        assert known["subject"] == "CN=example.test,O=Example"
        assert known["issuer"] == "itself"
        assert known["names"] == ("example.test", "*.example.test")
        assert known["valid"] == "2024-01-02 to 2024-02-01"
        assert known["key"] == "EC secp256r1"
        assert known["serial"] == "1267"
    bundle = reported(pem * 3)
    assert bundle.summary == "3 certificates, PEM"
    assert [fact.title for fact in bundle.facts[1:]] == ["1. Subject", "2. Subject", "3. Subject"]


def test_damaged_certificates() -> None:
    pem, der = _certificate()
    assert facts(reported(pem.replace(b"MII", b"AAA", 1))).get("damaged")
    numbers = random.Random(3)
    for _ in range(200):
        bad = bytearray(der)
        bad[numbers.randrange(len(der))] = numbers.randrange(256)
        assert reported(bytes(bad)).kind


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    pem, _ = _certificate()
    monkeypatch.setitem(sys.modules, "cryptography", None)
    found = reported(pem)
    assert found.summary == "certificate, PEM"
    assert "Install layerscope[certificates]" in str(facts(found)["hint"])


def test_a_private_key_is_named_and_not_read() -> None:
    found = reported(
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"
    )
    assert (found.kind, found.summary, found.facts) == (
        "private_key",
        "PEM, openssh private key",
        (),
    )


# --- others ---


def test_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table t (a)")
        connection.execute("pragma user_version = 7")
    connection.close()
    found = reported(path.read_bytes())
    assert found.kind == "sqlite"
    assert facts(found)["user_version"] == 7
    assert str(facts(found)["written_by"]).startswith("SQLite 3.")


def test_bytecode(tmp_path: Path) -> None:
    import py_compile

    source = tmp_path / "m.py"
    source.write_text("x = 1\n")
    data = Path(py_compile.compile(str(source), cfile=str(tmp_path / "m.pyc")) or "").read_bytes()
    found = reported(data, "m.pyc")
    version = ".".join(map(str, sys.version_info[:2]))
    assert found.summary == f"Python {version} bytecode"
    assert facts(found)["magic"] == int.from_bytes(importlib.util.MAGIC_NUMBER[:2], "little")
    assert facts(found)["source_size"] == 6


def test_other_kinds() -> None:
    assert reported(b"%PDF-1.7 \0").kind == "pdf"
    assert reported(b"\0asm\1\0\0\0").kind == "wasm"
    assert reported(b"MZ as text begins").kind == "text"


def test_content_as_a_file() -> None:
    with as_file(InMemory(b"0123456789")) as file:
        assert file.seek(-4, io.SEEK_END) == 6
        assert file.read(2) == b"67"
        assert file.seek(1, io.SEEK_CUR) == 9
        assert file.read() == b"9"


# --- the command ---


def test_cat_describes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    layer = archives.layer(
        ("bin/run", b"#!/bin/sh\nsecret words\n"), ("link", "symlink", "bin/run")
    )
    source = archives.write(tmp_path / "image.tar", saved(layer))
    outcome = run(capsys, "cat", source, "link", "--describe")
    assert outcome.code == 0
    assert outcome.out.splitlines() == [
        "Kind         script, ASCII",
        "Size         23B (23 bytes)",
        "Interpreter  /bin/sh",
    ]
    document = json.loads(run(capsys, "cat", source, "/bin/run", "--describe", "--json").out)
    assert document == {
        "schema": "layerscope.description/1",
        "path": "/bin/run",
        "layer": 0,
        "size": 23,
        "kind": "script",
        "summary": "script, ASCII",
        "encoding": "ascii",
        "facts": {"interpreter": "/bin/sh"},
    }
    assert "--describe" in one_line_error(run(capsys, "cat", source, "bin/run", "--json"))


def test_what_a_description_says_is_safe_to_show(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    layer = archives.layer(("evil", b"#!/bin/\x1b[31m\xe2\x80\xaesh\n"))
    source = archives.write(tmp_path / "image.tar", saved(layer))
    out = run(capsys, "cat", source, "evil", "--describe").out
    assert "\\e[31m" in out
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_tar_made_by_tar_is_known(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    data = subprocess.run(
        ["tar", "-C", str(tmp_path), "-cf", "-", "a"], check=True, capture_output=True
    ).stdout
    assert reported(data).summary == "GNU tar archive"
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getnames() == ["a"]
