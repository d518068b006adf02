"""Archives of `docker save` before Docker 1.10, which have no manifest.json.

Each layer is a folder `ID` with `layer.tar`, `VERSION` and `json`: the configuration of the image
up to that layer, the id of the layer below it (`parent`), and the command that created it.
`repositories` maps image names to the ids of their top layers; it is missing if an image was saved
by id. Docker creates a current configuration when it loads such an archive; so does layerscope.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from layerscope.errors import BadInputError
from layerscope.images.archives.blob_store import load_json
from layerscope.images.manifests import MAX_LAYERS
from layerscope.oci.manifest import SavedImage
from layerscope.text import visible

REPOSITORIES = "repositories"
_LAYER = "/layer.tar"

#: Fields of a layer's `json` that describe only that layer.
_OWN = ("id", "parent", "layer_id", "throwaway", "Size", "container", "container_config")

Read = Callable[[str], bytes | None]


def holds_legacy(holds: Callable[[str], bool], names: Iterable[str]) -> bool:
    """Whether files may be such an archive, by their names."""
    return holds(REPOSITORIES) or any(
        name.endswith(_LAYER) and holds(f"{name.removesuffix(_LAYER)}/json") for name in names
    )


def legacy_images(file: str, read: Read, names: Iterable[str]) -> list[SavedImage]:
    """The images of an archive, each named by its top layer's `json`; empty for other archives.

    Raises BadInputError if something is missing or inconsistent.
    """
    data = read(REPOSITORIES)
    tags: dict[str, list[str]] = {}
    if data is not None:
        document = load_json(file, REPOSITORIES, data)
        for repository, found in document.items() if isinstance(document, dict) else ():
            for tag, top in found.items() if isinstance(found, dict) else ():
                tags.setdefault(str(top), []).append(f"{repository}:{tag}")
    else:
        layers = {name.removesuffix(_LAYER) for name in names if name.endswith(_LAYER)}
        documents = {layer: data for layer in layers if (data := read(f"{layer}/json")) is not None}
        parents = {_parent(load_json(file, layer, data)) for layer, data in documents.items()}
        tags = {layer: [] for layer in sorted(documents) if layer not in parents}
    return [_image(file, read, top, named) for top, named in tags.items()]


def _image(file: str, read: Read, top: str, tags: Sequence[str]) -> SavedImage:
    chain: list[str] = []
    identifier = top
    while identifier:
        if len(chain) > MAX_LAYERS or identifier in chain:
            raise BadInputError(file, None, f"{visible(top)} has too many layers")
        chain.append(identifier)
        identifier = _parent(_document(file, read, identifier))
    layers = tuple(f"{each}{_LAYER}" for each in reversed(chain))
    return SavedImage(f"{top}/json", tuple(tags), layers)


def legacy_config(file: str, read: Read, saved: SavedImage, diff_ids: list[str]) -> dict[str, Any]:
    """The configuration of an image, as Docker creates it from those of its layers."""
    steps = [_document(file, read, name.removesuffix(_LAYER)) for name in saved.layers]
    top = {key: value for key, value in steps[-1].items() if key not in _OWN}
    history = [{**_history(step), "empty_layer": False} for step in steps]
    return {**top, "rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": history}


def _history(step: dict[str, Any]) -> dict[str, Any]:
    made_in = step.get("container_config")
    command = made_in.get("Cmd") if isinstance(made_in, dict) else None
    words = command if isinstance(command, list) else []
    text = " ".join(word for word in words if isinstance(word, str))
    return {
        "created": step.get("created"),
        "created_by": text,
        "comment": step.get("comment"),
        "author": step.get("author"),
    }


def _document(file: str, read: Read, identifier: str) -> dict[str, Any]:
    name = f"{identifier}/json"
    data = read(name)
    document = None if data is None else load_json(file, name, data)
    if not isinstance(document, dict):
        raise BadInputError(file, None, f"it has no {visible(name)}", "Save the image again.")
    return document


def _parent(document: object) -> str:
    parent = document.get("parent") if isinstance(document, dict) else None
    return parent if isinstance(parent, str) else ""
