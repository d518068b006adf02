"""Loads images into an engine: from files in all readable forms, and from other engines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace

from layerscope.engines.address import EMBEDDED, engine_address
from layerscope.engines.docker import DockerEngine, connect_any, with_algorithm
from layerscope.engines.embedded.engine import EmbeddedEngine
from layerscope.engines.embedded.importing import import_image
from layerscope.engines.engine import Engine
from layerscope.engines.local_store import open_in_engine, open_with
from layerscope.engines.naming import Naming, give_name, plan_loaded
from layerscope.engines.resolve import name_in_engine, open_image
from layerscope.engines.transfers import loaded_name
from layerscope.errors import AmbiguousError, EngineError, UsageError, failures_ignored
from layerscope.images.archives.packing import packed
from layerscope.images.archives.writing import PackedImage, named
from layerscope.images.described import layer_sizes
from layerscope.images.image import Image
from layerscope.images.progress import Progress
from layerscope.images.reader import LayerTars
from layerscope.jobs.worker import Cancellation
from layerscope.oci.reference import Reference, parse_reference
from layerscope.transfer.engine_target import send
from layerscope.transfer.events import State
from layerscope.transfer.layer_rows import imported, reading, rows_of, show_layers, writing
from layerscope.transfer.push_sources import file_source, opened_source, plain_file
from layerscope.transfer.recorder import Recorder
from layerscope.transfer.shared_layers import base_of, best_base, left_out


@dataclass(frozen=True, slots=True)
class PlannedImage:
    """An image to load into an engine."""

    image: Image
    names: tuple[Naming, ...]  # Its names after loading.
    there: int = 0  # Number of lowest layers not sent, since the engine has them.

    sizes: tuple[int | None, ...] = ()  # Of its layers, in bytes, where known.

    @property
    def taken(self) -> tuple[Naming, ...]:
        """The names that other images would lose."""
        return tuple(naming for naming in self.names if naming.taken)


def moves_of(images: Sequence[PlannedImage]) -> dict[str, str]:
    """Returns the names that other images would lose, with their ids: `LoadRequest.moves`."""
    return {naming.name: naming.held_by for each in images for naming in each.taken}


def plan_load(engine: Engine, source: str, progress: Progress) -> list[PlannedImage]:
    """Returns the images that loading an archive or a layout would add. Raises LayerscopeError."""
    with _images_of(source, progress) as sources:
        found = []
        for each in sources:
            with closing(open_image(each, progress)) as reader:
                plan = _planned(engine, reader.image)
                # Engines that unpack layers need all of them.
                there = _there(engine, reader.image) if engine.own_store else 0
                found.append(replace(plan, there=there))
        return found


def plan_send(engine: Engine, source: str, progress: Progress, holder: str = "") -> PlannedImage:
    """Returns what copying an image to another engine would send. Raises LayerscopeError.

    `holder` is the engine that has it, the current one by default.
    """
    address = engine_address(holder) if holder else None
    with closing(
        open_with(connect_any(address), source, source) if holder else open_image(source, progress)
    ) as reader:
        image = reader.image
    plan = replace(_planned(engine, image), there=_there(engine, image))
    # Only for information, so failures are ignored.
    with failures_ignored():
        name = name_in_engine(source.removeprefix(f"{EMBEDDED}:"))
        with closing(connect_any(address)) as own:
            plan = replace(plan, sizes=layer_sizes(own.history(name), len(image.layers)))
    return plan


def _planned(engine: Engine, image: Image) -> PlannedImage:
    names = [str(found) for name in _names(image) if (found := reference_of(name)) is not None]
    namings = tuple(plan_loaded(engine, image, name) for name in names)
    return PlannedImage(image, namings, sizes=tuple(each.stored_size for each in image.layers))


def _names(image: Image) -> Sequence[str]:
    if image.names:
        return image.names
    digits = image.reference.removeprefix("sha256:")
    return () if image.id.removeprefix("sha256:").startswith(digits) else (image.reference,)


def _there(engine: Engine, image: Image) -> int:
    layers = [layer.diff_id for layer in image.layers]
    return best_base(engine, layers)[1] if engine.takes_parts or engine.own_store else 0


@contextmanager
def _images_of(source: str, progress: Progress) -> Iterator[Sequence[str]]:
    """Yields the sources of all images in a file, unpacking it once."""
    found = file_source(source)
    if found is None:
        raise UsageError(
            "Only archives and layouts can be loaded.",
            "`layerscope pull` copies from other sources.",
        )
    path, wanted = found
    with plain_file(path, progress.check) as plain:
        if plain != path:
            form = source.partition(":")[0]
            source = f"{form}:{plain}:{wanted}" if wanted else str(plain)
        try:
            open_image(source, progress).close()
        except AmbiguousError as error:
            yield error.choices
        else:
            yield (source,)


class Loader:
    """Loads images into an engine; `moves` are the names that other images may lose.

    Records events. If an image cannot be loaded, the ones before it stay.
    """

    def __init__(
        self,
        engine: Engine,
        moves: Mapping[str, str],
        recorder: Recorder,
        cancellation: Cancellation,
        progress: Progress | None = None,
    ) -> None:
        self._engine = engine
        self._moves = moves
        self._recorder = recorder
        self._cancellation = cancellation
        self._progress = progress or Progress()
        cancellation.on_cancel(self._progress.cancel)

    def load(self, source: str) -> str:
        """Loads all images of an archive or a layout, and returns the id of the last."""
        identifier = ""
        with _images_of(source, self._progress) as sources:
            for each in sources:
                with closing(open_image(each, self._progress)) as reader:
                    identifier = self.put(reader, each)
        return identifier

    def send(self, source: str) -> str:
        """Loads an image from another engine, without the layers that are there; returns its id."""
        with closing(open_image(source, self._progress)) as reader:
            return self.put(reader)

    def put(self, reader: LayerTars, source: str = "") -> str:
        """Loads an image, and returns its id; `source` is its file, if any."""
        plan = _planned(self._engine, reader.image)
        for naming in plan.taken:
            if self._moves.get(naming.name) != naming.held_by:
                raise EngineError(
                    naming.conflict,
                    "It was not moved: check which image should have it, then try again.",
                )
        self._recorder.started(plan.names[0].name if plan.names else reader.image.source)
        if isinstance(self._engine, EmbeddedEngine):
            name = reference_of(plan.names[0].name) if plan.names else None
            identifier = import_image(
                self._engine.store, reader, name, self._progress, imported(self._recorder)
            )
        elif isinstance(self._engine, DockerEngine):
            identifier = self._by_engine(self._engine, reader, source, plan)
        else:
            raise UsageError(f"{self._engine.name} cannot load images.", "Choose another engine.")
        for at, naming in enumerate(plan.names or (Naming(identifier, ""),)):
            if at:
                give_name(self._engine, replace(naming, id=identifier))
            before = naming.held_by if naming.held_by != identifier else ""
            self._recorder.loaded(identifier, naming.name, before * naming.taken)
        return identifier

    def _by_engine(
        self, engine: DockerEngine, reader: LayerTars, source: str, plan: PlannedImage
    ) -> str:
        with self._packed(engine, reader, source) as (image, rows):
            reference = reference_of(plan.names[0].name) if plan.names else None
            image = named(image, reference)
            state: State = "loading" if source else "pushing"
            advance = writing(self._recorder, self._progress, image, state, rows)
            send(engine, image, advance, self._cancellation)
            name = image.tags[0] if image.tags else loaded_name(engine, image)
        return with_algorithm(self._cancellation.ask(lambda: engine.inspect(name).id))

    @contextmanager
    def _packed(
        self, engine: DockerEngine, reader: LayerTars, source: str
    ) -> Iterator[tuple[PackedImage, dict[str, str]]]:
        """Yields an image as stored, or unpacked for engines that may not support its compression.

        An engine that keeps blobs thus keeps the image's digest. Layers that the archive omits come
        from the engine.
        """
        whole = not reader.image.missing
        if source and engine.keeps_blobs and whole:
            with opened_source(source, None, self._progress.check) as (image, _):
                yield image, {}
            return
        omitted, below = 0, None
        with ExitStack() as stack:
            if not source:
                omitted = _there(engine, reader.image)
            elif not whole:
                base = base_of(engine, reader.image)
                if engine.takes_parts:
                    omitted = left_out(reader.image)
                else:
                    below = stack.enter_context(
                        closing(open_in_engine(base, f"docker-daemon:{base}"))
                    )
            show_layers(self._recorder, reader.image, omitted)
            report = reading(self._recorder)
            image = stack.enter_context(
                packed(reader, self._progress, omitted=omitted, below=below, on_layer=report)
            )
            yield image, rows_of(reader.image, image)


def reference_of(name: str) -> Reference | None:
    """Parses a name in an archive; returns None if it is invalid or has no tag."""
    reference = None
    with suppress(ValueError):
        reference = parse_reference(name)
    return None if reference is None or reference.tag is None else reference
