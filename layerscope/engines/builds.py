"""`POST /build`: the classic builder of Docker, and Podman behind the same endpoint."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from docker.errors import DockerException, NotFound
from requests import Response
from urllib3.exceptions import HTTPError

from layerscope.engines.answers import one_sentence, told
from layerscope.engines.docker import Engine
from layerscope.errors import BuildFailedError, EngineError, NotFoundError

#: A message that is longer is none.
_LONGEST = 64 << 20


class BuildStream:
    """A build that an engine does while it is listened to; it stops when nobody does."""

    def __init__(
        self,
        engine: Engine,
        parameters: Mapping[str, str | Sequence[str]],
        context: Iterable[bytes],
    ) -> None:
        """Sends the context, and begins.

        Args:
            engine: The engine.
            parameters: Query parameters of the endpoint.
            context: The build context as a tar stream, in pieces.

        Raises:
            EngineError: The engine does not take it.
        """
        self._host = engine.host
        client = engine.client
        headers = {"Content-Type": "application/x-tar"}
        # Credentials for base images in registries that want some.
        client._set_auth_headers(headers)  # noqa: SLF001
        with told(self._host):
            self._response = client.post(
                client._url("/build"),  # noqa: SLF001
                params={**parameters, "version": "1"},
                data=iter(context),
                headers=headers,
                stream=True,
                timeout=None,
            )
        if self._response.status_code >= 400:
            raise BuildFailedError(f"The build failed: {_said(self._response)}")

    def messages(self) -> Iterator[Mapping[str, Any]]:
        """What the engine says, until the build is over.

        Raises:
            EngineError: The connection broke off.
        """
        rest = b""
        with told(self._host):
            while data := self._response.raw.read1(1 << 16):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    if line.strip():
                        yield self._parsed(line)
                if len(rest) > _LONGEST:
                    raise EngineError(f"The engine at {self._host} sends no end of a message.")
        if rest.strip():
            yield self._parsed(rest)

    def stop(self) -> None:
        """Hangs up, from any thread or signal handler: the engine ends the build."""
        # `shutdown` and not `close`: whoever reads sees an end, and not somebody else's file.
        with contextlib.suppress(OSError, RuntimeError, AttributeError, ValueError):
            self._response.raw.shutdown()

    def close(self) -> None:
        """Lets go of the connection."""
        self._response.close()

    def _parsed(self, line: bytes) -> Mapping[str, Any]:
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            raise EngineError(
                f"The engine at {self._host} sends what is no message of a build.",
                "Check DOCKER_HOST.",
            )
        return message


def _said(response: Response) -> str:
    """Why an engine did not take a build: Docker says so in a `message`, Podman in other fields."""
    try:
        text = response.raw.read(1 << 16, decode_content=True).decode("utf-8", "replace")
    except (OSError, HTTPError):
        text = ""
    finally:
        response.close()
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if isinstance(document, dict):
        found = (document.get(name) for name in ("message", "cause", "error"))
        text = next((said for said in found if said and isinstance(said, str)), text)
    status = response.status_code
    return one_sentence(text) or f"status {status}. Are the tags and the platform well formed?"


def answers(engine: Engine, seconds: float) -> bool:
    """Whether an engine answers at all, within so many seconds."""
    client = engine.client
    try:
        # On a connection of its own or one that is free, as any question.
        return bool(client.get(client._url("/_ping"), timeout=seconds).ok)  # noqa: SLF001
    except (OSError, HTTPError, DockerException):
        return False


def image_ids(engine: Engine) -> frozenset[str]:
    """Ids of all images, those of a build's steps included.

    Raises:
        EngineError: The engine did not answer as it should.
    """
    with told(engine.host):
        entries = engine.client.images(all=True)
    identifiers = (str(entry.get("Id", "")) for entry in entries)
    return frozenset(each if ":" in each else f"sha256:{each}" for each in identifiers)


def onbuild(engine: Engine, image: str) -> tuple[str, ...]:
    """The instructions that an image has for those that build on it.

    Raises:
        NotFoundError: The engine has no such image.
        EngineError: The engine did not answer as it should.
    """
    config = engine.inspect(image).get("Config")
    found = config.get("OnBuild") if isinstance(config, dict) else None
    return tuple(map(str, found)) if isinstance(found, list) else ()


def new_images_below(engine: Engine, container: str, known: Collection[str]) -> list[str]:
    """Ids of images that a container of the classic builder is made of, the lowest first.

    Args:
        engine: The engine.
        container: The container.
        known: Images that were there before, which end the search.

    Raises:
        NotFoundError: The engine has no such container, or no such image.
        EngineError: The engine did not answer as it should.
    """
    found: list[str] = []
    image = engine.inspect_container(container).get("Image")
    while isinstance(image, str) and image and image not in known and image not in found:
        found.insert(0, image)
        image = engine.inspect(image).get("Parent")
    return found


def has_container(engine: Engine, identifier: str) -> bool:
    """Whether an engine has a container.

    Raises:
        EngineError: The engine did not answer as it should.
    """
    try:
        engine.inspect_container(identifier)
    except NotFoundError:
        return False
    return True


def remove_build_container(engine: Engine, identifier: str) -> bool:
    """Removes a container that a stopped build left, running or not.

    Returns:
        Whether it was there.

    Raises:
        EngineError: The engine did not do it.
    """
    with told(engine.host):
        try:
            engine.client.remove_container(identifier, force=True)
        except NotFound:
            return False
    return True


def remove_build_image(engine: Engine, identifier: str) -> None:
    """Removes an image of a build's step, and none below it, if nothing names or uses it.

    Raises:
        EngineError: The engine did not do it.
    """
    with told(engine.host):
        try:
            if not engine.client.inspect_image(identifier).get("RepoTags"):
                engine.client.remove_image(identifier, noprune=True)
        except NotFound:
            return
