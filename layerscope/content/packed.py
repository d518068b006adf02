"""Archives and compressed files: their format, and what is known without unpacking them."""

from __future__ import annotations

import struct
import zipfile

from layerscope.content.access import RandomAccess, as_file
from layerscope.content.description import Description, Fact

#: Magic number of a compression format, its name in JSON, and its name for people.
_COMPRESSED = (
    (b"\x1f\x8b\x08", "gzip", "gzip"),
    (b"\xfd7zXZ\0", "xz", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd", "Zstandard"),
    (b"BZh", "bzip2", "bzip2"),
    (b"\x04\x22\x4d\x18", "lz4", "LZ4"),
)

#: The standard library reads the whole directory of a zip archive into memory.
_LARGEST_DIRECTORY = 64 << 20
_END_OF_DIRECTORY = b"PK\x05\x06"

_ZIP_KINDS = {".whl": ("wheel", "Python wheel"), ".jar": ("jar", "Java archive")}


def describe_packed(head: bytes, source: RandomAccess, name: str) -> Description | None:
    """Describes an archive or a compressed file, given its first bytes; else None."""
    for magic, kind, label in _COMPRESSED:
        if head.startswith(magic):
            return _compressed(kind, label, head, source, name)
    if head.startswith((b"PK\x03\x04", _END_OF_DIRECTORY)):
        return _zip(source, name)
    if head.startswith(b"!<arch>\n"):
        return _ar(source)
    if head.startswith(b"\xed\xab\xee\xdb") and len(head) > 96:
        label = head[10:76].split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
        source_package = head[6:8] == b"\0\1"
        facts = (Fact("name", "Name", label), Fact("source", "Source package", source_package))
        return Description("rpm", "RPM package", None, facts)
    if len(head) >= 512 and head[257:262] == b"ustar":
        form = "GNU tar" if head[257:265] == b"ustar  \0" else "tar"
        first = head[:100].split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
        return Description("tar", f"{form} archive", None, (Fact("first", "First entry", first),))
    if head[:6] in (b"070701", b"070702", b"070707"):
        return Description("cpio", "cpio archive")
    if head.startswith(b"7z\xbc\xaf\x27\x1c"):
        return Description("7z", "7z archive")
    return None


def _compressed(kind: str, label: str, head: bytes, source: RandomAccess, name: str) -> Description:
    facts: list[Fact] = []
    inner = name.rpartition(".")[0].lower()
    is_tar = inner.endswith(".tar") or name.lower().endswith((".tgz", ".txz", ".tbz2", ".tzst"))
    if kind == "gzip":
        # RFC 1952: a name can follow the header; the last four bytes are the size, modulo 4 GiB.
        if head[3] & 8 and not head[3] & 4:
            stored = head[10:].split(b"\0", 1)[0]
            facts.append(Fact("stored_name", "Stored name", stored.decode("latin-1")))
        if source.size >= 18 and source.size < 1 << 30:
            size = int.from_bytes(source.read(source.size - 4, 4), "little")
            facts.append(Fact("uncompressed_size", "Uncompressed", size))
    elif kind == "zstd":
        content = _zstd_size(head)
        if content is not None:
            facts.append(Fact("uncompressed_size", "Uncompressed", content))
    what = "tar archive, " if is_tar else "compressed with "
    return Description(kind, f"{what}{label}", None, tuple(facts))


def _zstd_size(head: bytes) -> int | None:
    """The size of the content, if the first frame has it (RFC 8878, 3.1.1.1)."""
    flags = head[4] if len(head) > 18 else 0
    single, form = flags >> 5 & 1, flags >> 6
    if not single and not form:
        return None
    at = 5 + (0 if single else 1) + (0, 1, 2, 4)[flags & 3]
    size = (1, 2, 4, 8)[form]
    value = int.from_bytes(head[at : at + size], "little")
    return value + 256 if form == 1 else value


def _zip(source: RandomAccess, name: str) -> Description:
    suffix = name[-4:].lower()
    kind, label = _ZIP_KINDS.get(suffix, ("zip", "zip archive"))
    tail = source.read(max(0, source.size - 66_000), 66_000)
    end = tail.rfind(_END_OF_DIRECTORY)
    if end < 0:
        return Description(kind, f"{label}, damaged: its directory is missing")
    if int.from_bytes(tail[end + 12 : end + 16], "little") > _LARGEST_DIRECTORY:
        return Description(kind, f"{label} with a very large directory")
    try:
        with as_file(source) as file, zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, OSError):
        return Description(kind, f"{label}, damaged")
    names = {entry.filename for entry in entries}
    if kind == "zip" and "META-INF/MANIFEST.MF" in names:
        kind, label = _ZIP_KINDS[".jar"]
    facts = [
        Fact("entries", "Entries", len(entries)),
        Fact("uncompressed_size", "Uncompressed", sum(entry.file_size for entry in entries)),
    ]
    if any(entry.flag_bits & 1 for entry in entries):
        facts.append(Fact("encrypted", "Encrypted", True))
    return Description(kind, label, None, tuple(facts))


def _ar(source: RandomAccess) -> Description:
    """An archive of ar(5): a Debian package, or a library."""
    names: list[str] = []
    at = 8
    for _ in range(64):
        header = source.read(at, 60)
        if len(header) < 60 or header[58:] != b"`\n":
            break
        try:
            size = int(header[48:58].decode("ascii").strip() or "0")
        except ValueError:
            break
        if size < 0:
            break
        names.append(header[:16].decode("utf-8", "surrogateescape").strip().rstrip("/"))
        at += 60 + size + (size & 1)
    if names and names[0] == "debian-binary":
        version = source.read(68, 16).split(b"\n", 1)[0].decode("latin-1")
        facts = (Fact("format", "Format", version), Fact("members", "Members", tuple(names)))
        return Description("deb", "Debian package", None, facts)
    return Description("ar", "library archive (ar)")
