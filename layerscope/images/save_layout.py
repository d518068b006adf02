"""How the entries of a `docker save` archive belong together.

Old archives have a folder for each layer, `ID/layer.tar` with `ID/json` that names its parent; new
ones are OCI layouts with `blobs/sha256/DIGEST` and a `manifest.json` beside `index.json`; Podman
writes `DIFF-ID.tar`. In all of them `manifest.json` has the last word, but it can come last.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

from layerscope.errors import AmbiguousError, BadInputError, NotFoundError
from layerscope.oci.config import ConfigError, ImageConfig, parse_config
from layerscope.oci.manifest import (
    ManifestError,
    SavedImage,
    parse_manifest,
    parse_saved_images,
)
from layerscope.oci.reference import parse_reference
from layerscope.text import short_id, visible

MANIFEST = "manifest.json"

#: More than any engine takes: the kernel's overlay file system has at most 500.
MAX_LAYERS = 1000


#: So many images of an archive are named in an error.
_MOST_NAMES = 12


def load_json(file: str, name: str, data: bytes) -> Any:
    """Parses a document of an archive.

    Raises:
        BadInputError: It is not JSON.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise BadInputError(file, None, f"{visible(name)} is not valid JSON") from None


def choose_image(file: str, document: object, wanted: str | None) -> SavedImage:
    """Picks one image of an archive.

    Args:
        file: What the archive is called, for errors.
        document: Its `manifest.json`.
        wanted: A reference, an id or the beginning of one, or None if there should be only one.

    Raises:
        BadInputError: The document is not what it should be, or names no image.
        NotFoundError: There is no such image.
        AmbiguousError: There are several and none is named.
    """
    try:
        images = parse_saved_images(document)
    except ManifestError as error:
        raise BadInputError(file, None, str(error)) from None
    if not images:
        raise BadInputError(file, None, f"{MANIFEST} names no image")
    if wanted is None:
        if len(images) == 1:
            return images[0]
        raise AmbiguousError(
            f"{file} holds {len(images)} images.",
            f"Name one: docker-archive:{file}:REF with REF one of {_names(images)}.",
            (_name(image) for image in images),
        )
    for image in images:
        if any(same_reference(wanted, tag) for tag in image.tags):
            return image
    prefix = wanted.removeprefix("sha256:")
    by_id = [image for image in images if image_id(image).partition(":")[2].startswith(prefix)]
    if len(by_id) == 1 and len(prefix) >= 4:
        return by_id[0]
    raise NotFoundError(f"{file} holds no image {visible(wanted)}.", f"It holds {_names(images)}.")


def _name(image: SavedImage) -> str:
    return image.tags[0] if image.tags else short_id(image_id(image))


def _names(images: Iterable[SavedImage]) -> str:
    names = [visible(_name(image)) for image in images]
    return ", ".join(names[:_MOST_NAMES] + ["…"] * (len(names) > _MOST_NAMES))


def same_reference(one: str, other: str) -> bool:
    """Whether two references mean the same image, defaults filled in."""
    try:
        return parse_reference(one) == parse_reference(other)
    except ValueError:
        return one == other


def image_id(image: SavedImage) -> str:
    """The id of a saved image: the digest of its configuration, which names its entry."""
    name = posixpath.basename(image.config).removesuffix(".json")
    return "sha256:" + name.removeprefix("sha256:")


def read_config(file: str, name: str, data: bytes) -> ImageConfig:
    """Reads the configuration of a saved image.

    Raises:
        BadInputError: It is none.
    """
    try:
        return parse_config(load_json(file, name, data))
    except ConfigError as error:
        raise BadInputError(file, None, f"{visible(name)}: {error}") from None


def check_layers(file: str, saved: SavedImage, config: ImageConfig) -> None:
    """Refuses an image whose manifest and configuration do not have the same layers.

    Raises:
        BadInputError: They have not.
    """
    if len(saved.layers) > MAX_LAYERS:
        raise BadInputError(file, None, f"{MANIFEST} names {len(saved.layers)} layers")
    if len(saved.layers) != len(config.diff_ids):
        raise BadInputError(
            file,
            None,
            f"{MANIFEST} names {len(saved.layers)} layers and the configuration "
            f"{len(config.diff_ids)}",
        )


def sparse_member(file: str, name: str, offset: int) -> BadInputError:
    """The error for an entry of the archive itself that is stored as a sparse file."""
    return BadInputError(
        file,
        offset,
        f"{visible(name)} is stored as a sparse file",
        "Pack the archive without --sparse.",
    )


def resolve_link(name: str, links: Mapping[str, str]) -> str:
    """Follows symlinks between entries of an archive, as old archives have for equal layers."""
    for _ in range(8):
        target = links.get(name)
        if target is None:
            return name
        name = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    return name


def place_layers(
    names: Iterable[str], documents: Mapping[str, Any], diff_ids: tuple[str, ...]
) -> dict[int, str]:
    """Says which layers of an image have arrived, before `manifest.json` has.

    Args:
        names: Entries that turned out to be layers.
        documents: JSON documents that have arrived, by name.
        diff_ids: The diff_ids of the image, base first.

    Returns:
        Names by layer number, of the layers that can be told.
    """
    known = set(names)
    placed: dict[int, str] = {}
    by_hex = {
        name.rpartition("/")[2].removesuffix(".tar"): name
        for name in known
        if not name.endswith("/layer.tar")
    }
    for index, diff_id in enumerate(diff_ids):
        name = by_hex.get(diff_id.rpartition(":")[2])
        if name is not None:
            placed[index] = name
    _place_by_manifest(by_hex, documents, diff_ids, placed)
    _place_by_parents(known, documents, placed)
    return placed


def _place_by_manifest(
    by_hex: Mapping[str, str],
    documents: Mapping[str, Any],
    diff_ids: tuple[str, ...],
    placed: dict[int, str],
) -> None:
    """OCI manifests list the layers by digest; its configuration must have these diff_ids."""
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
    """Old archives: the number of a layer is how many parents are below it."""
    for name in known:
        folder = name.removesuffix("/layer.tar")
        if folder == name:
            continue
        height = 0
        while True:
            document = documents.get(f"{folder}/json")
            if not isinstance(document, dict) or height > len(documents):
                break
            parent = document.get("parent")
            if not isinstance(parent, str) or not parent:
                placed[height] = name
                break
            folder = parent
            height += 1
