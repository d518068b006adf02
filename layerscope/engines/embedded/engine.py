"""The embedded store as an engine."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager

from layerscope.config import STORE
from layerscope.engines.address import EMBEDDED
from layerscope.engines.embedded.build_cache import (
    cached_images,
    cached_layers,
    forget_layer,
    held_entries,
)
from layerscope.engines.embedded.committing import commit_container
from layerscope.engines.embedded.containers import Container, Containers, container_entries
from layerscope.engines.embedded.contents import (
    Document,
    EmbeddedReader,
    Kept,
    give_name,
    kept_images,
    name_of,
    named,
    note_pulled,
    open_entry,
    reached,
    take_name,
)
from layerscope.engines.embedded.packing import pack
from layerscope.engines.embedded.store import Change, Store
from layerscope.engines.engine import (
    CommitRequest,
    ContainerSummary,
    Engine,
    EngineEvent,
    Events,
    Stream,
)
from layerscope.errors import EngineError, LayerscopeError, NotFoundError
from layerscope.images.answers import (
    ContainerConfig,
    DescriptorAnswer,
    HistoryAnswer,
    ImageData,
    Info,
    Inspected,
    InspectedContainer,
    ListedImage,
    ManifestAnswer,
    PlatformAnswer,
    RootFs,
)
from layerscope.images.archives.save_format import same_reference
from layerscope.images.archives.writing import PackedImage, archive_pieces
from layerscope.images.image import history_of
from layerscope.images.reclaim import CachedStep
from layerscope.images.summary import ImageSummary, StoredImage, summaries, unix_time
from layerscope.oci.byte_source import reader_of_pieces
from layerscope.oci.platform import Platform, host_platform
from layerscope.oci.reference import is_reference, parse_reference
from layerscope.text import short_id, visible

_SHORTEST_ID = 4
_POLL = 1.0  # Seconds between checks of the index.


class EmbeddedEngine(Engine):
    transport = EMBEDDED
    own_store = True
    name = f"The {STORE}"

    def __init__(self, store: Store | None = None, *, notice: str = "") -> None:
        self.store = store or Store()
        self.notice = notice
        self.host = f"{EMBEDDED}:{self.store.file}"
        self.kept_containers = Containers(self.store)
        self._known: tuple[object, list[Kept]] | None = None

    @property
    def platform(self) -> str:
        return str(host_platform())

    @property
    def keeps_blobs(self) -> bool:
        return True

    # Queries.

    def kept(self) -> list[Kept]:
        """Returns the images, in the order of the index."""
        version = self.store.version
        if self._known is None or self._known[0] != version:
            self._known = version, kept_images(self.store.files(), self.store.entries())
        return self._known[1]

    def find(self, name: str) -> Kept:
        """Returns an image by name, id or a prefix of the id; raises NotFoundError."""
        kept = self.kept()
        found = [each for each in kept if any(same_reference(name, own) for own in each.names)]
        found = found or [each for each in kept if name in each.odd or _was_pulled(each, name)]
        if found:
            return found[0]
        digits = name.rpartition("@")[2].removeprefix("sha256:")
        if len(digits) >= _SHORTEST_ID:
            ids = (each.id for each in kept if _begins(each, digits))
            if len(set(ids)) == 1:
                return next(each for each in kept if _begins(each, digits))
            for image, document in self._unlisted():
                if image.removeprefix("sha256:").startswith(digits):
                    return kept_images(self.store.files(), [document])[0]
        shown = visible(name)
        hint = "`layerscope images embedded:` lists what it has."
        if is_reference(name) and not all(c in "0123456789abcdef" for c in name):
            hint = f"Pull it: layerscope pull {shown}. Or look at it: layerscope docker://{shown}."
        raise NotFoundError(f"{self.name} has no image {shown}.", hint)

    def _unlisted(self) -> Iterator[tuple[str, Document]]:
        """Yields ids of images that builds and containers need, and their entries of an index."""
        for image, descriptor in cached_images(self.store).items():
            yield image, descriptor.document
        for each in self.kept_containers.all():
            yield each.about.image, each.about.manifest

    def images(self, *, sizes: bool = False) -> list[ImageSummary]:
        return summaries(*self._stored())

    def _stored(self) -> tuple[list[StoredImage], dict[str, int]]:
        """Returns the images, each id once, with their layer blobs, and the sizes of the blobs."""
        found: dict[str, StoredImage] = {}
        sizes: dict[str, int] = {}
        for kept in self.kept():
            layers = () if kept.manifest is None else kept.manifest.layers
            sizes |= {layer.digest: layer.size for layer in layers}
            odd = tuple(f"{name}@{kept.descriptor.digest}" for name in kept.odd)
            names = kept.names or odd or kept.pulled
            same = found.get(kept.id)
            found[kept.id] = StoredImage(
                kept.id,
                names if same is None else (*same.names, *names),
                unix_time(kept.image.created if kept.image is not None else None),
                tuple(layer.digest for layer in layers) if same is None else same.layers,
            )
        return list(found.values()), sizes

    def all_images(self) -> Sequence[ListedImage]:
        stored, sizes = self._stored()
        users = Counter(layer for image in stored for layer in set(image.layers))
        return [
            ListedImage(
                id=image.id,
                tags=tuple(name for name in image.names if "@" not in name),
                created=image.created,
                size=sum(sizes[layer] for layer in image.layers),
                shared_size=sum(sizes[layer] for layer in image.layers if users[layer] > 1),
            )
            for image in stored
        ]

    def containers(self, *, sizes: bool = False) -> Sequence[ContainerSummary]:
        return [
            ContainerSummary(
                id=each.about.id,
                name=each.about.name,
                image_id=each.about.image,
                state=each.state,
                image=each.about.image_name,
                created=int(each.about.created),
                size=_written(each) if sizes else None,
            )
            for each in self.kept_containers.all()
        ]

    def inspect_container(self, name: str) -> InspectedContainer:
        about = self.kept_containers.find(name).about
        return InspectedContainer(
            about.id, about.name, about.image, config=ContainerConfig(about.image_name)
        )

    def given_image(self, container: str) -> str:
        return self.kept_containers.find(container).about.image_name

    def info(self) -> Info:
        return Info(driver="oci", folder=str(self.store.folder))

    def inspect(self, name: str, platform: Platform | None = None) -> Inspected:
        kept = self.find(name)
        if kept.image is None or kept.manifest is None:
            # Opening it reports what is wrong.
            self.open(name, "").close()
            raise EngineError(f"{self.name} holds a damaged image, {short_id(kept.id)}.")
        image, manifest = kept.image, kept.manifest
        if platform is not None:
            with closing(self.open(name, "", str(platform))) as reader:
                image, manifest = reader.image, reader.found_manifest
        architecture, _, variant = image.architecture.partition("/")
        config = image.config.get("config")
        return Inspected(
            id=kept.id,
            tags=self._names_of(kept),
            digests=kept.pulled,
            created=image.created or "",
            os=image.os,
            architecture=architecture,
            variant=variant,
            size=sum(layer.size for layer in manifest.layers),
            root=RootFs(tuple(layer.diff_id for layer in image.layers)),
            config=dict(config) if isinstance(config, dict) else {},
            descriptor=DescriptorAnswer(
                kept.descriptor.media_type, kept.descriptor.digest, kept.descriptor.size
            ),
            manifests=tuple(map(_offered, image.platforms)) if len(image.platforms) > 1 else (),
        )

    def _names_of(self, kept: Kept) -> tuple[str, ...]:
        return tuple(name for each in self.kept() if each.id == kept.id for name in each.names)

    def history(self, name: str, platform: Platform | None = None) -> Sequence[HistoryAnswer]:
        with closing(self.open(name, "", None if platform is None else str(platform))) as reader:
            sizes = [layer.size for layer in reader.found_manifest.layers]
            answers = [
                HistoryAnswer(
                    created=unix_time(None if entry is None else entry.created),
                    created_by="" if entry is None else entry.created_by,
                    size=0 if layer is None else sizes[layer],
                    comment="" if entry is None else entry.comment,
                )
                for entry, layer in history_of(reader.image)
            ]
        return answers[::-1]

    def open(self, name: str, source: str, platform: str | None = None) -> EmbeddedReader:
        kept = self.find(name)
        entry = kept.descriptor.document
        reference = next((own for own in kept.names if same_reference(own, name)), kept.reference)
        # A source that works with any current engine.
        source = f"{EMBEDDED}:{reference}"
        return open_entry(self.store.files(), entry, platform, source, reference)

    def export(self, name: str, platform: Platform | None = None) -> Stream:
        pieces = archive_pieces([self.packed(name, platform)], docker=True)
        return reader_of_pieces(pieces), pieces.close

    def packed(self, name: str, platform: Platform | None = None) -> PackedImage:
        """Returns an image as blobs, with all its names, or none if requested by id."""
        kept = self.find(name)
        tags = () if kept.id == name else self._names_of(kept)
        with closing(self.open(name, "", None if platform is None else str(platform))) as reader:
            return pack(self.store, reader, tags)

    @contextmanager
    def held(self, name: str) -> Iterator[PackedImage]:
        """Like `packed`, and protects the blobs during the block."""
        with self.store.lease() as lease:
            packed = self.packed(name)
            for blob in packed.blobs:
                lease.claim(blob.digest)
            yield packed

    def note_digest(self, identifier: str, digest: str) -> None:
        """Records an image's `NAME@DIGEST` in a registry."""
        digests = {each.descriptor.digest for each in self.kept() if each.id == identifier}
        with self.store.changed() as change:
            for entry in change.entries:
                if entry["digest"] in digests:
                    note_pulled(entry, digest)

    def layers_size(self) -> int:
        return sum(self.store.sizes().values())

    @property
    def counts_all(self) -> bool:
        return False  # The layout does not include the containers' changes.

    def freed_by(self, ids: Collection[str], containers: Collection[str] = ()) -> int:
        store, entries = self.store.files(), self.store.entries()
        going = {each.descriptor.digest for each in self.kept() if each.id in ids}
        rest = [each for each in entries if each["digest"] not in going]
        rest += held_entries(self.store, without=containers)
        lost = [each for each in entries if each["digest"] in going]
        lost += container_entries(self.store)
        free = reached(store, lost) - reached(store, rest)
        return sum(size for digest, size in self.store.sizes().items() if digest in free)

    def events(self) -> Events:
        stopped = threading.Event()

        def watch() -> Iterator[EngineEvent]:
            known, states = self.store.version, self._states()
            while not stopped.wait(_POLL):
                if self.store.version != known:
                    known = self.store.version
                    yield EngineEvent("image", "change", "")
                if (now := self._states()) != states:
                    states = now
                    yield EngineEvent("container", "change", "")

        return watch(), stopped.set

    def _states(self) -> dict[str, str]:
        return {each.about.id: each.state for each in self.kept_containers.all()}

    # Changes.

    def commit(self, container: str, request: CommitRequest) -> str:
        found = self.kept_containers.find(container)
        return commit_container(self.store, self.find(found.about.image), found, request)

    def remove_container(self, identifier: str) -> None:
        found = self.kept_containers.find(identifier)
        self.kept_containers.remove(found)
        with self.store.changed() as change:
            self._let_go(change, [found.about.manifest])

    def tag_image(self, identifier: str, name: str) -> None:
        reference = parse_reference(name)
        digest = self.find(identifier).descriptor.digest
        with self.store.changed() as change:
            entry = next((each for each in change.entries if each["digest"] == digest), None)
            if entry is None:
                raise NotFoundError(f"Image {short_id(identifier)} is gone.", "List them again.")
            give_name(change.entries, named(entry, None), reference)

    def remove_image(self, name: str) -> None:
        kept = self.find(name)
        tag = next((own for own in (*kept.names, *kept.odd) if same_reference(own, name)), None)
        names = self._names_of(kept)
        if tag is None and len({own.rpartition(":")[0] for own in names}) > 1:
            raise EngineError(
                f"Image {short_id(kept.id)} has names in several repositories: "
                f"{visible(', '.join(names))}.",
                "Remove it by its names.",
            )
        digests = {each.descriptor.digest for each in self.kept() if each.id == kept.id}
        with self.store.changed() as change:
            before = [each for each in change.entries if each["digest"] in digests]
            if not before:
                raise NotFoundError(f"{self.name} has no image {visible(name)}.")
            if tag is not None:
                take_name(change.entries, tag)
            left = [each for each in change.entries if each["digest"] in digests]
            if tag is None or not any(map(name_of, left)):
                change.entries[:] = [each for each in change.entries if each not in left]
                self._let_go(change, before)

    def _let_go(self, change: Change, before: Sequence[Document]) -> None:
        """Removes blobs that only these entries needed."""
        files = self.store.files()
        needed = [*change.entries, *held_entries(self.store)]
        change.garbage = reached(files, before) - reached(files, needed)

    def garbage(self) -> dict[str, int]:
        """Returns blobs that no image and no running transfer needs, with their sizes."""
        leased = self.store.leased()
        return {digest: size for digest, size in self._unused().items() if digest not in leased}

    def build_cache(self) -> Sequence[CachedStep]:
        """Returns the layers of earlier builds, and unused blobs."""
        unused = self.garbage().items()
        return [
            *cached_layers(self.store),
            *(CachedStep(digest, "left over: no image needs it", size) for digest, size in unused),
        ]

    def remove_cached(self, identifier: str) -> int:
        if identifier not in self._unused():
            return forget_layer(self.store, identifier)
        with self.store.changed() as change:
            change.garbage = {identifier} & self._unused().keys()
        return change.freed

    def _unused(self) -> dict[str, int]:
        """Returns the blobs that neither an image nor an earlier build needs."""
        needed = [*self.store.entries(), *held_entries(self.store)]
        used = reached(self.store.files(), needed)
        return {digest: size for digest, size in self.store.sizes().items() if digest not in used}


def _written(container: Container) -> int | None:
    try:
        return container.run.size()
    except LayerscopeError:
        return None  # It has not run yet, or is being removed.


def _was_pulled(kept: Kept, name: str) -> bool:
    return any(same_reference(own, name) for own in kept.pulled)


def _begins(kept: Kept, digits: str) -> bool:
    return any(each.removeprefix("sha256:").startswith(digits) for each in kept.digests)


def _offered(platform: Platform) -> ManifestAnswer:
    answer = PlatformAnswer(platform.os, platform.architecture, platform.variant)
    return ManifestAnswer("image", True, ImageData(answer))
