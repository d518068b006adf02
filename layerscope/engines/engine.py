"""What an engine can do: the base of every engine, with what an engine lacks filled in.

An engine that cannot do something inherits the method from here, which raises an `EngineError` that
says so. All methods raise `EngineError` if the engine does not answer as it should.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from layerscope.errors import EngineError
from layerscope.images.answers import (
    FoundRepository,
    HistoryAnswer,
    Info,
    Inspected,
    InspectedContainer,
    ListedImage,
)
from layerscope.oci.platform import Platform

if TYPE_CHECKING:
    from layerscope.images.reader import ImageReader
    from layerscope.images.reclaim import CachedStep
    from layerscope.images.summary import ImageSummary

#: A stream: a function that reads up to a number of bytes, and one that ends the stream.
Stream = tuple[Callable[[int], bytes], Callable[[], None]]


@dataclass(frozen=True, slots=True)
class ContainerSummary:
    """One line of `docker ps --all`."""

    id: str  # Id of the container.
    name: str  # Its first name.
    image_id: str  # Id of its image.
    state: str  # Such as `running` or `exited`.
    image: str = ""  # Its image's name as it was given, or an id.
    created: int = 0  # Unix time.
    size: int | None = None  # Bytes in its read-write layer; None if that was not asked or said.
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CommitRequest:
    """What `docker commit` is asked for."""

    name: str = ""  # `repository:tag` that the image gets; empty for none.
    message: str = ""
    author: str = ""
    pause: bool = True  # Whether the container is paused meanwhile.
    changes: tuple[str, ...] = ()  # Instructions such as `CMD ["sh"]`.
    #: Applies them to a configuration, for an engine that cannot read them.
    configure: Callable[[dict[str, Any]], None] = field(default=lambda _: None, compare=False)


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """Something that has changed in an engine."""

    kind: str  # `image` or `container`.
    action: str  # Such as `tag` or `die`.
    id: str  # Id or name of the image or container.


#: Events as they happen, and a function that ends them, from any thread.
Events = tuple[Iterator[EngineEvent], Callable[[], object]]


class Engine:
    host: str  # Where it listens.
    name: str  # What it is, with its version.
    notice: str = ""  # What users should know of it when it is listed; safe to show.
    own_store: bool = False  # Whether it is layerscope's own store.
    transport: str = "docker-daemon"  # What precedes its images' names in a source.

    @property
    def platform(self) -> str:
        """The platform that it builds for by default, such as `linux/amd64`; empty if unknown."""
        return ""

    @property
    def is_podman(self) -> bool:
        return self.name.startswith("Podman")

    @property
    def keeps_blobs(self) -> bool:
        """Whether it also keeps layers as they were pulled, next to their files (containerd)."""
        return False

    @property
    def takes_parts(self) -> bool:
        """Whether it loads an image without the layers that it has unpacked."""
        return False

    def images(self, *, sizes: bool = False) -> Sequence[ImageSummary]:
        """The engine's images, newest first, a line for each name; with shared sizes if asked."""
        raise self._unsupported("list images")

    def all_images(self) -> Sequence[ListedImage]:
        """All images, including those that others were built on, as `GET /images/json` has them."""
        raise self._unsupported("list images")

    def containers(self, *, sizes: bool = False) -> Sequence[ContainerSummary]:
        """All containers, running or not; with the sizes of their own layers if asked: slow."""
        raise self._unsupported("list containers")

    def inspect_container(self, name: str) -> InspectedContainer:
        """`GET /containers/NAME/json`. Raises NotFoundError if there is no such container."""
        raise self._unsupported("inspect containers")

    def given_image(self, container: str) -> str:
        """The name of an image that a container was made from, whatever it names by now."""
        raise self._unsupported("inspect containers")

    def events(self) -> Events:
        """What changes from now on: images and containers that come, change and go."""
        raise self._unsupported("report what changes")

    def info(self) -> Info:
        """`GET /info`."""
        raise self._unsupported("describe itself")

    def inspect(self, name: str, platform: Platform | None = None) -> Inspected:
        """`GET /images/NAME/json`.

        `platform` is one of the platforms of an image for several; without one, a newer engine adds
        `Manifests`, which lists them. Raises NotFoundError if the engine has no such image.
        """
        raise self._unsupported("inspect images")

    def history(self, name: str, platform: Platform | None = None) -> Sequence[HistoryAnswer]:
        """`GET /images/NAME/history`, newest first; see `inspect`."""
        raise self._unsupported("show an image's history")

    def export(self, name: str, platform: Platform | None = None) -> Stream:
        """`GET /images/NAME/get`: the `docker save` stream; see `inspect`."""
        raise self._unsupported("export images")

    def open(self, name: str, source: str, platform: str | None = None) -> ImageReader | None:
        """Opens an image where the engine keeps it; None if it must be found on disk, or exported.

        `source` is what the reader's image is to be called, if the engine has no name of its own.
        """
        return None

    def search(self, term: str, limit: int) -> Sequence[FoundRepository]:
        """`GET /images/search`: repositories of Docker Hub, or of a registry named in the term."""
        raise self._unsupported("search registries")

    def remove_image(self, name: str) -> None:
        """Removes a name, and the image with its last name, or an image by its id; never forces.

        Images that it was built on stay.

        Raises NotFoundError if there is no such image.
        """
        raise self._unsupported("remove images")

    def tag_image(self, identifier: str, name: str) -> None:
        """Gives an image a name `repository:tag`, and takes it from the image that has it."""
        raise self._unsupported("name images")

    def commit(self, container: str, request: CommitRequest) -> str:
        """Makes an image of a container, and returns its id. Raises NotFoundError."""
        raise self._unsupported("commit containers")

    def remove_container(self, identifier: str) -> None:
        """Removes a container that does not run; its volumes stay. Raises NotFoundError."""
        raise self._unsupported("remove containers")

    def build_cache(self) -> Sequence[CachedStep]:
        """The entries of its build cache."""
        return ()

    def remove_cached(self, identifier: str) -> int:
        """Removes an entry of the build cache; returns the bytes that this freed."""
        raise self._unsupported("remove parts of its build cache")

    def layers_size(self) -> int | None:
        """Bytes that the layers of all images take, each once; None if the engine does not say."""
        return None

    @property
    def counts_all(self) -> bool:
        """Whether `layers_size` has containers and build cache, too."""
        return self.keeps_blobs

    def freed_by(self, ids: Collection[str], containers: Collection[str] = ()) -> int | None:
        """Bytes of layers and documents that removing images and containers frees exactly.

        None if that must be worked out.
        """
        return None

    @property
    def is_local(self) -> bool:
        """Whether it listens on a socket of this host, or needs none."""
        return self.own_store or self.host.startswith(("unix://", "http+unix://"))

    @property
    def is_behind_ssh(self) -> bool:
        return self.host.startswith("ssh://")

    def close(self) -> None:
        """Closes the connection."""

    def _unsupported(self, what: str) -> EngineError:
        return EngineError(f"{self.name} cannot {what}.")
