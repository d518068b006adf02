"""Opens whatever a user names as SOURCE, in the form of containers-transports(5)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from layerscope.errors import AmbiguousError, BadInputError, LayerscopeError, UsageError
from layerscope.images.archive import ArchiveReader
from layerscope.images.archive_file import ArchiveFile, is_compressed, open_archive, open_file
from layerscope.images.blob_store import INDEX, BlobStore, FolderStore
from layerscope.images.platforms import check_platform, wanted_platform
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader
from layerscope.images.save_layout import MANIFEST
from layerscope.oci.compression import CompressionError, decompressed
from layerscope.oci.reference import familiar, parse_reference
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.images.oci_layout import OciLayoutReader
    from layerscope.images.stored import ImageSummary

#: Opens what stands behind a transport's colon. Gets that, the source as a whole, and the request.
Opener = Callable[[str, str, "Request"], ImageReader]


@dataclass(frozen=True, slots=True)
class Request:
    """How an image is to be opened.

    Attributes:
        progress: Where to say how far it has come, where opening takes long.
        platform: `os/architecture[/variant]` to choose where there are several.
        export: Whether an engine is to export the image even where its data folder can be read.
        cache: Whether documents of registries are taken from the cache and kept there.
        insecure: Whether a registry may be read without TLS or a valid certificate.
    """

    progress: Progress = field(default_factory=Progress)
    platform: str | None = None
    export: bool = False
    cache: bool = True
    insecure: bool = False


def open_image(
    source: str,
    progress: Progress | None = None,
    *,
    platform: str | None = None,
    export: bool = False,
    cache: bool = True,
    insecure: bool = False,
) -> ImageReader:
    """Opens an image.

    Args:
        source: `NAME[:TAG]` or an id in the current engine, or a file or folder of that name; or
            with a transport of `TRANSPORTS` before it.
        progress: Where to say how far it has come, where opening takes long.
        platform: `os/architecture[/variant]` to choose where there are several; None for this
            host's.
        export: Whether an engine is to export the image even where its data folder can be read.
        cache: Whether documents of registries are taken from the cache and kept there.
        insecure: Whether a registry may be read without TLS or a valid certificate.

    Raises:
        LayerscopeError: There is no such image, or it cannot be read.
    """
    if not source:
        raise UsageError("No image is named.", "Name one, or a file.")
    wanted_platform(platform)  # If it is none, nobody need be asked first.
    reader = _open(source, Request(progress or Progress(), platform, export, cache, insecure))
    try:
        check_platform(reader.image, platform, visible(source))
    except LayerscopeError:
        reader.close()
        raise
    return reader


def _open(source: str, request: Request) -> ImageReader:
    transport, colon, rest = source.partition(":")
    opener = TRANSPORTS.get(transport) if colon else None
    if opener is not None:
        if not rest:
            raise _nothing_named(transport)
        return opener(rest, source, request)
    path = Path(source)
    if _is_there(path) or _looks_like_path(source):
        return _open_path(path, request)
    _check_name(source)
    return _open_engine(source, f"docker-daemon:{source}", request)


def _check_name(source: str) -> None:
    """Refuses what can be the name of no image, before an engine is looked for.

    Raises:
        UsageError: It is none.
    """
    try:
        parse_reference(source)
    except ValueError:
        pass
    else:
        return
    known = ", ".join(sorted(TRANSPORTS))
    transport, _, rest = source.partition(":")
    # What stands before a port is a host, and what has capitals may have been meant as a name.
    like_one = transport.replace("-", "").isalnum() and not rest[:1].isdigit()
    if like_one and (rest.startswith((".", "/")) or ":" in rest):
        raise UsageError(
            f"{visible(transport)} is not a transport that layerscope knows.", f"It knows {known}."
        )
    raise UsageError(
        f"{visible(source)} is neither a file nor the name of an image.",
        f"Write NAME:TAG, or TRANSPORT:… with one of {known}.",
    )


def _nothing_named(transport: str) -> UsageError:
    return UsageError(
        f"Nothing is named behind {transport}:.", f"Write {transport}:{_FORMS[transport]}."
    )


def list_images(source: str | None) -> list[ImageSummary]:
    """The images of an engine or a data folder, newest first, a line for each of their names.

    Args:
        source: `docker-root:DIR`, or None for the current engine.

    Raises:
        LayerscopeError: There is no such place, or it cannot be read.
    """
    if source is None:
        from layerscope.engines.docker import connect

        with closing(connect()) as engine:
            return engine.images(sizes=True)
    transport, _, folder = source.partition(":")
    if transport != "docker-root" or not folder:
        raise UsageError(f"{visible(source)} has no list of images.", "Try docker-root:DIR.")
    from layerscope.images.docker_root import DockerRoot

    with closing(DockerRoot(Path(folder))) as root:
        return root.summaries()


@contextmanager
def _choosing(place: str) -> Iterator[None]:
    """Names whole sources where one image of several is to be chosen."""
    try:
        yield
    except AmbiguousError as error:
        error.choices = tuple(f"{place}:{name}" for name in error.names)
        raise


def _open_path(path: Path, request: Request) -> ImageReader:
    """Opens a file or folder for what it is."""
    if path.is_dir() and (path / INDEX).exists():
        return _open_layout(FolderStore(path), None, f"oci:{path}", request)
    kind = is_compressed(path)
    if kind is not None:
        return _open_compressed(path, None, kind, request)
    archive = open_archive(path)
    if MANIFEST not in archive and INDEX in archive:
        return _open_layout(archive, None, f"oci-archive:{path}", request)
    return _open_saved(archive, path, None, request)


def _open_docker_archive(rest: str, source: str, request: Request) -> ImageReader:
    path, wanted = split_archive(rest)
    kind = is_compressed(path)
    if kind is not None:
        return _open_compressed(path, wanted, kind, request)
    return _open_saved(open_archive(path), path, wanted, request)


def _holds_platforms(archive: ArchiveFile) -> bool:
    from layerscope.images.oci_layout import holds_platforms

    return holds_platforms(archive)


def _open_saved(
    archive: ArchiveFile, path: Path, wanted: str | None, request: Request
) -> ImageReader:
    """Opens what `docker save` wrote: its manifest.json knows one platform, its index.json all."""
    source = f"docker-archive:{path}"
    if INDEX in archive and _holds_platforms(archive):
        reader = _open_layout(archive, wanted, source, request)
        reader.image = replace(reader.image, reference=familiar(reader.image.reference))
        return reader
    with _choosing(source):
        return ArchiveReader(archive, path, wanted)


def _open_oci(rest: str, source: str, request: Request) -> ImageReader:
    path, wanted = split_archive(rest)
    return _open_layout(FolderStore(path), wanted, f"oci:{path}", request)


def _open_oci_archive(rest: str, source: str, request: Request) -> ImageReader:
    path, wanted = split_archive(rest)
    return _open_layout(open_archive(path), wanted, f"oci-archive:{path}", request)


def _open_layout(
    store: BlobStore, wanted: str | None, place: str, request: Request
) -> OciLayoutReader:
    from layerscope.images.oci_layout import OciLayoutReader

    with _choosing(place):
        return OciLayoutReader(store, wanted, request.platform, place)


def _open_compressed(path: Path, wanted: str | None, kind: str, request: Request) -> ImageReader:
    from layerscope.images.save_stream import CompressedArchiveReader

    request.progress.what = "Reading the archive"
    name = visible(str(path))

    @contextmanager
    def reopen() -> Iterator[Callable[[int], bytes]]:
        with os.fdopen(open_file(path), "rb", buffering=0) as file:
            try:
                yield decompressed(kind, file.read)
            except CompressionError as error:
                raise BadInputError(name, None, str(error), "Copy the file again.") from None

    with _choosing(f"docker-archive:{path}"):
        return CompressedArchiveReader(
            reopen,
            request.progress,
            kind=kind,
            file=f"{name} uncompressed",
            wanted=wanted,
            source=f"docker-archive:{path}",
        )


def _open_engine(rest: str, source: str, request: Request) -> ImageReader:
    # docker-py takes a fifth of a second to import, which archives need not wait for.
    from layerscope.engines.local_store import open_in_engine

    return open_in_engine(rest, source, export=request.export, platform=request.platform)


def _open_container(rest: str, source: str, request: Request) -> ImageReader:
    from layerscope.engines.container import open_container

    return open_container(rest, source, export=request.export)


def _open_data_folder(rest: str, source: str, request: Request) -> ImageReader:
    from layerscope.images.docker_root import open_docker_root

    path, wanted = split_archive(rest)
    return open_docker_root(path, wanted, request.platform)


def _open_registry(rest: str, source: str, request: Request) -> ImageReader:
    # Other sources need not wait for what talks to registries.
    from layerscope.images.document_cache import DocumentCache
    from layerscope.images.registry import RegistryReader

    if not rest.startswith("//"):
        # `docker:27` is an image of that name.
        return _open_engine(source, f"docker-daemon:{source}", request)
    documents = DocumentCache() if request.cache else None
    return RegistryReader(
        source,
        request.progress,
        platform=request.platform,
        documents=documents,
        insecure=request.insecure,
    )


#: What may stand before a colon in a source; everything else is a name or a path.
TRANSPORTS: dict[str, Opener] = {
    "container": _open_container,
    "docker": _open_registry,
    "docker-archive": _open_docker_archive,
    "docker-daemon": _open_engine,
    "docker-root": _open_data_folder,
    "oci": _open_oci,
    "oci-archive": _open_oci_archive,
}


#: What stands behind each of them.
_FORMS = {
    "container": "NAME",
    "docker": "//HOST/NAME:TAG",
    "docker-archive": "PATH[:REF]",
    "docker-daemon": "NAME[:TAG]",
    "docker-root": "DIR[:NAME]",
    "oci": "DIR[:REF]",
    "oci-archive": "PATH[:REF]",
}


def split_archive(text: str) -> tuple[Path, str | None]:
    """Splits `PATH[:REF]` at the first colon behind which no file of that name goes on.

    Raises:
        UsageError: There is no path.
    """
    if os.path.lexists(text):
        return Path(text), None
    for place, character in enumerate(text):
        if character == ":" and os.path.lexists(text[:place]):
            return Path(text[:place]), text[place + 1 :] or None
    path, _, wanted = text.partition(":")
    if not path:
        # An empty path would be the folder that we are in.
        raise UsageError(f"No path stands before :{visible(wanted)}.", "Write PATH:REF.")
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
