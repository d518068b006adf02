"""Layouts and archives that are written from blobs, and read again as the same image."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.engines.resolve import open_image
from layerscope.errors import LayerscopeError, UsageError
from layerscope.images.archives.writing import (
    Blob,
    PackedImage,
    archive_pieces,
    named,
    write_archive,
    write_layout,
)
from layerscope.images.image import Image
from layerscope.oci.manifest import (
    OCI_CONFIG,
    OCI_LAYERS,
    OCI_MANIFEST,
    describe,
    image_manifest,
)
from layerscope.oci.reference import parse_reference
from tests.archives import diff_id, layer


def packed(*layers: bytes, name: str = "registry.example:5000/app:1") -> PackedImage:
    document = {
        "os": "linux",
        "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": [diff_id(each) for each in layers]},
    }
    data = json.dumps(document).encode()
    config = describe(data, OCI_CONFIG)
    # One layer compressed, the others not.
    stored = [gzip.compress(layers[0], mtime=0), *layers[1:]] if layers else []
    parts = [
        describe(each, OCI_LAYERS[None if number else "gzip"]) for number, each in enumerate(stored)
    ]
    manifest = image_manifest(config, parts)
    top = describe(manifest, OCI_MANIFEST)
    blobs = [Blob.of(top, manifest), Blob.of(config, data)]
    blobs += [Blob.of(part, each) for part, each in zip(parts, stored, strict=True)]
    image = PackedImage(top, tuple(blobs), config, tuple(parts))
    return named(image, parse_reference(name))


IMAGE = packed(layer("d/", ("d/base", b"x" * 3000)), layer(("top", b"y")))
OTHER = packed(layer(("other", b"z")), name="registry.example:5000/app:2")

Put = Callable[[Path, PackedImage], str]


def docker_archive(path: Path, image: PackedImage) -> str:
    write_archive(path, [image], docker=True)
    return f"docker-archive:{path}"


def oci_archive(path: Path, image: PackedImage) -> str:
    write_archive(path, [image], docker=False)
    return f"oci-archive:{path}"


def layout(path: Path, image: PackedImage) -> str:
    write_layout(path, [image])
    return f"oci:{path}"


def opened(source: str) -> Image:
    reader = open_image(source)
    try:
        return reader.image
    finally:
        reader.close()


@pytest.mark.parametrize("put", [docker_archive, oci_archive, layout])
@pytest.mark.parametrize("ref", ["", ":registry.example:5000/app:1"])
def test_an_image_is_the_same_when_it_is_read(put: Put, ref: str, tmp_path: Path) -> None:
    image = opened(put(tmp_path / "i", IMAGE) + ref)
    assert image.id == IMAGE.config.digest
    assert image.reference == "registry.example:5000/app:1"
    assert [layer.digest for layer in image.layers] == [each.digest for each in IMAGE.layers]
    assert [path.name for path in tmp_path.iterdir()] == ["i"]


@given(st.lists(st.binary(max_size=3000), max_size=4), st.booleans())
def test_archives_of_any_layers_are_whole(contents: list[bytes], docker: bool) -> None:
    image = packed(*(layer(("f", content)) for content in contents))
    data = b"".join(archive_pieces([image], docker=docker))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    for blob in image.blobs:
        with blob.opened() as read:
            assert found[f"blobs/sha256/{blob.digest[7:]}"] == read(1 << 20)
    assert {name for name in found if "/" not in name} == {"oci-layout", "index.json"} | (
        {"manifest.json"} if docker else set()
    )


def test_a_layout_takes_further_images(tmp_path: Path) -> None:
    folder = tmp_path / "l"
    for image in (IMAGE, OTHER, OTHER):
        write_layout(folder, [image])
    for image in (IMAGE, OTHER):
        assert opened(f"oci:{folder}:{image.tags[0]}").id == image.config.digest
    # A name moves; what had it is still there by its digest.
    write_layout(folder, [named(OTHER, parse_reference("registry.example:5000/app:1"))])
    assert opened(f"oci:{folder}:registry.example:5000/app:1").id == OTHER.config.digest
    assert opened(f"oci:{folder}:{IMAGE.top.digest}").id == IMAGE.config.digest
    write_layout(folder, [named(IMAGE, None, "mine")])
    assert opened(f"oci:{folder}:mine").id == IMAGE.config.digest
    assert opened(f"oci:{folder}:registry.example:5000/app:1").id == OTHER.config.digest


def test_what_is_there_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("mine")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").write_text("mine")
    with pytest.raises(UsageError, match="already exists"):
        docker_archive(tmp_path / "f", IMAGE)
    for place in ("f", "d"):
        with pytest.raises(UsageError, match="exists and is not an OCI layout"):
            layout(tmp_path / place, IMAGE)
    with pytest.raises(UsageError, match="There is no folder"):
        oci_archive(tmp_path / "none/f", IMAGE)
    assert (tmp_path / "f").read_text() == (tmp_path / "d/f").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert opened(layout(tmp_path / "empty", IMAGE)).id == IMAGE.config.digest


@pytest.mark.parametrize("put", [docker_archive, oci_archive, layout])
@pytest.mark.parametrize("length", [-1, 1])
def test_a_blob_of_another_length_leaves_nothing(put: Put, length: int, tmp_path: Path) -> None:
    *blobs, last = IMAGE.blobs
    wrong = Blob.of(IMAGE.layers[-1], bytes(last.size + length))
    wrong = Blob(last.digest, last.size, wrong.open_at)
    image = PackedImage(IMAGE.top, (*blobs, wrong), IMAGE.config, IMAGE.layers)
    with pytest.raises(LayerscopeError, match="not as long"):
        put(tmp_path / "i", image)
    assert not list(tmp_path.iterdir())


def test_a_file_with_a_blob_is_linked(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    data = b"content" * 1000
    kept.write_bytes(data)
    descriptor = describe(data, OCI_LAYERS[None])
    with kept.open("rb") as file:
        opened = Blob.of(descriptor, data).open_at
        blob = Blob(descriptor.digest, len(data), opened, file.fileno())
        image = PackedImage(descriptor, (blob,), descriptor, ())
        write_layout(tmp_path / "l", [image])
        path = tmp_path / "l/blobs/sha256" / descriptor.digest[7:]
        assert path.samefile(kept)
        # A file without a name cannot be linked to, but copied.
        kept.unlink()
        path.unlink()
        write_layout(tmp_path / "m", [image])
    assert (tmp_path / "m" / path.relative_to(tmp_path / "l")).read_bytes() == data


def test_a_full_disk_is_called_by_the_folder_that_the_user_knows(small_disk: Path) -> None:
    image = packed(layer(("big", os.urandom(100_000))))
    with pytest.raises(LayerscopeError, match=rf"^{small_disk} has .*B of free space, but "):
        write_layout(small_disk / "l", [image])
    assert list(small_disk.iterdir()) == []
