"""The base class of all engines, with defaults for what an engine lacks.

An engine inherits methods that it does not support, which raise an `EngineError`. All methods
raise `EngineError` if the engine does not answer as expected.
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

    id: str
    name: str  # Its first name.
    image_id: str  # Id of its image.
    state: str  # Such as `running` or `exited`.
    image: str = ""  # Its image's name as given by the user, or an id.
    created: int = 0  # Unix time.
    size: int | None = None  # Bytes in its read-write layer; None if unknown.
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CommitRequest:
    """The options of `docker commit`."""

    name: str = ""  # `repository:tag` of the image, or "".
    message: str = ""
    author: str = ""
    pause: bool = True  # Whether to pause the container meanwhile.
    changes: tuple[str, ...] = ()  # Instructions such as `CMD ["sh"]`.
    #: Applies them to a configuration, for an engine that cannot parse them.
    configure: Callable[[dict[str, Any]], None] = field(default=lambda _: None, compare=False)


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """A change in an engine."""

    kind: str  # `image` or `container`.
    action: str  # Such as `tag` or `die`.
    id: str  # Id or name of the image or container.


#: Events as they happen, and a function that ends them, from any thread.
Events = tuple[Iterator[EngineEvent], Callable[[], object]]


class Engine:
    host: str  # Its address.
    name: str  # Its name and version.
    notice: str = ""  # A notice for users when it is listed; safe to show.
    own_store: bool = False  # Whether it is the embedded store.
    transport: str = "docker-daemon"  # The transport of its images in a source.

    @property
    def platform(self) -> str:
        """The default platform of its builds, such as `linux/amd64`, or ""."""
        return ""

    @property
    def is_podman(self) -> bool:
        return self.name.startswith("Podman")

    @property
    def keeps_blobs(self) -> bool:
        """Whether it also keeps layers as pulled, besides the unpacked files (containerd)."""
        return False

    @property
    def takes_parts(self) -> bool:
        """Whether it can load an image without the layers that it already has."""
        return False

    def images(self, *, sizes: bool = False) -> Sequence[ImageSummary]:
        """Returns the engine's images, newest first, once per name; `sizes` adds shared ones."""
        raise self._unsupported("list images")

    def all_images(self) -> Sequence[ListedImage]:
        """Returns all images, including intermediate ones, as in `GET /images/json`."""
        raise self._unsupported("list images")

    def containers(self, *, sizes: bool = False) -> Sequence[ContainerSummary]:
        """Returns all containers, running or not; `sizes` of their own layers are slow."""
        raise self._unsupported("list containers")

    def inspect_container(self, name: str) -> InspectedContainer:
        """`GET /containers/NAME/json`. Raises NotFoundError if there is no such container."""
        raise self._unsupported("inspect containers")

    def given_image(self, container: str) -> str:
        """Returns the image name that a container was created from, even if it has moved."""
        raise self._unsupported("inspect containers")

    def events(self) -> Events:
        """Returns changes of images and containers from now on."""
        raise self._unsupported("report what changes")

    def info(self) -> Info:
        """`GET /info`."""
        raise self._unsupported("describe itself")

    def inspect(self, name: str, platform: Platform | None = None) -> Inspected:
        """`GET /images/NAME/json`.

        `platform` selects one of an image's platforms; without it, a newer engine adds `Manifests`,
        which lists them. Raises NotFoundError if the engine has no such image.
        """
        raise self._unsupported("inspect images")

    def history(self, name: str, platform: Platform | None = None) -> Sequence[HistoryAnswer]:
        """`GET /images/NAME/history`, newest first; see `inspect`."""
        raise self._unsupported("show an image's history")

    def export(self, name: str, platform: Platform | None = None) -> Stream:
        """`GET /images/NAME/get`: the `docker save` stream; see `inspect`."""
        raise self._unsupported("export images")

    def open(self, name: str, source: str, platform: str | None = None) -> ImageReader | None:
        """Opens an image in the engine's own storage; None if it must be found on disk or exported.

        `source` names the reader's image if the engine has no name for it.
        """
        return None

    def search(self, term: str, limit: int) -> Sequence[FoundRepository]:
        """`GET /images/search`: repositories on Docker Hub, or in a registry named in the term."""
        raise self._unsupported("search registries")

    def remove_image(self, name: str) -> None:
        """Removes a name, and the image with its last name, or an image by id; never forces.

        Keeps its parent images. Raises NotFoundError if there is no such image.
        """
        raise self._unsupported("remove images")

    def tag_image(self, identifier: str, name: str) -> None:
        """Tags an image as `repository:tag`; another image with that name loses it."""
        raise self._unsupported("name images")

    def commit(self, container: str, request: CommitRequest) -> str:
        """Commits a container, and returns the image's id. Raises NotFoundError."""
        raise self._unsupported("commit containers")

    def remove_container(self, identifier: str) -> None:
        """Removes a stopped container; keeps its volumes. Raises NotFoundError."""
        raise self._unsupported("remove containers")

    def build_cache(self) -> Sequence[CachedStep]:
        """Returns the entries of its build cache."""
        return ()

    def remove_cached(self, identifier: str) -> int:
        """Removes an entry of the build cache; returns the freed bytes."""
        raise self._unsupported("remove parts of its build cache")

    def layers_size(self) -> int | None:
        """Returns the total bytes of all images' layers, each once; None if not reported."""
        return None

    @property
    def counts_all(self) -> bool:
        """Whether `layers_size` includes containers and build cache."""
        return self.keeps_blobs

    def freed_by(self, ids: Collection[str], containers: Collection[str] = ()) -> int | None:
        """Returns the exact bytes that removing images and containers frees; None if unknown."""
        return None

    @property
    def is_local(self) -> bool:
        """Whether it listens on a local socket, or needs none."""
        return self.own_store or self.host.startswith(("unix://", "http+unix://"))

    @property
    def is_behind_ssh(self) -> bool:
        return self.host.startswith("ssh://")

    def close(self) -> None:
        """Closes the connection."""

    def _unsupported(self, what: str) -> EngineError:
        return EngineError(f"{self.name} cannot {what}.")
