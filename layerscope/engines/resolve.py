"""Opens whatever a user names as SOURCE, in the form of containers-transports(5)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from layerscope.errors import BadInputError, LayerscopeError, UsageError
from layerscope.images.archive import ArchiveReader, is_compressed, open_file
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader
from layerscope.images.save_stream import CompressedArchiveReader
from layerscope.oci.compression import CompressionError, decompressed
from layerscope.text import visible

_ARCHIVE = "docker-archive:"
_DAEMON = "docker-daemon:"


def open_image(source: str, progress: Progress | None = None) -> ImageReader:
    """Opens an image.

    Args:
        source: `NAME[:TAG]` or an id in the current engine, or a file of that name;
            `docker-daemon:NAME`, `docker-archive:PATH[:REF]`.
        progress: Where to say how far it has come, where opening takes long.

    Raises:
        LayerscopeError: There is no such image, or it cannot be read.
    """
    progress = progress or Progress()
    if not source:
        raise UsageError("No image is named.", "Name one, or a file.")
    if source.startswith(_ARCHIVE):
        path, wanted = split_archive(source.removeprefix(_ARCHIVE))
        return _open_archive(path, wanted, progress)
    if source.startswith(_DAEMON):
        return _open_engine(source.removeprefix(_DAEMON), source)
    path = Path(source)
    if _is_there(path) or _looks_like_path(source):
        return _open_archive(path, None, progress)
    return _open_engine(source, f"{_DAEMON}{source}")


def split_archive(text: str) -> tuple[Path, str | None]:
    """Splits `PATH[:REF]` at the first colon behind which no file of that name goes on."""
    if os.path.lexists(text):
        return Path(text), None
    for place, character in enumerate(text):
        if character == ":" and os.path.lexists(text[:place]):
            return Path(text[:place]), text[place + 1 :] or None
    path, _, wanted = text.partition(":")
    return Path(path), wanted or None


def _is_there(path: Path) -> bool:
    """Whether there is such a file, or something that keeps us from seeing it."""
    try:
        return path.exists()
    except PermissionError:
        return True
    except OSError:
        return False


def _looks_like_path(source: str) -> bool:
    return source.startswith(("/", "./", "../", "~")) or source.endswith(
        (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.xz")
    )


def _open_archive(path: Path, wanted: str | None, progress: Progress) -> ImageReader:
    kind = is_compressed(path)
    if kind is None:
        return ArchiveReader(path, wanted)
    progress.what = "Reading the archive"
    name = visible(str(path))

    @contextmanager
    def reopen() -> Iterator[Callable[[int], bytes]]:
        with os.fdopen(open_file(path), "rb", buffering=0) as file:
            try:
                yield decompressed(kind, file.read)
            except CompressionError as error:
                raise BadInputError(name, None, str(error), "Copy the file again.") from None

    return CompressedArchiveReader(
        reopen,
        progress,
        kind=kind,
        file=f"{name} uncompressed",
        wanted=wanted,
        source=f"{_ARCHIVE}{path}",
    )


def _open_engine(name: str, source: str) -> ImageReader:
    # docker-py takes a fifth of a second to import, which archives need not wait for.
    from layerscope.engines.docker import connect
    from layerscope.images.engine_export import EngineExportReader

    engine = connect()
    try:
        return EngineExportReader(engine, name, source)
    except LayerscopeError:
        engine.close()
        raise
