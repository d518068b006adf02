"""`layerscope images --all-engines`: the images of each engine, and what the others lack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from layerscope.reports.color import sized
from layerscope.reports.layout import table
from layerscope.text import docker_age, plural, rfc3339, short_id, visible

if TYPE_CHECKING:
    from layerscope.engines.fleet import Fleet, FleetImage, Holding


@dataclass(frozen=True, slots=True)
class Listed:
    """Images of a fleet to list: all of them, or those of one name with what engines lack."""

    fleet: Fleet
    images: Sequence[FleetImage]
    lacking: bool


def fleet_document(listed: Listed) -> dict[str, Any]:
    """The object of `images --all-engines --json`; sizes in bytes, null if unknown.

    `missing_from` lists the engines that lack an image, with the numbers of the layers that they
    lack, and their bytes.
    """
    fleet = listed.fleet
    return {
        "schema": "layerscope.fleet/1",
        "engines": [
            {
                "name": engine.name,
                "address": engine.shown or None,
                "problem": str(problem) if (problem := fleet.problems.get(engine.name)) else None,
            }
            for engine in fleet.engines
        ],
        "images": [
            {
                "names": list(image.names),
                "created": rfc3339(image.first.created) if image.first.created > 0 else None,
                "size": image.size,
                "layers": [
                    {"diff_id": diff_id, "size": size}
                    for diff_id, size in zip(image.first.layers, image.sizes, strict=True)
                ],
                "engines": [_holding(name, held) for name, held in image.holdings.items()],
                "missing_from": [
                    {"engine": name, "layers": layers, "size": image.size_of(layers)}
                    for name, layers in fleet.lacking(image)
                ],
            }
            for image in listed.images
        ],
    }


def _holding(engine: str, held: Holding) -> dict[str, Any]:
    return {
        "engine": engine,
        "id": held.id,
        "names": list(held.names),
        "digests": list(held.digests),
    }


def fleet_text(listed: Listed) -> Iterator[str]:
    rows = [("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "ENGINES")]
    for image in listed.images:
        engines = visible(", ".join(image.holdings))
        for name in image.names or ("",):
            repository, _, tag = name.rpartition(":")
            rows.append(
                (
                    visible(repository) or "<none>",
                    visible(tag) or "<none>",
                    short_id(image.first.id),
                    docker_age(image.first.created),
                    "-" if image.size is None else sized(image.size),
                    engines,
                )
            )
    yield from table(rows, "<<<<<<", "   ")
    fleet = listed.fleet
    notes = [note for image in listed.images for note in _lacks(fleet, image) if listed.lacking]
    notes += [f"{visible(name)}: {problem}" for name, problem in fleet.problems.items()]
    if notes:
        yield ""
    yield from notes


def _lacks(fleet: Fleet, image: FleetImage) -> Iterator[str]:
    several = len(image.first.layers)
    for name, layers in fleet.lacking(image):
        size = image.size_of(layers)
        how_large = "" if size is None else f", {sized(size)}"
        lacks = f"lacks {len(layers)} of {plural(several, 'layer', 'layers')}{how_large}"
        yield f"{visible(name)} {lacks} of {short_id(image.first.id)}."
