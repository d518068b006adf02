"""A Docker-compatible engine: Docker, or Podman behind its Docker API."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, TypeVar

from docker.errors import DockerException, NotFound

from layerscope.engines.address import NO_ENGINE, Address, current_address, default_address
from layerscope.engines.client import Client
from layerscope.engines.engine import CommitRequest, ContainerSummary, Engine, Events, Stream
from layerscope.engines.errors import checked, translated, unreachable
from layerscope.engines.events import events_of
from layerscope.engines.folders import FolderEngine, is_folder
from layerscope.engines.waiting import patiently
from layerscope.errors import EngineError, MissingImageError, NotFoundError
from layerscope.images.answers import (
    ABSENT,
    Change,
    Committed,
    DiskUsage,
    FoundRepository,
    HistoryAnswer,
    Info,
    Inspected,
    InspectedContainer,
    ListedContainer,
    ListedImage,
    PodmanRepository,
    Pruned,
    Version,
)
from layerscope.images.reclaim import CachedStep
from layerscope.images.summary import NONE, ImageSummary, nearest, unix_time
from layerscope.oci.platform import Platform
from layerscope.oci.reference import DEFAULT_DOMAIN, is_reference
from layerscope.records import replace
from layerscope.text import short_id, visible

T = TypeVar("T")

_ID = re.compile("[0-9a-f]{12,64}")  # More likely an id than a name.
_NO_ENGINE = "No engine was found, so this is layerscope's own store."
_THINKING = 60  # Seconds for answers that it may have to compute first, such as sizes.
_API_SHARED_SIZE = (1, 42)  # The first API version with shared sizes in the image list.
_API_DISK_USAGE_TYPES = (1, 42)  # The first that can measure only images.
#: The first that lists the platforms of an image, and can inspect one of them.
_API_PLATFORMS = (1, 49)


class DockerEngine(Engine):
    """A Docker-compatible engine; `client` is for requests in other modules of this package."""

    def __init__(self, address: Address, client: Client) -> None:
        self.address = address
        self.host = address.shown
        self.client = client
        self.name = _name(client.server) or _name_in(self._version)
        self._api = tuple(
            int(n) for n in str(client.api_version).split(".") if n.isdecimal() and len(n) < 9
        )

    @cached_property
    def _version(self) -> Version:
        return checked(self.client.version(), Version, self.host)

    @property
    def platform(self) -> str:
        with self._asking():
            parts = (visible(self._version.os), visible(self._version.arch))
        return "/".join(parts) if all(parts) else ""

    @property
    def takes_parts(self) -> bool:
        return not (self.is_podman or self.keeps_blobs)

    def images(self, *, sizes: bool = False) -> list[ImageSummary]:
        shared: Mapping[str, int] = {}
        # Podman's list has 0 for all; its `df` counts the steps of an image's own build as sharing.
        if sizes and self._api < _API_SHARED_SIZE and not self.is_podman:
            shared = {image.id: image.shared_size for image in self._disk_usage().images}
        entries = self._images(**({"shared-size": "1"} if sizes else {}))
        if self.is_podman:
            entries = [replace(entry, shared_size=ABSENT) for entry in entries]
        elif sizes:
            from layerscope.engines.sharing import shared_beside_steps

            beside = shared_beside_steps(self, entries)
            entries = [replace(e, shared_size=beside.get(e.id, e.shared_size)) for e in entries]
        lines = [line for entry in entries for line in _summaries(entry, shared)]
        return sorted(lines, key=lambda line: (-line.created, line.repository, line.tag))

    def all_images(self) -> Sequence[ListedImage]:
        return self._images(all="1")

    def _images(self, **parameters: str) -> list[ListedImage]:
        with self._asking():
            answer = self.client.get_json("/images/json", **parameters)
            entries = checked(answer, list[ListedImage], self.host)
        return [replace(entry, id=with_algorithm(entry.id)) for entry in entries]

    def _disk_usage(self) -> DiskUsage:
        with self._asking():
            return checked(self.client.get_json("/system/df"), DiskUsage, self.host)

    def search(self, term: str, limit: int) -> list[FoundRepository]:
        with self._asking():
            answer = self.client.get_json("/images/search", term=term, limit=str(limit))
            if not self.is_podman:
                return checked(answer, list[FoundRepository], self.host)
            found = checked(answer, list[PodmanRepository], self.host)
        return [
            FoundRepository(
                each.name.removeprefix(f"{DEFAULT_DOMAIN}/").removeprefix("library/"),
                each.description,
                each.stars,
                bool(each.official),
                bool(each.automated),
            )
            for each in found
        ]

    def remove_image(self, name: str) -> None:
        with self._asking():
            try:
                self.client.remove_image(name, noprune=True)
            except NotFound:
                raise NotFoundError(f"{self.name} has no image {visible(name)}.") from None

    @property
    def keeps_blobs(self) -> bool:
        # For `GET /info`, Podman queries dpkg or rpm.
        return not self.is_podman and self.info().snapshotter

    def tag_image(self, identifier: str, name: str) -> None:
        repository, _, tag = name.rpartition(":")
        with self._asking():
            # Podman does not move a name without `force`.
            self.client.tag(identifier, repository, tag, force=True)

    def commit(self, container: str, request: CommitRequest) -> str:
        repository, _, tag = request.name.rpartition(":")
        with translated(self.host):
            try:
                answer = self.client.post_json(
                    "/commit",
                    container=container,
                    repo=repository,
                    tag=tag,
                    comment=request.message,
                    author=request.author,
                    pause=str(int(request.pause)),
                    changes=request.changes,
                )
            except NotFound:
                raise NotFoundError(f"There is no container {short_id(container)}.") from None
            return with_algorithm(checked(answer, Committed, self.host).id)

    def remove_container(self, identifier: str) -> None:
        with self._asking():
            try:
                self.client.remove_container(identifier)
            except NotFound:
                raise NotFoundError(f"There is no container {short_id(identifier)}.") from None

    def build_cache(self) -> Sequence[CachedStep]:
        return [
            CachedStep(
                each.id,
                each.description,
                max(0, each.size),
                max(unix_time(each.created), unix_time(each.used)),
                each.in_use,
                each.shared,
                each.parents or tuple(filter(None, [each.parent])),
            )
            for each in self._disk_usage().cache
        ]

    def remove_cached(self, identifier: str) -> int:
        # The filter is a regular expression.
        filters = json.dumps({"id": [f"^{re.escape(identifier)}$"]})
        with self._asking():
            answer = self.client.post_json("/build/prune", all="1", filters=filters)
            return max(0, checked(answer, Pruned, self.host).reclaimed)

    def layers_size(self) -> int | None:
        # Measuring containers and volumes, too, would be slow.
        only = {"type": "image"} if self._api >= _API_DISK_USAGE_TYPES else {}
        with self._asking():
            answer = self.client.get_json("/system/df", **only)
            size = checked(answer, DiskUsage, self.host).layers_size
        # Podman always reports 0.
        return size if size >= 0 and not self.is_podman else None

    def events(self) -> Events:
        with translated(self.host):
            return events_of(self.client, self.host)

    def containers(self, *, sizes: bool = False) -> list[ContainerSummary]:
        with self._asking():
            asked = {"size": "1"} if sizes else {}
            answer = self.client.get_json("/containers/json", all="1", **asked)
            entries = checked(answer, list[ListedContainer], self.host)
        return [
            ContainerSummary(
                id=entry.id,
                name=next(iter(entry.names), entry.id).lstrip("/"),
                image_id=with_algorithm(entry.image),
                state=entry.state,
                image=entry.image_name,
                created=unix_time(entry.created),
                size=entry.size if sizes and entry.size >= 0 else None,
                labels=texts(entry.labels),
            )
            for entry in entries
        ]

    def inspect(self, name: str, platform: Platform | None = None) -> Inspected:
        parameters = _platform_parameter(platform)
        if platform is None and self._api >= _API_PLATFORMS:
            parameters["manifests"] = "1"
        shown = visible(name)
        message = f"{self.name} has no image {shown}."
        missing = NotFoundError(message, "`layerscope images` lists what it has.")
        named = is_reference(name) and not _ID.fullmatch(name)
        if named:
            hint = f"Pull it: layerscope pull {shown}. Or look at it: layerscope docker://{shown}."
            missing = MissingImageError(message, hint, name)
        try:
            return self._inspected("/images/{0}/json", name, missing, parameters, Inspected)
        except NotFoundError:
            if named and (near := nearest(name, [image.name for image in self.images()])):
                missing.hint = f"Did you mean {visible(near)}? Or pull it: layerscope pull {shown}."
            raise

    def history(self, name: str, platform: Platform | None = None) -> Sequence[HistoryAnswer]:
        with self._asking():
            parameters = _platform_parameter(platform)
            answer = self.client.get_json("/images/{0}/history", name, **parameters)
            return checked(answer, list[HistoryAnswer], self.host)

    def export(self, name: str, platform: Platform | None = None) -> Stream:
        return self._stream("/images/{0}/get", name, _platform_parameter(platform))

    def info(self) -> Info:
        with self._asking():
            return checked(self.client.info(), Info, self.host)

    def given_image(self, container: str) -> str:
        return self.inspect_container(container).config.image

    def inspect_container(self, name: str) -> InspectedContainer:
        missing = NotFoundError(
            f"{self.name} has no container {visible(name)}.", "`docker ps --all` lists what it has."
        )
        return self._inspected("/containers/{0}/json", name, missing, {}, InspectedContainer)

    def container_changes(self, identifier: str) -> Sequence[Change]:
        """Returns the paths that differ from the image."""
        with self._asking():
            return checked(self.client.diff(identifier), list[Change], self.host)

    def export_container(self, identifier: str) -> Stream:
        """`GET /containers/ID/export`: all files that a container sees, as a tar stream."""
        return self._stream("/containers/{0}/export", identifier)

    def container_file(self, identifier: str, path: bytes) -> Stream:
        """`GET /containers/ID/archive`: one path of a container as a tar stream."""
        return self._stream("/containers/{0}/archive", identifier, {"path": path})

    @contextmanager
    def _asking(self) -> Iterator[None]:
        with translated(self.host), patiently(f"the engine at {self.host}"):
            yield

    def _inspected(
        self,
        path: str,
        name: str,
        missing: NotFoundError,
        parameters: Mapping[str, str],
        kind: type[T],
    ) -> T:
        with self._asking():
            try:
                answer = self.client.get_json(path, name, **parameters)
            # The latter for a name that is not UTF-8, which no engine has.
            except (NotFound, UnicodeEncodeError):
                raise missing from None
            return checked(answer, kind, self.host)

    def _stream(
        self, path: str, name: str, parameters: Mapping[str, str | bytes] | None = None
    ) -> Stream:
        with self._asking():
            response = self.client.open_stream(path, name, parameters)

        def read(size: int) -> bytes:
            with translated(self.host):
                data: bytes = response.raw.read(size, decode_content=False)
                return data

        return read, response.close

    def close(self) -> None:
        self.client.close()


def connect(address: Address | None = None) -> DockerEngine:
    """Connects to an engine, by default the current one.

    Raises EngineError if there is none, access is denied, or it does not answer.
    """
    address = address or current_address()
    if address.why == NO_ENGINE:
        raise unreachable(default_address(), FileNotFoundError(errno.ENOENT, ""))
    if not address.listens:
        raise EngineError(
            f"This needs a running engine; {address.shown} only stores images.",
            "Choose one with --engine; `layerscope engines` lists them.",
        )
    with translated(address.shown), patiently(f"the engine at {address.shown}"):
        try:
            client = Client(address)
        except (DockerException, ValueError) as error:
            raise unreachable(address, error) from None
        except (TypeError, AttributeError, RecursionError):
            raise EngineError(
                "Docker's config.json is damaged.", "Repair it, or set DOCKER_CONFIG to a folder."
            ) from None
    with translated(address.shown), patiently(f"the engine at {address.shown}"):
        engine = DockerEngine(address, client)
    # Later requests may take longer than the first.
    client.timeout = _THINKING
    return engine


def connect_any(address: Address | None = None) -> Engine:
    """Like `connect`, but also opens a data folder, read-only, or the embedded store."""
    address = address or current_address()
    if address.listens:
        return connect(address)
    if is_folder(address.host):
        return FolderEngine(address.host)
    # Not at the top: a build need not wait for numpy.
    from layerscope.engines.embedded.engine import EmbeddedEngine

    return EmbeddedEngine(notice=_NO_ENGINE if address.why == NO_ENGINE else "")


def _name(server: str) -> str:
    """Returns an engine's name from its `Server` header; "" if it is not an engine's."""
    found = re.match(r"(Docker|Libpod)/(\S+)", server)
    if found is None:
        return ""
    return f"{'Podman' if found[1] == 'Libpod' else found[1]} {visible(found[2])}"


def _name_in(version: Version) -> str:
    number = visible(version.version)
    for component in version.components:
        if "podman" in component.name.lower():
            return f"Podman {visible(component.version) or number}"
    return f"Docker {number}".rstrip()


def _platform_parameter(platform: Platform | None) -> dict[str, str]:
    return {} if platform is None else {"platform": json.dumps(platform.document)}


def with_algorithm(identifier: str) -> str:
    """Returns an id in Docker's form; Podman sometimes omits the algorithm."""
    return identifier if ":" in identifier or not identifier else f"sha256:{identifier}"


def texts(labels: Mapping[str, Any]) -> dict[str, str]:
    """Returns labels with all values as text."""
    return {name: value for name, value in labels.items() if isinstance(value, str)}


def _summaries(entry: ListedImage, shared: Mapping[str, int]) -> Iterator[ImageSummary]:
    # Older engines always list shared sizes as -1.
    shared_size = entry.shared_size if entry.shared_size >= 0 else shared.get(entry.id, ABSENT)
    known = shared_size >= 0
    tags = [tag for tag in entry.tags if tag != f"{NONE}:{NONE}"]
    digests = [d for d in entry.digests if not d.startswith(NONE)]
    names = [(tag.rpartition(":")[0], tag.rpartition(":")[2]) for tag in tags]
    if not names:
        # An image whose tag moved to a newer build keeps its repository.
        names = [(digests[0].partition("@")[0], NONE)] if digests else [(NONE, NONE)]
    for repository, tag in names:
        yield ImageSummary(
            repository=repository,
            tag=tag,
            id=entry.id,
            created=unix_time(entry.created),
            size=entry.size,
            shared_size=shared_size if known else None,
            unique_size=max(0, entry.size - shared_size) if known else None,
        )
