"""What can be copied where the user is."""

from __future__ import annotations

from dataclasses import dataclass

from layerscope.text import decode
from layerscope.tui.leads import Place


@dataclass(frozen=True, slots=True)
class Copy:
    """Something to copy.

    Attributes:
        name: What the binding and the table call it.
        label: What it is, in words.
        text: The text as it is, with lone surrogates for bytes that are not UTF-8; not safe to
            show. Empty if there is none here.
        problem: Why there is none; empty if there is.
    """

    name: str
    label: str
    text: str
    problem: str = ""


def copies(place: Place, row: str) -> list[Copy]:
    """What can be copied, in the order in which it is offered.

    Args:
        place: Where the user is.
        row: The row under the cursor as text; empty without one.
    """
    reference, identifier = _image(place)
    layer = _Layer(place)
    no_image = "no image here"
    return [
        _copy("path", "path", _path(place), "no file is shown"),
        _copy("reference", "image reference", reference, no_image),
        _copy("image", "image id", identifier, no_image),
        _copy("diff_id", "layer diff id", layer.diff_id, layer.problem),
        _copy("digest", "layer digest", layer.digest, layer.problem or "it is not known"),
        _copy("instruction", "instruction", layer.instruction, layer.problem),
        _copy("row", "row as text", row, "no row here"),
    ]


def _copy(name: str, label: str, text: str, problem: str) -> Copy:
    return Copy(name, label, text, "" if text else problem)


def _path(place: Place) -> str:
    if place.view is None or place.node is None:
        return ""
    return f"/{decode(place.view.stack.tree.path(place.node))}"


def _image(place: Place) -> tuple[str, str]:
    """Reference and id: of the image under the cursor of the list, or of the one that is open."""
    if place.pane == "images":
        listed = place.listed
        if listed is None:
            return "", ""
        named = "<none>" not in (listed.repository, listed.tag)
        return (f"{listed.repository}:{listed.tag}" if named else ""), listed.id
    image = None if place.session is None else place.session.image
    return ("", "") if image is None else (image.reference, image.id)


class _Layer:
    """What there is to copy of the layer under the cursor."""

    def __init__(self, place: Place) -> None:
        self.diff_id = self.digest = self.instruction = ""
        self.problem = "no image is open"
        image = None if place.session is None else place.session.image
        if image is None:
            return
        self.problem = "this step has no layer"
        if place.layer is None or place.layer >= len(image.layers):
            return
        self.problem = ""
        layer = image.layers[place.layer]
        self.diff_id, self.digest = layer.diff_id or "", layer.digest or ""
        self.instruction = next(
            (entry.created_by for entry in image.history if entry.layer == place.layer),
            layer.instruction,
        )
