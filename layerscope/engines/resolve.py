"""Opens an image by its SOURCE, in the form of containers-transports(5)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from layerscope.engines.address import EMBEDDED, chosen_engine, engine_address
from layerscope.engines.folders import is_folder, list_folder, open_in_folder
from layerscope.engines.sources import TRANSPORTS, is_path, looks_like_path, split_archive
from layerscope.errors import (
    AmbiguousError,
    BadInputError,
    LayerscopeError,
    UsageError,
    closed_on_error,
)
from layerscope.images.archives.archive import ArchiveReader, UnpackedArchiveReader
from layerscope.images.archives.archive_file import (
    ArchiveFile,
    is_compressed,
    no_image,
    open_file,
)
from layerscope.images.archives.blob_store import (
    INDEX,
    MANIFEST,
    BlobStore,
    FolderStore,
    load_json,
    read_document,
)
from layerscope.images.archives.legacy_format import holds_legacy
from layerscope.images.platforms import check_platform, wanted_platform
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader
from layerscope.oci.compression import CompressionError, decompressed
from layerscope.oci.reference import familiar, parse_reference
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.images.archives.compressed import CompressedArchive
    from layerscope.images.archives.oci_layout import OciLayoutReader
    from layerscope.images.summary import ImageSummary

#: Opens an image, given the text after the transport's colon, the full source, and the request.
Opener = Callable[[str, str, "Request"], ImageReader]


@dataclass(frozen=True, slots=True)
class Request:
    progress: Progress = field(default_factory=Progress)  # Progress of a slow opening.
    #: `os/architecture[/variant]`; None for this host's.
    platform: str | None = None
    export: bool = False  # Whether to export from an engine even if its data folder is readable.
    cache: bool = True  # Whether to cache registry documents.
    insecure: bool = False  # Whether registries may lack TLS or a valid certificate.


def open_image(
    source: str,
    progress: Progress | None = None,
    *,
    platform: str | None = None,
    export: bool = False,
    cache: bool = True,
    insecure: bool = False,
) -> ImageReader:
    """Opens an image; see `Request` for the options.

    `source` is `NAME[:TAG]` or an id in the current engine, or a file or folder of that name; or
    begins with one of the `TRANSPORTS`. Raises LayerscopeError if there is no such image or it
    cannot be read.
    """
    if not source:
        raise UsageError("No image is named.", "Name an image or a file.")
    wanted_platform(platform)  # Reports an invalid platform first.
    reader = _open(source, Request(progress or Progress(), platform, export, cache, insecure))
    try:
        check_platform(reader.image, platform, visible(source))
    except LayerscopeError:
        reader.close()
        raise
    return reader


def _open(source: str, request: Request) -> ImageReader:
    transport, colon, rest = source.partition(":")
    if colon and transport in TRANSPORTS:
        if not rest:
            form = TRANSPORTS[transport]
            raise UsageError(f"Nothing follows {transport}:.", f"Write {transport}:{form}.")
        return _OPENERS[transport](rest, source, request)
    if is_path(source):
        return _open_files(Path(source), None, "", request)
    _check_name(source)
    return _open_engine(source, f"docker-daemon:{source}", request)


def _check_name(source: str) -> None:
    """Raises UsageError for an invalid image name, before connecting to an engine."""
    with suppress(ValueError):
        parse_reference(source)
        return
    known = ", ".join(sorted(TRANSPORTS))
    transport, _, rest = source.partition(":")
    # Before a port, it is a host; with capital letters, it may be a name.
    like_one = transport.replace("-", "").isalnum() and not rest[:1].isdigit()
    if like_one and (rest.startswith((".", "/")) or ":" in rest):
        raise UsageError(
            f"{visible(transport)} is not a transport that layerscope knows.", f"It knows {known}."
        )
    raise UsageError(
        f"{visible(source)} is neither a file nor the name of an image.",
        f"Write NAME:TAG, or TRANSPORT:… with one of {known}.",
    )


def name_in_engine(source: str) -> str:
    """Returns the name or id of an image in the engine; raises UsageError for other sources."""
    transport, colon, rest = source.partition(":")
    if transport == "docker-daemon" and colon:
        source = rest
    elif transport == "container" and colon:
        raise UsageError(
            f"{visible(source)} is a container, not an image.",
            "`layerscope commit` makes an image of a container.",
        )
    elif (colon and transport in TRANSPORTS and not rest[:1].isdigit()) or looks_like_path(source):
        raise UsageError(
            f"{visible(source)} is not in the engine.", "Pull it, or load it into the engine."
        )
    _check_name(source)
    return source


def engine_has(name: str) -> bool:
    """Whether the current engine has an image of this name; False if it does not answer."""
    from layerscope.engines.docker import connect_any

    try:
        with closing(connect_any()) as engine:
            engine.inspect(name)
    except LayerscopeError:
        return False
    return True


def list_images(source: str | None, say: Callable[[str], object] = bool) -> Sequence[ImageSummary]:
    """Lists the images of a data folder or the current engine, newest first, once per name.

    `say` receives notices for users. Raises LayerscopeError if it does not exist or cannot be
    read.
    """
    if source is None or source.rstrip(":") == EMBEDDED:
        from layerscope.engines.docker import connect_any

        with closing(connect_any(engine_address(source or chosen_engine()))) as engine:
            if engine.notice:
                say(engine.notice)
            return engine.images(sizes=True)
    if not is_folder(source):
        forms = "docker-root:DIR, containerd-root:DIR, containers-storage:[DIR] or embedded:"
        raise UsageError(f"{visible(source)} has no list of images.", f"Try {forms}.")
    return list_folder(source)


@contextmanager
def _choosing(place: str) -> Iterator[None]:
    """Completes the choices of an ambiguous source to full sources."""
    try:
        yield
    except AmbiguousError as error:
        error.choices = tuple(f"{place}:{name}" for name in error.names)
        raise


def _open_docker_archive(rest: str, source: str, request: Request) -> ImageReader:
    return _open_files(*split_archive(rest), "docker-archive", request)


def _open_oci(rest: str, source: str, request: Request) -> ImageReader:
    return _open_files(*split_archive(rest), "oci", request)


def _open_dir(rest: str, source: str, request: Request) -> ImageReader:
    return _open_files(Path(rest), None, "dir", request)


def _open_files(path: Path, wanted: str | None, form: str, request: Request) -> ImageReader:
    """Opens a folder or an archive, compressed or not; "" as `form` means any.

    The path decides whether an OCI layout is a folder or an archive, not the source.
    """
    store: FolderStore | ArchiveFile | CompressedArchive
    if path.is_dir():
        store = FolderStore(path)
    elif (kind := is_compressed(path)) is not None:
        store = _compressed(path, kind, request)
    else:
        store = ArchiveFile(open_file(path), visible(str(path)))
    with closed_on_error(store.close):
        forms = _forms(store)
        if not forms and isinstance(store, FolderStore):
            raise no_image(store.file)
        if form and forms and form not in forms:
            name, best = visible(str(path)), forms[0]
            if best == "oci" and not isinstance(store, FolderStore):
                best = "oci-archive"
            raise UsageError(f"{name} is not what {form}: opens.", f"Write {best}:{name}.")
        form = form or (forms[0] if forms else "docker-archive")
        if form == "dir":
            from layerscope.images.archives.skopeo_store import SkopeoStore

            return _open_layout(store, SkopeoStore(store), wanted, f"dir:{path}", request)
        if form == "oci":
            place = "oci" if isinstance(store, FolderStore) else "oci-archive"
            return _open_layout(store, store, wanted, f"{place}:{path}", request)
        return _open_saved(store, path, wanted, request)


def _forms(store: FolderStore | ArchiveFile | CompressedArchive) -> list[str]:
    """Returns the transports that can open files, the best first."""
    found = []
    if store.holds(MANIFEST):
        document = load_json(store.file, MANIFEST, read_document(store, MANIFEST))
        keys = ("config", "manifests", "fsLayers")
        of_one = isinstance(document, dict) and any(key in document for key in keys)
        found.append("dir" if of_one else "docker-archive")
    elif holds_legacy(store.holds, store.names()):
        found.append("docker-archive")
    if store.holds(INDEX):
        # `docker save` archives are layouts, too; unpacked ones are best read as such.
        found.insert(0 if isinstance(store, FolderStore) else 1, "oci")
    return found


def _open_saved(
    store: FolderStore | ArchiveFile | CompressedArchive,
    path: Path,
    wanted: str | None,
    request: Request,
) -> ImageReader:
    """Opens the output of `docker save`: manifest.json has one platform, index.json has all."""
    source = f"docker-archive:{path}"
    if store.holds(INDEX):
        from layerscope.images.archives.oci_layout import holds_platforms

        if holds_platforms(store):
            reader = _open_layout(store, store, wanted, source, request)
            reader.image = replace(reader.image, reference=familiar(reader.image.reference))
            return reader
    with _choosing(source):
        if isinstance(store, ArchiveFile):
            return ArchiveReader(store, wanted, source)
        if isinstance(store, FolderStore):
            return UnpackedArchiveReader(store, wanted, source)
        from layerscope.images.archives.compressed import CompressedArchiveReader

        return CompressedArchiveReader(store, wanted, source)


def _open_layout(
    files: FolderStore | ArchiveFile | CompressedArchive,
    store: BlobStore,
    wanted: str | None,
    place: str,
    request: Request,
) -> OciLayoutReader:
    """Opens a layout; `store` maps a layout's names to `files`."""
    with _choosing(place):
        if isinstance(files, FolderStore | ArchiveFile):
            from layerscope.images.archives.oci_layout import OciLayoutReader

            return OciLayoutReader(store, wanted, request.platform, place)
        from layerscope.images.archives.compressed import CompressedLayoutReader

        return CompressedLayoutReader(files, store, wanted, request.platform, place)


def _compressed(path: Path, kind: str, request: Request) -> CompressedArchive:
    from layerscope.images.archives.compressed import CompressedArchive

    request.progress.what = "Reading the archive"
    name = visible(str(path))

    @contextmanager
    def reopen() -> Iterator[Callable[[int], bytes]]:
        with os.fdopen(open_file(path), "rb", buffering=0) as file:
            try:
                yield decompressed(kind, file.read)
            except CompressionError as error:
                raise BadInputError(name, None, str(error), "Copy the file again.") from None

    return CompressedArchive(reopen, request.progress, kind=kind, name=name)


def _open_engine(rest: str, source: str, request: Request) -> ImageReader:
    # Importing docker-py takes 0.2 seconds, which archives need not wait for.
    from layerscope.engines.local_store import open_in_engine

    return open_in_engine(rest, source, export=request.export, platform=request.platform)


def _open_container(rest: str, source: str, request: Request) -> ImageReader:
    from layerscope.engines.container import open_container

    return open_container(rest, source, export=request.export)


def _open_data_folder(rest: str, source: str, request: Request) -> ImageReader:
    return open_in_folder(source, request.platform)


def _open_registry(rest: str, source: str, request: Request) -> ImageReader:
    # Other sources need not wait for these imports.
    from layerscope.images.cache.documents import DocumentCache
    from layerscope.images.registry.reader import RegistryReader

    if not rest.startswith("//"):
        # `docker:27` is the name of an image.
        return _open_engine(source, f"docker-daemon:{source}", request)
    documents = DocumentCache() if request.cache else None
    return RegistryReader(
        source,
        request.progress,
        platform=request.platform,
        documents=documents,
        insecure=request.insecure,
    )


def _open_embedded(rest: str, source: str, request: Request) -> ImageReader:
    from layerscope.engines.embedded.engine import EmbeddedEngine

    return EmbeddedEngine().open(rest, source, request.platform)


_OPENERS: dict[str, Opener] = {
    "container": _open_container,
    "containerd-root": _open_data_folder,
    "containers-storage": _open_data_folder,
    "dir": _open_dir,
    "docker": _open_registry,
    "docker-archive": _open_docker_archive,
    "docker-daemon": _open_engine,
    "docker-root": _open_data_folder,
    "embedded": _open_embedded,
    "oci": _open_oci,
    "oci-archive": _open_oci,
}
