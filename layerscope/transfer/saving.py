"""Writes images from any place into archives and layouts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from layerscope.engines.resolve import open_image
from layerscope.errors import UsageError
from layerscope.images.archives.packing import packed
from layerscope.images.archives.writing import (
    Advance,
    PackedImage,
    check_absent,
    is_layout,
    named,
    write_archive,
    write_layout,
)
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader
from layerscope.images.registry.pull_estimate import in_common
from layerscope.text import visible
from layerscope.transfer.layer_rows import reading, rows_of, show_layers, writing
from layerscope.transfer.loading import reference_of
from layerscope.transfer.push_sources import in_file, opened_source
from layerscope.transfer.recorder import Recorder
from layerscope.transfer.request import SaveRequest


@contextmanager
def image_to_save(
    request: SaveRequest, progress: Progress, recorder: Recorder
) -> Iterator[tuple[PackedImage, Advance]]:
    """Yields the image, and a callback for the bytes written.

    Keeps the stored form of an image in a file if no compression is requested. Raises
    LayerscopeError if it cannot be read.
    """
    recorder.started(request.source)
    stored = not (request.compression or request.platform or request.without)
    if stored and in_file(request.source):
        with opened_source(request.source, None, progress.check) as (image, name):
            yield named(image, reference_of(name)), writing(recorder, progress, image, "writing")
        return
    compression = request.compression if request.compression != "none" else ""
    with closing(_opened(request.source, request, progress)) as reader:
        omitted = _in_common(reader, request, progress) if request.without else 0
        show_layers(recorder, reader.image, omitted, "left out")
        progress.what = "Reading the image"
        with packed(
            reader, progress, compression or None, omitted=omitted, on_layer=reading(recorder)
        ) as image:
            rows = rows_of(reader.image, image)
            advance = writing(recorder, progress, image, "writing", rows)
            yield named(image, reference_of(reader.image.reference)), advance


def check_request(request: SaveRequest, *, to_file: bool = True) -> None:
    """Raises UsageError if the target exists, or the request is not possible."""
    if request.form == "docker-archive" and request.without:
        raise UsageError(
            "A docker-archive cannot leave out layers.", "Use --format oci-archive or oci."
        )
    if request.form == "docker-archive" and request.compression == "zstd":
        raise UsageError(
            "Docker loads no zstd layers from archives of its own form everywhere.",
            "Use --format oci-archive, or --compression gzip.",
        )
    if not to_file:
        return
    if request.form == "oci":
        is_layout(Path(request.path))
    elif request.replaces is None:
        check_absent(Path(request.path))


def save(request: SaveRequest, recorder: Recorder, progress: Progress) -> None:
    """Writes an image, completely or not at all. Raises LayerscopeError on failure."""
    path = Path(request.path)
    with image_to_save(request, progress, recorder) as (image, advance):
        if request.form == "oci":
            write_layout(path, [image], advance=advance)
        else:
            docker, overwrite = request.form == "docker-archive", request.replaces or False
            write_archive(path, [image], docker=docker, overwrite=overwrite, advance=advance)
        identifier = image.config.digest
    recorder.finished(identifier, f"{request.form}:{request.path}")


def _opened(source: str, request: SaveRequest, progress: Progress) -> ImageReader:
    return open_image(
        source,
        progress,
        platform=request.platform or None,
        export=request.export,
        cache=request.cache,
        insecure=request.insecure,
    )


def _in_common(reader: ImageReader, request: SaveRequest, progress: Progress) -> int:
    """Returns how many of the lowest layers the other image has; raises UsageError if none."""
    ours = [layer.diff_id for layer in reader.image.layers]
    with closing(_opened(request.without, request, progress)) as second:
        count = in_common(ours, [layer.diff_id for layer in second.image.layers])
    if not count:
        raise UsageError(
            f"{visible(request.without)} and {visible(request.source)} share no lowest layers.",
            "Save the whole image.",
        )
    return count
