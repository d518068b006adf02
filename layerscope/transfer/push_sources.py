"""Sources of a push by layerscope's client: images in files, and an engine's export."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from layerscope.config import cache_folder
from layerscope.engines.address import EMBEDDED
from layerscope.engines.embedded.engine import EmbeddedEngine
from layerscope.engines.engine import Engine
from layerscope.engines.sources import FILES, TRANSPORTS, is_path, split_archive
from layerscope.errors import LayerscopeError, UsageError
from layerscope.images.archives.archive_file import ArchiveFile, is_compressed, open_file
from layerscope.images.archives.blob_store import FolderStore
from layerscope.images.archives.packing import on_demand, spooled
from layerscope.images.archives.unpacking import unpacked
from layerscope.images.archives.writing import PackedImage
from layerscope.images.progress import Progress
from layerscope.oci.byte_source import opened
from layerscope.oci.compression import CompressionError, decompressed
from layerscope.text import docker_size, short_name, visible
from layerscope.writing import failure

if TYPE_CHECKING:
    from layerscope.engines.remote.reader import RemoteReader

_PIECE = 1 << 20
_HINT = "Make room there, or set XDG_CACHE_HOME to another folder."

Check = Callable[[], None]


def file_source(source: str) -> tuple[Path, str | None] | None:
    """Returns the absolute path of a source, and the image in it; None for an engine's image.

    Raises UsageError for a kind of source that cannot be pushed.
    """
    transport, colon, rest = source.partition(":")
    if colon and transport in FILES and rest:
        path, wanted = split_archive(rest)
        return path.absolute(), wanted
    if is_path(source):
        return Path(source).absolute(), None
    if colon and transport in TRANSPORTS and transport not in ("docker-daemon", "embedded"):
        raise UsageError(
            f"{visible(source)} cannot be pushed.",
            "Push an image of an engine, an archive or a layout.",
        )
    return None


def named_source(source: str) -> str:
    """Makes a source's path absolute, for a job; "" for an engine's image. Raises UsageError."""
    found = file_source(source)
    if found is None:
        return source if source.startswith("embedded:") else ""
    path, wanted = found
    form = source.partition(":")[0]
    form = form if form in FILES else "oci" if path.is_dir() else "docker-archive"
    return f"{form}:{path}" + (f":{wanted}" if wanted else "")


def in_file(source: str) -> bool:
    """Whether a source is a file or a folder."""
    return is_path(source) or source.partition(":")[0] in FILES


@contextmanager
def opened_source(
    source: str, engine: Engine | None, check: Check, warn: Callable[[str], object] = lambda _: None
) -> Iterator[tuple[PackedImage, str]]:
    """Yields an image to push, and its name in the source, if any.

    An image that is not in a file comes from `engine`, by default the current one. `warn` receives
    notices about large transfers before they start.
    """
    found = file_source(source)
    if found is None:
        with _engine_of(source, engine) as (holder, name):
            if isinstance(holder, EmbeddedEngine):
                with holder.held(name) as image:
                    yield image, next(iter(image.tags), "")
                return
            if (remote := _remote(holder, name)) is not None:
                with closing(remote):
                    yield on_demand(remote, _Checked(check)), ""
                return
            with (
                _exported(holder, name, check, warn) as file,
                closing(_archive(file, source)) as archive,
            ):
                yield unpacked(archive, None, source)
        return
    path, wanted = found
    if path.is_dir():
        yield unpacked(FolderStore(path), wanted, f"oci:{path}")
        return
    with (
        plain_file(path, check) as plain,
        closing(ArchiveFile(open_file(plain), visible(str(path)))) as archive,
    ):
        yield unpacked(archive, wanted, f"docker-archive:{path}")


@contextmanager
def plain_file(path: Path, check: Check) -> Iterator[Path]:
    """Yields the file, or a temporary uncompressed copy if it is compressed."""
    kind = None if path.is_dir() else is_compressed(path)
    if kind is None:
        yield path
        return
    with spooled() as file:
        with opened(open_file(path)) as fd, os.fdopen(os.dup(fd), "rb", buffering=0) as packed:
            try:
                copy_all(decompressed(kind, packed.read), file, check)
            except CompressionError as error:
                problem = f"{visible(str(path))} is damaged: {error}."
                raise LayerscopeError(problem, "Copy the file again.") from None
        copy = f"/proc/self/fd/{file.fileno()}"
        try:
            yield Path(copy)
        except LayerscopeError as error:
            error.message = error.message.replace(copy, visible(str(path)))
            raise


@contextmanager
def _engine_of(source: str, engine: Engine | None) -> Iterator[tuple[Engine, str]]:
    """Yields the engine that has an image, and the image's name there."""
    transport, _, rest = source.partition(":")
    if transport == EMBEDDED:
        yield EmbeddedEngine(), rest
        return
    name = source.removeprefix("docker-daemon:")
    if engine is not None:
        yield engine, name
        return
    from layerscope.engines.docker import connect_any

    with closing(connect_any()) as connected:
        yield connected, name


def note_pushed(source: str, engine: Engine | None, identifier: str, digest: str) -> None:
    """Records the `NAME@DIGEST` of an image of the embedded store in its registry."""
    if file_source(source) is None:
        with _engine_of(source, engine) as (holder, _):
            if isinstance(holder, EmbeddedEngine):
                holder.note_digest(identifier, digest)


class _Checked(Progress):
    """Progress that stops when a function raises."""

    def __init__(self, check: Check) -> None:
        super().__init__()
        self._check = check

    def advance(self, done: int) -> None:
        self._check()
        super().advance(done)


def _remote(engine: Engine, name: str) -> RemoteReader | None:
    """Returns a reader of single layers of an engine behind ssh, through the layerscope there.

    None if that is not possible, or if the engine keeps compressed layers, which only an export
    preserves.
    """
    if not engine.is_behind_ssh or engine.keeps_blobs:
        return None
    # Not at the top: only engines behind ssh need it.
    from layerscope.engines.docker import connect
    from layerscope.engines.local_store import open_with
    from layerscope.engines.remote.reader import RemoteReader

    reader = open_with(connect(), name, f"docker-daemon:{name}")
    if isinstance(reader, RemoteReader) and reader.sends_layers:
        return reader
    reader.close()
    return None


@contextmanager
def _exported(
    engine: Engine, name: str, check: Check, warn: Callable[[str], object]
) -> Iterator[IO[bytes]]:
    # Reports a missing image before an export starts.
    size = engine.inspect(name).size
    if not engine.is_local:
        more = " A layerscope there would send only the layers that the registry lacks."
        more = "" if engine.keeps_blobs else more
        warn(
            f"{short_name(name)} is exported from another host, which transfers "
            f"{docker_size(size)}.{more}"
        )
    read, end = engine.export(name)
    try:
        with spooled() as file:
            copy_all(read, file, check)
            yield file
    finally:
        end()


def _archive(file: IO[bytes], name: str) -> ArchiveFile:
    return ArchiveFile(os.dup(file.fileno()), visible(name))


def copy_all(
    read: Callable[[int], bytes],
    file: IO[bytes],
    check: Check,
    update: Callable[[bytes], Any] | None = None,
) -> int:
    """Copies a stream to a file, and returns its size; calls `update` with each piece."""
    size = 0
    try:
        while piece := read(_PIECE):
            check()
            file.write(piece)
            size += len(piece)
            if update is not None:
                update(piece)
        file.flush()
    except OSError as error:
        raise LayerscopeError(failure(error, str(cache_folder())), _HINT) from None
    return size
