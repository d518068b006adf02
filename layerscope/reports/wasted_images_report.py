"""`layerscope images --wasted` and `waste --all`: the images that waste most, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from layerscope.engines.measuring import facts_of
from layerscope.images.sizes import unique_sizes
from layerscope.reports.color import clip, sized
from layerscope.reports.layout import table, terminal_width
from layerscope.text import docker_size, plural, short_id, visible

if TYPE_CHECKING:
    from layerscope.filesystem.waste_causes import Causes
    from layerscope.images.image import Image
    from layerscope.images.loading import Loaded
    from layerscope.images.sizes import ImageFacts, ImageSizes
    from layerscope.images.summary import ImageSummary

#: The most findings of an image in the text; the JSON has all.
_FINDINGS = 3


@dataclass(frozen=True, slots=True)
class ListedImage:
    """An image with all its names, and the known facts about it."""

    summary: ImageSummary  # One of its lines.
    names: tuple[str, ...]  # All its names; none if it is dangling.
    facts: ImageFacts | None  # None if the engine did not describe it.
    unique: int | None  # Bytes in layers that no other image has; None if unknown.
    containers: tuple[str, ...]  # Names of its containers.

    @property
    def wasted(self) -> int | None:
        sizes = None if self.facts is None else self.facts.sizes
        return None if sizes is None else sizes.wasted

    @property
    def shown(self) -> str:
        """Its names, or its id; safe on a terminal."""
        return visible(", ".join(self.names)) or short_id(self.summary.id)


def listed_images(
    summaries: Sequence[ImageSummary],
    described: Sequence[tuple[Image, Sequence[str]]],
    sizes: Mapping[str, ImageSizes],
) -> list[ListedImage]:
    """Images with all their names, those that waste most first; those not measured come last.

    `described` has images with the names of their containers; `sizes` are by image id.
    """
    facts = {image.id: facts_of(image, sizes.get(image.id)) for image, _ in described}
    users = {image.id: tuple(names) for image, names in described}
    lines: dict[str, list[ImageSummary]] = {}
    for summary in summaries:
        lines.setdefault(summary.id, []).append(summary)
    # A layer of an image that was not described may be shared with another one.
    unique = unique_sizes(facts) if lines.keys() <= facts.keys() else {}
    found = [
        ListedImage(
            summary=named[0],
            names=tuple(each.name for each in named if each.name),
            facts=facts.get(identifier),
            unique=_unique(named[0], unique),
            containers=users.get(identifier, ()),
        )
        for identifier, named in lines.items()
    ]
    return sorted(found, key=lambda each: -1 if each.wasted is None else each.wasted, reverse=True)


def _unique(summary: ImageSummary, measured: Mapping[str, int]) -> int | None:
    return measured.get(summary.id) if summary.unique_size is None else summary.unique_size


def wasted_images_document(images: Sequence[ListedImage]) -> dict[str, Any]:
    """The object of `images --wasted --json`: sizes in bytes, null if unknown."""
    return {
        "schema": "layerscope.images-wasted/1",
        "images": [
            {
                "id": image.summary.id,
                "names": list(image.names),
                "dangling": not image.names,
                "size": image.summary.size,
                "unique_size": image.unique,
                **_size_fields(image.facts),
                "containers": list(image.containers),
                "platforms": [] if image.facts is None else list(image.facts.platforms),
            }
            for image in images
        ],
    }


def _size_fields(facts: ImageFacts | None) -> dict[str, Any]:
    sizes = None if facts is None else facts.sizes
    return {
        "visible_size": None if sizes is None else sizes.visible,
        "wasted_size": None if sizes is None else sizes.wasted,
        "efficiency": None if sizes is None else sizes.efficiency,
    }


def wasted_images_text(images: Sequence[ListedImage]) -> Iterator[str]:
    rows = [("WASTED", "EFF", "SIZE", "UNIQUE", "IMAGE", "IMAGE ID", "USED BY", "PLATFORMS")]
    for image in images:
        sizes = None if image.facts is None else image.facts.sizes
        rows.append(
            (
                "-" if sizes is None else sized(sizes.wasted),
                "-" if sizes is None else f"{sizes.efficiency:.1%}",
                sized(image.summary.size),
                "-" if image.unique is None else sized(image.unique),
                image.shown if image.names else "<dangling>",
                short_id(image.summary.id),
                visible(", ".join(image.containers)) or "-",
                "-" if image.facts is None else visible(", ".join(image.facts.platforms)) or "-",
            )
        )
    yield from table(rows, ">>>><<<<")


def image_waste_document(image: ListedImage, loaded: Loaded, causes: Causes) -> dict[str, Any]:
    """An image in `all_waste_document`: the object of `waste --json`, and all its names."""
    from layerscope.reports.waste_report import waste_document

    identity = {"id": image.summary.id, "names": list(image.names)}
    return {**identity, **waste_document(loaded, causes)}


def all_waste_document(
    images: Sequence[dict[str, Any]], unread: Sequence[ListedImage]
) -> dict[str, Any]:
    """The object of `waste --all --json`."""
    return {
        "schema": "layerscope.waste-all/1",
        "images": list(images),
        "unread": [{"id": image.summary.id, "names": list(image.names)} for image in unread],
    }


def image_waste_text(image: ListedImage, loaded: Loaded, causes: Causes) -> list[str]:
    """An image in the text of `waste --all`: its waste, and where most of it is."""
    from layerscope.filesystem.waste import measure
    from layerscope.reports.findings import title_of

    width = terminal_width()
    waste = measure(loaded.stack)
    of = f"of {docker_size(waste.size)}, efficiency {waste.efficiency:.1%}"
    lines = [f"{sized(waste.wasted_size, 8)}  {image.shown}  {of}"]
    for finding in causes.wasted[:_FINDINGS]:
        hider = "" if finding.hidden_by is None else f", hidden by {finding.hidden_by}"
        where = f"layer {finding.wrote}{hider}"
        lines.append(f"{sized(finding.size, 18)}  {title_of(finding)} ({where})")
    if rest := causes.wasted[_FINDINGS:]:
        size = docker_size(sum(each.size for each in rest))
        lines.append(f"{size:>18}  in {plural(len(rest), 'more finding')}")
    return [clip(line, width) for line in lines]


def unread_text(unread: Sequence[ListedImage]) -> Iterator[str]:
    width = terminal_width()
    for image in unread:
        yield clip(f"{'-':>8}  {image.shown}  not read yet", width)
