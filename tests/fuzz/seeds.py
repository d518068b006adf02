"""What fuzzing starts from: a small example of everything that a target reads."""

from __future__ import annotations

import gzip
import json
import lzma

import zstandard

from layerscope.filesystem.changeset_file import dump_changeset
from tests.truth.archives import (
    Item,
    docker_archive,
    folder,
    hard_link,
    layer_tar,
    opaque,
    symlink,
    text,
    whiteout,
)
from tests.unit.archives import changeset


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
    return [dump_changeset(changeset("dir/", ("dir/file", b"x"), ("l", "symlink", "dir")))]
