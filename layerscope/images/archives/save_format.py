"""The structure of a `docker save` archive.

Old archives have a folder for each layer: `ID/layer.tar`, and `ID/json` that names its parent. New
ones are OCI layouts with `blobs/sha256/DIGEST` and a `manifest.json` beside `index.json`. Podman
writes `DIFF-ID.tar`. In all of them `manifest.json` is authoritative, but it may come last. Other
files are ignored: folders that were unpacked and packed again contain `.DS_Store`, `._layer.tar`
and the like.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from layerscope.errors import AmbiguousError, BadInputError, NotFoundError
from layerscope.images.archives.blob_store import MANIFEST, load_json
from layerscope.images.archives.legacy_format import legacy_config, legacy_images
from layerscope.images.image import Image, image_from_config, with_missing
from layerscope.images.layer_stream import NOTHING, Digests
from layerscope.images.manifests import MAX_LAYERS
from layerscope.oci.config import ConfigError, ImageConfig, parse_config
from layerscope.oci.manifest import (
    ManifestError,
    SavedImage,
    json_bytes,
    parse_manifest,
    parse_saved_images,
)
from layerscope.oci.reference import parse_reference
from layerscope.text import decode, plural, short_id, visible

T = TypeVar("T")

#: The shortest prefix of an id that names an image.
_SHORTEST_ID = 4

#: The most images of an archive that an error names.
_MOST_NAMES = 12


class SavedFiles(Protocol[T]):
    """The files of a `docker save` archive: in a file, a folder or a stream.

    `T` is the type of its layers.
    """

    @property
    def file(self) -> str: ...

    def read(self, name: str) -> bytes | None:
        """A document, or None if it is missing."""

    def find_layer(self, name: str) -> tuple[str, T] | None:
        """A layer's entry name, with links resolved, and its value; None if it is missing."""

    def diff_id(self, layer: tuple[str, T]) -> str:
        """The digest of a layer's tar; may have to read the whole layer."""

    def is_empty(self, layer: tuple[str, T]) -> bool:
        """Whether a layer is stored as 0 bytes."""

    def names(self) -> Iterable[str]:
        """The names of all files that may be layers."""


def choose_image(
    files: SavedFiles[T], images: Sequence[SavedImage], wanted: str | None, source: str
) -> SavedImage:
    """Chooses one image of an archive.

    `wanted` is a reference (moved to the front of the image's references), an id, a prefix of one,
    or None if there should be only one image.

    Raises NotFoundError if there is no such image, and AmbiguousError if there are several and
    `wanted` is None.
    """
    file = files.file
    if wanted is None:
        if len(images) == 1:
            return images[0]
        names = [_name(files, image) for image in images]
        raise AmbiguousError(
            f"{file} holds {len(images)} images.",
            f"Name one: {visible(source)}:REF with REF one of {_listed(names)}.",
            names,
        )
    for image in images:
        if called := [tag for tag in image.tags if same_reference(wanted, tag)]:
            others = [tag for tag in image.tags if tag not in called]
            return replace(image, tags=(*called, *others))
    prefix = wanted.removeprefix("sha256:")
    by_id = [
        image
        for image in images
        if len(prefix) >= _SHORTEST_ID
        and _id(files, image).removeprefix("sha256:").startswith(prefix)
    ]
    if len(by_id) == 1:
        return by_id[0]
    held = _listed([_name(files, image) for image in images])
    raise NotFoundError(f"{file} holds no image {visible(wanted)}.", f"It holds {held}.")


def _name(files: SavedFiles[T], image: SavedImage) -> str:
    return image.tags[0] if image.tags else short_id(_id(files, image))


def _listed(names: Sequence[str]) -> str:
    shown = [visible(name) for name in names]
    return ", ".join(shown[:_MOST_NAMES] + ["…"] * (len(shown) > _MOST_NAMES))


def same_reference(one: str, other: str) -> bool:
    """Whether two references name the same image, with defaults filled in."""
    try:
        return parse_reference(one) == parse_reference(other)
    except ValueError:
        return one == other


def _id(files: SavedFiles[T], image: SavedImage) -> str:
    """The id of an image: the digest of its configuration, whatever its file is called.

    Images from before Docker 1.10 have the id of their top layer.
    """
    if files.read(MANIFEST) is None:
        return image.config.removesuffix("/json")
    return "sha256:" + hashlib.sha256(_config(files, image)).hexdigest()


def _config(files: SavedFiles[T], image: SavedImage) -> bytes:
    data = files.read(entry_name(image.config))
    if data is None:
        hint = "The archive is incomplete: save the image again."
        raise BadInputError(files.file, None, f"it has no {visible(image.config)}", hint)
    return data


def read_config(file: str, name: str, data: bytes) -> ImageConfig:
    """Parses an image configuration; raises BadInputError if it is invalid."""
    return _parsed(file, name, load_json(file, name, data), data)


def _parsed(file: str, name: str, document: object, data: bytes) -> ImageConfig:
    try:
        return parse_config(document, data)
    except ConfigError as error:
        raise BadInputError(file, None, f"{visible(name)}: {error}") from None


def saved_image(
    files: SavedFiles[T], wanted: str | None, *, source: str, reference: str | None = None
) -> tuple[Image, list[tuple[str, T]]]:
    """An image of an archive.

    `reference` is the image's name, or None for its first tag.

    Returns the image, and the result of `find_layer` for each of its layers, base first. Raises
    LayerscopeError if something is missing or inconsistent.
    """
    file, data = files.file, files.read(MANIFEST)
    images = (
        legacy_images(file, files.read, files.names())
        if data is None
        else _images(file, load_json(file, MANIFEST, data))
    )
    if not images and data is None:
        hint = "layerscope opens what `docker save` or `podman save` writes."
        raise BadInputError(file, None, f"it is an archive without {MANIFEST}", hint)
    if not images:
        raise BadInputError(file, None, f"{MANIFEST} names no image")
    saved = choose_image(files, images, wanted, source)
    if data is None:
        layers = _layers(files, saved)
        diff_ids = [files.diff_id(layer) for layer in layers]
        document = legacy_config(file, files.read, saved, diff_ids)
        config = _parsed(file, saved.config, document, json_bytes(document))
    else:
        config = read_config(file, saved.config, _config(files, saved))
        _check_layers(file, saved, config)
        layers = _layers(files, saved)
    identifier = _id(files, saved)
    image = image_from_config(
        config,
        reference=reference or (saved.tags[0] if saved.tags else identifier),
        image_id=identifier,
        source=source,
        # The digest of a layer as stored, if its name is one.
        digests=[
            "sha256:" + name.rpartition("/")[2] if name.startswith("blobs/sha256/") else None
            for name, _ in layers
        ],
    )
    # Bazel writes 0 bytes for foreign layers.
    missing = {
        index: "its content was not saved"
        for index, layer in enumerate(layers)
        if files.is_empty(layer) and image.layers[index].diff_id != NOTHING
    }
    image = replace(image, names=tuple(saved.tags))
    return with_missing(image, missing, [0] * len(layers)), layers


def saved_parts(
    files: SavedFiles[T], wanted: str | None, source: str
) -> tuple[SavedImage, bytes, tuple[str, ...], list[str]]:
    """The parts of an image of an archive with `manifest.json`.

    Returns its entry in `manifest.json`, the configuration, its diff_ids, and the names of the
    layers' entries. Raises LayerscopeError if something is missing or inconsistent.
    """
    data = files.read(MANIFEST) or b""
    saved = choose_image(
        files, _images(files.file, load_json(files.file, MANIFEST, data)), wanted, source
    )
    document = _config(files, saved)
    config = read_config(files.file, saved.config, document)
    _check_layers(files.file, saved, config)
    return saved, document, config.diff_ids, [name for name, _ in _layers(files, saved)]


def _images(file: str, document: object) -> list[SavedImage]:
    try:
        return parse_saved_images(document)
    except ManifestError as error:
        raise BadInputError(file, None, str(error)) from None


def _layers(files: SavedFiles[T], saved: SavedImage) -> list[tuple[str, T]]:
    layers = []
    for number, name in enumerate(saved.layers):
        found = files.find_layer(entry_name(name))
        if found is None:
            problem = f"{MANIFEST} names {visible(name)} as layer {number}, which is not there"
            if not name:
                problem = f"{MANIFEST} names no file for layer {number}"
            hint = "The archive is incomplete: save the image again."
            raise BadInputError(files.file, None, problem, hint)
        layers.append(found)
    return layers


def promised(image: Image) -> list[Digests]:
    """The expected digests of an image's layers."""
    return [Digests(layer.diff_id, layer.digest or "") for layer in image.layers]


def _check_layers(file: str, saved: SavedImage, config: ImageConfig) -> None:
    """Rejects an image whose manifest and configuration differ in their number of layers."""
    if len(saved.layers) > MAX_LAYERS:
        raise BadInputError(file, None, f"{MANIFEST} names {len(saved.layers)} layers")
    if len(saved.layers) != len(config.diff_ids):
        named = f"{MANIFEST} names {plural(len(saved.layers), 'layer')}"
        raise BadInputError(file, None, f"{named} and the configuration {len(config.diff_ids)}")


def entry_name(raw: bytes | str) -> str:
    """The name under which an archive's entry is unpacked: `./a`, `/a` and `b/../a` are `a`."""
    text = decode(raw) if isinstance(raw, bytes) else raw
    if text.startswith((".", "/")) or "/." in text or "//" in text:
        return posixpath.normpath(f"/{text}").lstrip("/")
    return text


def sparse_member(file: str, name: str, offset: int) -> BadInputError:
    problem = f"{visible(name)} is stored as a sparse file"
    return BadInputError(file, offset, problem, "Pack the archive without --sparse.")


def resolve_link(name: str, links: Mapping[str, str]) -> str:
    """Follows symlinks between entries, which old archives use for equal layers."""
    for _ in range(8):
        target = links.get(name)
        if target is None:
            return name
        name = entry_name(posixpath.join("/", posixpath.dirname(name), target))
    return name


def place_layers(
    names: Iterable[str], documents: Mapping[str, Any], diff_ids: tuple[str, ...]
) -> dict[int, str]:
    """Finds which layers of an image have been read, before `manifest.json` is available.

    `names` are entries that turned out to be layers; `documents` are those read so far, by name.

    Returns the names known so far, by layer number.
    """
    known = set(names)
    blobs = (name for name in known if not name.endswith("/layer.tar"))
    by_hex = {name.rpartition("/")[2].removesuffix(".tar"): name for name in blobs}
    hexes = (diff_id.rpartition(":")[2] for diff_id in diff_ids)
    placed = {index: by_hex[name] for index, name in enumerate(hexes) if name in by_hex}
    _place_by_manifest(by_hex, documents, diff_ids, placed)
    _place_by_parents(known, documents, placed)
    return placed


def _place_by_manifest(
    by_hex: Mapping[str, str],
    documents: Mapping[str, Any],
    diff_ids: tuple[str, ...],
    placed: dict[int, str],
) -> None:
    """OCI manifests list layers by digest; the configuration must have these diff_ids."""
    for document in documents.values():
        try:
            manifest = parse_manifest(document)
            config = documents.get("blobs/sha256/" + manifest.config.digest.rpartition(":")[2])
            if config is None or parse_config(config).diff_ids != diff_ids:
                continue
        except (ManifestError, ConfigError):
            continue
        for index, layer in enumerate(manifest.layers):
            name = by_hex.get(layer.digest.rpartition(":")[2])
            if name is not None:
                placed.setdefault(index, name)


def _place_by_parents(
    known: set[str], documents: Mapping[str, Any], placed: dict[int, str]
) -> None:
    """In old archives, a layer's number is the number of parents below it."""
    for name in known:
        folder = name.removesuffix("/layer.tar")
        if folder == name:
            continue
        for height in range(len(documents) + 1):
            document = documents.get(f"{folder}/json")
            if not isinstance(document, dict):
                break
            parent = document.get("parent")
            if not isinstance(parent, str) or not parent:
                placed[height] = name
                break
            folder = parent
