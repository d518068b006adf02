"""The configuration and the history of a new image (OCI image specification, config.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from layerscope.oci.config import HistoryEntry, parse_config
from layerscope.surgery.edit import Document

#: An entry as stored and as parsed.
Entry = tuple[dict[str, Any], HistoryEntry]
Rewrite = Callable[[Sequence[Entry], str], list[dict[str, Any]]]

#: BuildKit's data for `--cache-from`, which refers to layers by number.
_STALE = ("moby.buildkit.cache.v0",)
#: Fields that the new base determines, besides its layers.
_PLATFORM = ("architecture", "os", "os.version", "os.features", "variant")
#: Fields of the configuration to merge key by key.
_MAPS = ("Labels", "ExposedPorts", "Volumes")


def configured(rewrite: Rewrite) -> Callable[[Document, Document, str], dict[str, Any]]:
    """Returns a function that replaces the history in the image's configuration."""

    def configure(image: Document, base: Document, created: str) -> dict[str, Any]:
        entries = entries_of(image)
        history = None if entries is None else rewrite(entries, created)
        return _document(image, history, created)

    return configure


def _document(
    image: Document, history: list[dict[str, Any]] | None, created: str
) -> dict[str, Any]:
    document = {key: value for key, value in image.items() if key not in _STALE}
    document["created"] = created
    document.pop("history", None)
    if history is not None:
        document["history"] = history
    return document


def fits(history: Sequence[HistoryEntry]) -> bool:
    """Whether a history shows which entry created which layer."""
    return bool(history) and all(each.empty_layer or each.layer is not None for each in history)


def entries_of(document: Document) -> list[Entry] | None:
    """Returns the history; None if there is none, or it does not match the layers."""
    history = parse_config(document).history
    if not fits(history):
        return None
    return list(zip(document["history"], history, strict=True))


def squashed_history(entries: Sequence[Entry], created: str, layers: range) -> list[dict[str, Any]]:
    """Returns one entry for the new layer, which names the entries it replaces."""
    made = [entry.instruction for _, entry in entries if entry.layer in layers]
    new = {
        "created": created,
        "created_by": f"squashed {len(layers)} layers: {'; '.join(made)}",
        "comment": f"layerscope squash --from {layers.start} --to {layers.stop - 1}",
    }
    kept = ((raw, entry.layer) for raw, entry in entries)
    return [
        new if layer == layers.stop - 1 else raw for raw, layer in kept if layer not in layers[:-1]
    ]


def dropped_history(
    entries: Sequence[Entry], created: str, layer: int, names: Sequence[str]
) -> list[dict[str, Any]]:
    """Adds an entry after the layer's that lists the dropped paths."""
    found: list[dict[str, Any]] = []
    for raw, entry in entries:
        found.append(raw)
        if entry.layer == layer:
            found.append(
                {
                    "created": created,
                    "created_by": f"dropped from the layer below: {' '.join(names)}",
                    "comment": f"layerscope drop --layer {layer}",
                    "empty_layer": True,
                }
            )
    return found


def rebased(old: Document, height: int) -> Callable[[Document, Document, str], dict[str, Any]]:
    """Returns a function that rebases the configuration; `old` is that of the old base."""

    def configure(image: Document, base: Document, created: str) -> dict[str, Any]:
        upper, lower = entries_of(image), entries_of(base)
        history = None
        if upper is not None and lower is not None:
            own = upper[_base_entries(upper, old, height) :]
            history = [raw for raw, _ in (*lower, *own)]
        document = _document(image, history, created)
        for key in _PLATFORM:
            document.pop(key, None)
            if key in base:
                document[key] = base[key]
        configs = (side.get("config") or {} for side in (image, old, base))
        document["config"] = merged_config(*configs)
        return document

    return configure


def _base_entries(entries: Sequence[Entry], old: Document, height: int) -> int:
    """Returns how many entries of an image's history are from the old base."""
    known = [raw.get("created_by") for raw in old.get("history") or ()]
    if known and [raw.get("created_by") for raw, _ in entries[: len(known)]] == known:
        return len(known)
    # The base came from elsewhere, or its history was rewritten.
    layers = (entry.layer for _, entry in entries)
    return 1 + max(n for n, layer in enumerate(layers) if layer is not None and layer < height)


def merged_config(image: Document, old: Document, new: Document) -> dict[str, Any]:
    """Merges the image's own settings with those of its new base.

    Settings that are the same in the old base count as inherited. Variables, labels, ports and
    volumes are merged one by one. CMD is the image's if it sets ENTRYPOINT, which resets the base's
    CMD; so are ONBUILD triggers, which are not inherited.
    """
    merged: dict[str, Any] = {}
    resets = image.get("Entrypoint") != old.get("Entrypoint")
    for key in dict.fromkeys((*image, *new)):
        if key == "OnBuild" or (key == "Cmd" and resets):
            value = image.get(key)
        elif key == "Env":
            sides = (_variables(side.get("Env")) for side in (image, old, new))
            value = [f"{name}={text}" for name, text in _three_way(*sides).items()]
        elif key in _MAPS:
            value = _three_way(*(side.get(key) or {} for side in (image, old, new)))
        else:
            value = (new if image.get(key) == old.get(key) else image).get(key)
        if value or (key in image and value == image[key]):
            merged[key] = value
    return merged


def _three_way(
    image: Mapping[str, Any], old: Mapping[str, Any], new: Mapping[str, Any]
) -> dict[str, Any]:
    own = {key: value for key, value in image.items() if key not in old or old[key] != value}
    lost = old.keys() - image.keys()
    return {key: value for key, value in new.items() if key not in lost} | own


def _variables(pairs: Iterable[str] | None) -> dict[str, str]:
    return {name: text for name, _, text in (pair.partition("=") for pair in pairs or ())}
