"""A Docker-compatible engine: Docker, or Podman behind its Docker API."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import docker
from docker.errors import DockerException, NotFound

from layerscope.engines.address import Address, current_address
from layerscope.engines.answers import objects, told, unreachable
from layerscope.engines.client import new_client
from layerscope.engines.waiting import patiently
from layerscope.errors import EngineError, NotFoundError
from layerscope.images.stored import NONE, unix_time
from layerscope.images.stored import ImageSummary as ImageSummary
from layerscope.oci.platform import Platform
from layerscope.text import visible

#: Seconds in which it answers what it may have to look up first, such as sizes.
_THINKING = 60
#: Since this version of the API the image list can carry shared sizes.
_API_SHARED_SIZE = (1, 42)
#: Since this one it can be asked about one platform of several, and tells which there are.
_API_PLATFORMS = (1, 49)


@dataclass(frozen=True, slots=True)
class ContainerSummary:
    """One line of `docker ps --all`.

    Attributes:
        id: Id of the container.
        name: Its first name.
        image_id: Id of its image.
        state: Such as `running` or `exited`.
    """

    id: str
    name: str
    image_id: str
    state: str


class Engine:
    """A connection to an engine.

    Attributes:
        host: Where it listens.
        name: What it is, with its version.
        platform: The platform that it builds for by itself, such as `linux/amd64`.
    """

    def __init__(self, address: Address, client: docker.APIClient) -> None:
        self.host = address.host
        self._client = client
        version = client.version()
        self.name = _name(version)
        self.platform = _platform(version)
        self._api = tuple(
            int(n) for n in str(client.api_version).split(".") if n.isdecimal() and len(n) < 9
        )

    @property
    def client(self) -> docker.APIClient:
        """What docker-py offers, for requests that are made in other modules of this package."""
        return self._client

    @property
    def is_podman(self) -> bool:
        """Whether it is Podman, behind Docker's API."""
        return self.name.startswith("Podman")

    def images(self, *, sizes: bool = False) -> list[ImageSummary]:
        """The images that the engine has, newest first, a line for each of their names.

        Args:
            sizes: Whether to ask for shared sizes too, which takes an engine longer.

        Raises:
            EngineError: The engine did not answer as it should.
        """
        with self._asking():
            shared: Mapping[str, int] = {}
            if sizes and self._api < _API_SHARED_SIZE and not self.is_podman:
                shared = {
                    with_algorithm(str(entry.get("Id"))): int(entry.get("SharedSize", -1))
                    for entry in self._client.df().get("Images") or []
                }
            parameters = {"shared-size": "1"} if sizes else {}
            # docker-py's images() has no way to ask for shared sizes.
            entries = objects(self._get("/images/json", **parameters), self.host)
        if self.is_podman:
            # Podman's list has 0 for all; its `df` counts the steps of an image's own build.
            shared, entries = {}, [{**entry, "SharedSize": -1} for entry in entries]
        lines = [line for entry in entries for line in _summaries(entry, shared)]
        return sorted(lines, key=lambda line: (-line.created, line.repository, line.tag))

    def all_images(self) -> Sequence[Mapping[str, Any]]:
        """`GET /images/json?all=1`: those too that others were built on.

        Raises:
            EngineError: The engine did not answer as it should.
        """
        with self._asking():
            entries = objects(self._get("/images/json", all="1"), self.host)
        return [{**entry, "Id": with_algorithm(str(entry.get("Id", "")))} for entry in entries]

    def remove_image(self, name: str) -> None:
        """`DELETE /images/NAME`: takes a name away, and with the last one the image; never forces.

        Args:
            name: A name or an id.

        Raises:
            NotFoundError: There is no such image.
            EngineError: The engine refused.
        """
        with self._asking():
            try:
                self._client.remove_image(name)
            except NotFound:
                raise NotFoundError(f"{self.name} has no image {visible(name)}.") from None

    @property
    def keeps_blobs(self) -> bool:
        """Whether it keeps layers as they were shipped too, beside their files (containerd)."""
        return any(
            len(entry) == 2 and str(entry[1]).startswith("io.containerd.snapshotter")
            for entry in self.info().get("DriverStatus") or []
        )

    def cache_shares_layers(self) -> bool:
        """Whether a build cache holds layers of images.

        Raises:
            EngineError: The engine did not answer as it should.
        """
        with self._asking():
            entries = self._client.df().get("BuildCache") or []
        return any(entry.get("Shared") for entry in entries)

    def containers(self) -> list[ContainerSummary]:
        """All containers, running or not.

        Raises:
            EngineError: The engine did not answer as it should.
        """
        with self._asking():
            entries = self._client.containers(all=True)
        return [
            ContainerSummary(
                id=str(entry.get("Id", "")),
                name=str((entry.get("Names") or [entry.get("Id", "")])[0]).lstrip("/"),
                image_id=with_algorithm(str(entry.get("ImageID", ""))),
                state=str(entry.get("State", "")),
            )
            for entry in entries
        ]

    def inspect(self, name: str, platform: Platform | None = None) -> Mapping[str, Any]:
        """`GET /images/NAME/json`.

        Args:
            name: Name or id of an image.
            platform: One of several that it is there for; without one, a newer engine adds
                `Manifests`, which names them.

        Raises:
            NotFoundError: The engine has no such image.
            EngineError: It did not answer as it should.
        """
        parameters = _platform_parameter(platform)
        if platform is None and self._api >= _API_PLATFORMS:
            parameters["manifests"] = "1"
        missing = NotFoundError(
            f"{self.name} has no image {visible(name)}.", "`layerscope images` lists what it has."
        )
        return self._inspected("/images/{0}/json", name, missing, parameters)

    def history(self, name: str, platform: Platform | None = None) -> Sequence[Mapping[str, Any]]:
        """`GET /images/NAME/history`, newest first; see `inspect`.

        Raises:
            EngineError: The engine did not answer as it should.
        """
        with self._asking():
            answer = self._get("/images/{0}/history", name, **_platform_parameter(platform))
            return objects(answer, self.host)  # An image need not have one.

    def export(
        self, name: str, platform: Platform | None = None
    ) -> tuple[Callable[[int], bytes], Callable[[], None]]:
        """`GET /images/NAME/get`: the `docker save` stream; see `inspect`.

        Returns:
            A function that reads up to so many bytes, and one that ends the export.

        Raises:
            EngineError: The engine did not answer as it should.
        """
        return self._stream("/images/{0}/get", name, _platform_parameter(platform))

    def info(self) -> Mapping[str, Any]:
        """`GET /info`.

        Raises:
            EngineError: The engine did not answer as it should.
        """
        with self._asking():
            answer: Mapping[str, Any] = self._client.info()
            return answer

    def inspect_container(self, name: str) -> Mapping[str, Any]:
        """`GET /containers/NAME/json`.

        Raises:
            NotFoundError: The engine has no such container.
            EngineError: It did not answer as it should.
        """
        missing = NotFoundError(
            f"{self.name} has no container {visible(name)}.", "`docker ps --all` lists what it has."
        )
        return self._inspected("/containers/{0}/json", name, missing, {})

    def container_changes(self, identifier: str) -> Sequence[Mapping[str, Any]]:
        """`GET /containers/ID/changes`: paths that differ from the image.

        Raises:
            EngineError: The engine did not answer as it should.
        """
        with self._asking():
            return objects(self._client.diff(identifier), self.host)

    def export_container(
        self, identifier: str
    ) -> tuple[Callable[[int], bytes], Callable[[], None]]:
        """`GET /containers/ID/export`: all files that a container sees, as a tar stream.

        Returns:
            A function that reads up to so many bytes, and one that ends the export.

        Raises:
            EngineError: The engine did not answer as it should.
        """
        return self._stream("/containers/{0}/export", identifier)

    def container_file(
        self, identifier: str, path: bytes
    ) -> tuple[Callable[[int], bytes], Callable[[], None]]:
        """`GET /containers/ID/archive`: one path of a container as a tar stream.

        Returns:
            A function that reads up to so many bytes, and one that ends the stream.

        Raises:
            EngineError: The engine did not answer as it should.
        """
        return self._stream("/containers/{0}/archive", identifier, {"path": path})

    @contextmanager
    def _asking(self) -> Iterator[None]:
        with told(self.host), patiently(f"the engine at {self.host}"):
            yield

    def _get(self, path: str, *names: str, **parameters: str) -> Any:
        """The JSON at a path: docker-py's own methods do not have all of the parameters."""
        url = self._client._url(path, *names)  # noqa: SLF001
        response = self._client._get(url, params=parameters)  # noqa: SLF001
        return self._client._result(response, True)  # noqa: SLF001

    def _inspected(
        self, path: str, name: str, missing: NotFoundError, parameters: Mapping[str, str]
    ) -> Mapping[str, Any]:
        with self._asking():
            try:
                answer = self._get(path, name, **parameters)
            # The latter where a name has bytes that are no UTF-8, as no engine has any.
            except (NotFound, UnicodeEncodeError):
                raise missing from None
            return objects([answer], self.host)[0]

    def _stream(
        self, path: str, name: str, parameters: Mapping[str, str | bytes] | None = None
    ) -> tuple[Callable[[int], bytes], Callable[[], None]]:
        with self._asking():
            url = self._client._url(path, name)  # noqa: SLF001
            url += f"?{urlencode(parameters, quote_via=quote)}" if parameters else ""
            # docker-py hands out pieces of a fixed size; the response below it can be read into
            # whatever the tar scanner has room for; that is, if it does not come compressed.
            response = self._client._get(  # noqa: SLF001
                url, stream=True, timeout=None, headers={"Accept-Encoding": "identity"}
            )
            self._client._raise_for_status(response)  # noqa: SLF001

        def read(size: int) -> bytes:
            with told(self.host):
                data: bytes = response.raw.read(size, decode_content=False)
                return data

        return read, response.close

    def close(self) -> None:
        """Closes the connection."""
        self._client.close()


def connect(address: Address | None = None) -> Engine:
    """Connects to an engine.

    Args:
        address: Where; None for the current one.

    Raises:
        EngineError: There is none, it does not let us in, or it does not answer.
    """
    address = address or current_address()
    with told(address.host), patiently(f"the engine at {address.host}"):
        try:
            client = new_client(address)
        except (DockerException, ValueError) as error:
            raise unreachable(address, error) from None
        except (TypeError, AttributeError):
            raise EngineError(
                "Docker's config.json is damaged.", "Mend it, or set DOCKER_CONFIG to a folder."
            ) from None
        engine = Engine(address, client)
    # Any other question may be one that it has to think about.
    client.timeout = _THINKING
    return engine


def _name(version: Mapping[str, Any]) -> str:
    number = visible(str(version.get("Version", "")))
    for component in version.get("Components") or []:
        if "podman" in str(component.get("Name", "")).lower():
            return f"Podman {visible(str(component.get('Version', number)))}"
    return f"Docker {number}".rstrip()


def _platform(version: Mapping[str, Any]) -> str:
    system, architecture = (visible(str(version.get(key, ""))) for key in ("Os", "Arch"))
    return f"{system}/{architecture}" if system and architecture else ""


def _platform_parameter(platform: Platform | None) -> dict[str, str]:
    return {} if platform is None else {"platform": json.dumps(platform.document)}


def with_algorithm(identifier: str) -> str:
    """An id as Docker writes it; Podman leaves the algorithm out in some places."""
    return identifier if ":" in identifier or not identifier else f"sha256:{identifier}"


def _summaries(entry: Mapping[str, Any], shared: Mapping[str, int]) -> Iterator[ImageSummary]:
    identifier = with_algorithm(str(entry.get("Id", "")))
    size = int(entry.get("Size") or 0)
    shared_size = int(entry.get("SharedSize", -1))
    if shared_size < 0:
        # Old engines have the key in the list too, but always with -1.
        shared_size = shared.get(identifier, -1)
    known = shared_size >= 0
    tags = [tag for tag in entry.get("RepoTags") or [] if tag != f"{NONE}:{NONE}"]
    digests = [d for d in entry.get("RepoDigests") or [] if not d.startswith(NONE)]
    names = [(tag.rpartition(":")[0], tag.rpartition(":")[2]) for tag in tags]
    if not names:
        # An image that lost its tag to a newer build keeps its repository.
        names = [(digests[0].partition("@")[0], NONE)] if digests else [(NONE, NONE)]
    for repository, tag in names:
        yield ImageSummary(
            repository=repository,
            tag=tag,
            id=identifier,
            created=unix_time(entry.get("Created")),
            size=size,
            shared_size=shared_size if known else None,
            unique_size=max(0, size - shared_size) if known else None,
        )
