"""Where an image goes that was made of another one: the engine, our own store, or a file."""

from __future__ import annotations

from dataclasses import dataclass

from layerscope.engines.address import EMBEDDED
from layerscope.engines.docker import DockerEngine, connect_any
from layerscope.engines.embedded.engine import EmbeddedEngine
from layerscope.engines.engine import Engine
from layerscope.engines.naming import Naming, plan_new, whole_name
from layerscope.errors import UsageError
from layerscope.images.archives.packing import packed
from layerscope.images.progress import Progress
from layerscope.jobs.worker import Cancellation
from layerscope.oci.reference import parse_reference
from layerscope.surgery.edit import Edit
from layerscope.surgery.making import made
from layerscope.text import short_id
from layerscope.transfer.loading import Loader
from layerscope.transfer.places import parse_place
from layerscope.transfer.recorder import Recorder
from layerscope.transfer.targets import FileTarget


@dataclass(frozen=True, slots=True)
class MadePlace:
    """Where a new image goes."""

    where: Engine | FileTarget
    name: str  # `repository:tag` that it gets; empty for none.
    naming: Naming | None = None  # What is known of the name in the engine.

    def close(self) -> None:
        self.where.close()


@dataclass(frozen=True, slots=True)
class MadeImage:
    id: str
    name: str  # Empty if it has none.
    place: str  # Where it is: an engine's name, or a source.


def find_place(into: str | None, name: str | None) -> MadePlace:
    """The place that a user names, and the name there; the current engine by default.

    Raises LayerscopeError if an image cannot be written there.
    """
    name = whole_name(name) if name else ""
    place = parse_place(into) if into else None
    if place is not None and place.form != EMBEDDED:
        return MadePlace(FileTarget(place, Cancellation()), place.ref or name)
    if place is not None and place.ref and name:
        raise UsageError("The image has two names.", "Give --tag, or name it in --into.")
    name = name or (place.ref if place is not None else "")
    engine = connect_any() if place is None else EmbeddedEngine()
    if not isinstance(engine, DockerEngine | EmbeddedEngine):
        engine.close()
        raise UsageError(
            f"{engine.name} cannot load images.", "Choose another with --engine, or add --into."
        )
    return MadePlace(engine, name, plan_new(engine, name) if name else None)


def put(edit: Edit, place: MadePlace, progress: Progress) -> MadeImage:
    """Makes the image of an edit, where it is to be. Raises LayerscopeError if that fails."""
    where = place.where
    with made(edit, place.name, progress) as image:
        if isinstance(where, Engine):
            naming = place.naming
            moves = {naming.name: naming.held_by} if naming is not None else {}
            loader = Loader(where, moves, Recorder(bool), Cancellation(), progress)
            found = loader.put(image)
            own = f"{EMBEDDED}:{place.name or short_id(found)}"
            return MadeImage(found, place.name, own if where.own_store else where.name)
        with packed(image, progress) as whole:
            where.put(whole, parse_reference(place.name) if place.name else None)
            return MadeImage(image.image.id, place.name, where.finish())
