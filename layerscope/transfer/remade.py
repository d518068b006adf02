"""Creates images from others, in the process of a job: squash, drop, rebase."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from layerscope.engines.address import EMBEDDED, current_address
from layerscope.engines.docker import DockerEngine, connect_any
from layerscope.engines.embedded.engine import EmbeddedEngine
from layerscope.engines.engine import Engine
from layerscope.engines.naming import Naming, plan_new, whole_name
from layerscope.engines.resolve import open_image
from layerscope.engines.waiting import waits_reported
from layerscope.errors import LayerscopeError, UsageError
from layerscope.images.archives.packing import packed
from layerscope.images.cache.changesets import ChangesetCache
from layerscope.images.files.contents import Contents
from layerscope.images.image import Image
from layerscope.images.loading import load
from layerscope.images.platforms import own_platform
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader
from layerscope.jobs.job import Job, read_job
from layerscope.jobs.journal import Write
from layerscope.jobs.worker import Cancellation
from layerscope.oci.reference import parse_reference
from layerscope.patterns import PathPattern, glob_pattern, path_pattern
from layerscope.surgery.edit import Comparer, Edit, Source
from layerscope.surgery.layers import drop, squash
from layerscope.surgery.making import made
from layerscope.surgery.rebase import is_base, named_base, rebase
from layerscope.text import short_id, short_name, visible
from layerscope.transfer.layer_rows import reading
from layerscope.transfer.loading import Loader
from layerscope.transfer.places import parse_place
from layerscope.transfer.recorder import Recorder
from layerscope.transfer.request import DROP, KINDS, REBASE, SQUASH, SurgeryRequest
from layerscope.transfer.targets import FileTarget

#: Opens an image for a platform, by default the requested one.
Open = Callable[[str, str | None], AbstractContextManager[Source]]


def main(arguments: list[str]) -> int:
    job = read_job(Path(arguments[0]))
    kind = None if job is None else KINDS.get(job.kind)
    return (kind or SQUASH).run(arguments, remake)


def remake(job: Job, request: SurgeryRequest, write: Write, cancellation: Cancellation) -> int:
    recorder, progress = Recorder(write), Progress()
    cancellation.on_cancel(progress.cancel)
    cancellation.waits_for = f"The engine at {current_address().shown}"
    recorder.started(request.source)
    with waits_reported(recorder.warning), ExitStack() as stack:
        find = lambda: find_place(request.into, request.name, cancellation)  # noqa: E731
        place = stack.enter_context(closing(cancellation.ask(find)))
        if not isinstance(place.where, DockerEngine):
            cancellation.waits_for = ""
        edit = stack.enter_context(planned(job.kind, request, None, opener(request, progress)))
        if request.shown not in ((), ids_of(edit)):
            raise UsageError(
                f"{visible(request.source)} or its new base has changed since the preview.",
                "Look at the preview again, then make the image.",
            )
        where = place.where
        image = stack.enter_context(made(edit, place.name, progress, reading(recorder)))
        if isinstance(where, Engine):
            found = Loader(where, request.moves, recorder, cancellation, progress).put(image)
            own = f"{EMBEDDED}:{place.name or short_id(found)}"
            recorder.finished(found, own if where.own_store else "")
        else:
            report = reading(recorder)
            whole = stack.enter_context(packed(image, progress, on_layer=report))
            where.put(whole, parse_reference(place.name) if place.name else None)
            recorder.finished(image.image.id, where.finish())
    return 0


# The plan.


@contextmanager
def planned(
    kind: str, request: SurgeryRequest, compare: Comparer | None, opened: Open
) -> Iterator[Edit]:
    """Yields the requested edit; finds conflicts only with `compare`.

    Raises LayerscopeError if it is not possible.
    """
    with ExitStack() as stack:
        source = stack.enter_context(opened(request.source, None))
        if kind == REBASE.name:
            platform = own_platform(source.image)
            wanted = None if platform is None else str(platform)
            base = stack.enter_context(opened(request.onto, wanted))
            old = _old_base(source.image, base.image, request, wanted)
            yield rebase(source, old, base, compare)
        elif kind == DROP.name:
            pattern = _path if request.literal else glob_pattern
            yield drop(source, request.layer, {each: pattern(each) for each in request.paths})
        else:
            yield squash(source, request.first, request.last)


def _path(path: str) -> PathPattern:
    return path_pattern(path.removeprefix("/"))


def opener(request: SurgeryRequest, progress: Progress) -> Open:
    @contextmanager
    def opened(source: str, platform: str | None) -> Iterator[Source]:
        cache = ChangesetCache() if request.cache else None
        with closing(_reader(source, request, progress, platform)) as reader:
            yield Source(load(reader, progress, cache=cache), Contents(reader))

    return opened


def ids_of(edit: Edit) -> tuple[str, ...]:
    """Returns the ids of the source images of an edit, as in `SurgeryRequest.shown`."""
    return tuple(each.image.id for each in (edit.image, edit.base) if each is not None)


def _reader(
    source: str, request: SurgeryRequest, progress: Progress | None, platform: str | None
) -> ImageReader:
    return open_image(
        source,
        progress,
        platform=platform or request.platform or None,
        export=request.export,
        cache=request.cache,
        insecure=request.insecure,
    )


def _old_base(image: Image, new: Image, request: SurgeryRequest, platform: str | None) -> Image:
    """Returns the base that an image was built on: the given one, or the one that it names."""
    hint = "Give --old-base IMAGE: the base as it was when the image was built."
    if request.old_base:
        with closing(_reader(request.old_base, request, None, platform)) as reader:
            return reader.image
    name, digest = named_base(image)
    shown = short_name(image.reference)
    if not name and is_base(image, new) and not is_base(new, image):
        raise UsageError(f"{shown} is based on {short_name(new.reference)} already.", hint)
    if not name:
        raise UsageError(f"{shown} does not say what it is based on.", hint)
    # The name may now refer to another image.
    exact = [f"docker://{name.partition('@')[0]}@{digest}"] if digest else []
    for source in (name, *exact):
        with suppress(LayerscopeError), closing(_reader(source, request, None, platform)) as reader:
            if is_base(image, reader.image):
                return reader.image
    raise UsageError(
        f"{shown} was built on {visible(name)}, which is no longer available as it was then.", hint
    )


# The place.


@dataclass(frozen=True, slots=True)
class MadePlace:
    """Where a new image goes."""

    where: Engine | FileTarget
    name: str  # Its `repository:tag`, or "".
    naming: Naming | None = None  # The state of the name in the engine.

    def close(self) -> None:
        self.where.close()


def find_place(into: str, name: str, cancellation: Cancellation | None = None) -> MadePlace:
    """Returns the place that a user names, and the name there; by default the current engine.

    Raises LayerscopeError if an image cannot be written there.
    """
    name = whole_name(name) if name else ""
    place = parse_place(into) if into else None
    if place is not None and place.form != EMBEDDED:
        return MadePlace(FileTarget(place, cancellation or Cancellation()), place.ref or name)
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
