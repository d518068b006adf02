"""What fuzzing starts from: a small example of everything that a target reads."""

from __future__ import annotations

import base64
import gzip
import json
import lzma
import struct

import zstandard

from layerscope.filesystem.changeset_file import dump_changeset
from tests.archives import (
    Item,
    changeset,
    docker_archive,
    folder,
    hard_link,
    layer_tar,
    opaque,
    symlink,
    text,
    whiteout,
)


def layer() -> bytes:
    """A layer with an entry of every kind."""
    sparse = text("sparse", "startend")
    sparse.pax.update({"GNU.sparse.size": "4100", "GNU.sparse.map": "0,5,4097,3"})
    return layer_tar(
        [
            folder("dir"),
            text("dir/file", pax={"SCHILY.xattr.user.a": "b", "mtime": "-1.5"}),
            text("n" * 120),
            symlink("link", "dir/file"),
            hard_link("hard", "dir/file"),
            whiteout("gone"),
            opaque("dir"),
            Item("device", "char", device=(1, 3)),
            sparse,
        ]
    )


def tar_split_of(tar: bytes) -> bytes:
    """A layer without files' contents, as tar-split writes it."""
    header = base64.b64encode(tar[:1024]).decode()
    lines = [
        {"type": 2, "payload": header, "position": 0},
        {"type": 1, "name": "a", "size": 3, "payload": "AAAAAAAAAAA=", "position": 1},
        {"type": 2, "payload": base64.b64encode(bytes(1024)).decode(), "position": 2},
    ]
    return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)


def bolt_file() -> bytes:
    """A database of one leaf: two heads, no free pages, one key."""

    def fnv(data: bytes) -> int:
        value = 0xCBF29CE484222325
        for byte in data:
            value = (value ^ byte) * 0x100000001B3 % (1 << 64)
        return value

    def head(number: int) -> bytes:
        body = struct.pack("<IIIIQQQQQ", 0xED0CDAED, 2, 4096, 0, 3, 0, 2, 4, number)
        page = struct.pack("<QHHI", number, 4, 0, 0) + body + struct.pack("<Q", fnv(body))
        return page.ljust(4096, b"\0")

    free = struct.pack("<QHHI", 2, 16, 0, 0).ljust(4096, b"\0")
    leaf = struct.pack("<QHHI", 3, 2, 1, 0) + struct.pack("<IIII", 0, 16, 1, 1) + b"kv"
    return head(0) + head(1) + free + leaf.ljust(4096, b"\0")


def seeds(target: str) -> list[bytes]:
    """Inputs to begin with."""
    tar = layer()
    archive = docker_archive([tar, tar])
    if target.startswith("tar"):
        return [tar, layer_tar([text("a")])]
    if target == "archive":
        return [archive]
    if target == "compressed":
        data = b"layer " * 100
        return [gzip.compress(data), zstandard.compress(data), lzma.compress(data)]
    if target == "documents":
        descriptor = {"mediaType": "a", "digest": "sha256:0", "size": 1, "platform": {"os": "l"}}
        return [
            json.dumps(document).encode()
            for document in (
                {"rootfs": {"diff_ids": ["a"]}, "history": [{"created_by": "x"}]},
                {"config": descriptor, "layers": [descriptor]},
                {"manifests": [descriptor]},
                [{"Config": "a", "RepoTags": ["b"], "Layers": ["c"]}],
            )
        ]
    if target == "words":
        return [
            b"localhost:5000/a/b:c@sha256:" + b"0" * 64,
            b"/bin/sh -c #(nop) CMD [x]",
            b"**/*.p?",
        ]
    if target == "bolt":
        return [bolt_file()]
    if target == "registry_words":
        table = {"version": 1, "entries": [{"name": "a/", "type": "dir", "mode": 493}]}
        challenge = b'Bearer realm="https://a/token",service="b",scope="repository:c:pull"'
        return [json.dumps(table).encode(), challenge, b"bytes 0-9/100"]
    if target == "tar_split":
        return [tar_split_of(tar)]
    return [dump_changeset(changeset("dir/", ("dir/file", b"x"), ("l", "symlink", "dir")))]
