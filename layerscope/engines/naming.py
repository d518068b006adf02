"""Tags images of an engine, without silently taking a name from another image."""

from __future__ import annotations

from dataclasses import dataclass, replace

from layerscope.engines.docker import with_algorithm
from layerscope.engines.engine import Engine
from layerscope.errors import EngineError, NotFoundError, UsageError
from layerscope.images.answers import Inspected
from layerscope.images.image import Image
from layerscope.images.summary import NONE, unix_time
from layerscope.oci.reference import parse_reference
from layerscope.text import short_id, visible


@dataclass(frozen=True, slots=True)
class Naming:
    """A planned name of an image."""

    id: str  # The image.
    name: str  # `repository:tag`.
    held_by: str = ""  # Id of the image that has the name now, or "".
    others: tuple[str, ...] = ()  # The other names of that image.

    @property
    def done(self) -> bool:
        return bool(self.id) and self.held_by == self.id

    @property
    def taken(self) -> bool:
        return bool(self.held_by) and not self.done

    @property
    def conflict(self) -> str:
        """Returns a sentence that says which image loses the name."""
        keeps = f"keeps the name {visible(self.others[0])}" if self.others else "has no other name"
        return f"{visible(self.name)} is the name of image {short_id(self.held_by)}, which {keeps}."


def whole_name(text: str) -> str:
    """Returns a name with its tag; raises UsageError if it is invalid."""
    try:
        reference = parse_reference(text)
    except ValueError:
        raise UsageError(
            f"{visible(text)} is not a name for an image.",
            "Write [HOST/]NAME[:TAG], the NAME in lower case.",
        ) from None
    if reference.digest is not None:
        raise UsageError(
            f"{visible(text)} has a digest, which no name can have.", "Write NAME[:TAG]."
        )
    return str(reference)


def plan_name(engine: Engine, image: str, text: str) -> Naming:
    """Finds the image that has a name now. Raises NotFoundError if `image` does not exist."""
    name = whole_name(text)
    return _planned(engine, with_algorithm(engine.inspect(image).id), name)


def plan_new(engine: Engine, name: str) -> Naming:
    """Like `plan_name`, for an image that does not exist yet; `name` has a tag."""
    return _planned(engine, "", name)


def plan_loaded(engine: Engine, image: Image, name: str) -> Naming:
    """Like `plan_name`, for an image to load, which may already be there."""
    try:
        holder = engine.inspect(name)
    except NotFoundError:
        return Naming(image.id, name)
    naming = _held(holder, image.id, name)
    # containerd's ids are manifest digests, which depend on the layers' compression.
    return replace(naming, id=naming.held_by) if _same(holder, image) else naming


def _same(holder: Inspected, image: Image) -> bool:
    ours = image.config.get("config") or {}
    return (
        holder.layers == tuple(layer.diff_id for layer in image.layers)
        and unix_time(holder.created) == unix_time(image.created)
        and all(holder.config.get(key) == value for key, value in ours.items() if value)
    )


def _planned(engine: Engine, identifier: str, name: str) -> Naming:
    try:
        holder = engine.inspect(name)
    except NotFoundError:
        return Naming(identifier, name)
    return _held(holder, identifier, name)


def _held(holder: Inspected, identifier: str, name: str) -> Naming:
    others = tuple(tag for tag in holder.tags if tag != name and not tag.startswith(NONE))
    return Naming(identifier, name, with_algorithm(holder.id), others)


def give_name(engine: Engine, naming: Naming) -> None:
    """Tags the image; raises EngineError if the name has moved since."""
    check_name(engine, naming)
    if not naming.done:
        engine.tag_image(naming.id, naming.name)


def check_name(engine: Engine, naming: Naming) -> None:
    """Raises EngineError if the name has moved since."""
    now = _planned(engine, naming.id, naming.name).held_by
    if now not in ("", naming.held_by):
        raise EngineError(
            f"{visible(naming.name)} now refers to image {short_id(now)}.",
            "It was not moved: check which image should have it, then try again.",
        )
