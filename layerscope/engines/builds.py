"""Builds by `POST /build`, with Docker's classic builder or Podman, and their leftovers."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from docker.errors import DockerException, NotFound
from requests import Response
from urllib3.exceptions import HTTPError

from layerscope.engines.docker import DockerEngine
from layerscope.engines.errors import one_sentence, translated
from layerscope.engines.messages import messages, stop
from layerscope.errors import BuildFailedError, NotFoundError
from layerscope.records import parse

_LONGEST = 64 << 20  # The most bytes of a message.


class BuildStream:
    """A build by an engine; closing the connection stops it."""

    def __init__(
        self,
        engine: DockerEngine,
        parameters: Mapping[str, str | Sequence[str]],
        context: Iterable[bytes],
    ) -> None:
        """Sends the context, and starts the build.

        Raises EngineError if the engine does not accept it.
        """
        self._host = engine.host
        with translated(self._host):
            self._response = engine.client.post_build(parameters, context)
        if self._response.status_code >= 400:
            raise BuildFailedError(f"The build failed: {_rejection(self._response)}")

    def messages(self) -> Iterator[Mapping[str, Any]]:
        """Yields the engine's messages, until the build ends. Raises EngineError if interrupted."""
        return messages(self._response, self._host, _LONGEST)

    def stop(self) -> None:
        """Stops the build by closing the connection, from any thread or signal handler."""
        stop(self._response)

    def close(self) -> None:
        self._response.close()


def _rejection(response: Response) -> str:
    """Returns why an engine rejected a build; Podman uses other fields than `message`."""
    try:
        text = response.raw.read(1 << 16, decode_content=True).decode("utf-8", "replace")
    except (OSError, HTTPError):
        text = ""
    finally:
        response.close()
    with contextlib.suppress(ValueError):
        document = parse(text.encode("utf-8", "surrogatepass"), dict[str, Any])
        found = (document.get(name) for name in ("message", "cause", "error"))
        text = next((each for each in found if each and isinstance(each, str)), text)
    status = response.status_code
    return one_sentence(text) or f"status {status}. Are the tags and the platform well formed?"


def answers(engine: DockerEngine, seconds: float) -> bool:
    """Whether an engine answers within some seconds."""
    try:
        return engine.client.answers_ping(seconds)
    except (OSError, HTTPError, DockerException):
        return False


def onbuild(engine: DockerEngine, image: str) -> tuple[str, ...]:
    """Returns the ONBUILD instructions of an image. Raises NotFoundError."""
    found = engine.inspect(image).config.get("OnBuild")
    return tuple(map(str, found)) if isinstance(found, list) else ()


def new_images_below(engine: DockerEngine, container: str, known: Collection[str]) -> list[str]:
    """Returns ids of the new images below a container of the classic builder, lowest first.

    Raises NotFoundError if the engine has no such container or image.
    """
    found: list[str] = []
    image = engine.inspect_container(container).image
    while image and image not in known and image not in found:
        found.insert(0, image)
        image = engine.inspect(image).parent
    return found


def has_container(engine: DockerEngine, identifier: str) -> bool:
    with contextlib.suppress(NotFoundError):
        engine.inspect_container(identifier)
        return True
    return False


def remove_build_container(engine: DockerEngine, identifier: str) -> bool:
    """Removes a container, running or not; returns whether it existed."""
    with translated(engine.host), contextlib.suppress(NotFound):
        engine.client.remove_container(identifier, force=True)
        return True
    return False


def remove_build_image(engine: DockerEngine, identifier: str) -> None:
    """Removes an image without names or users, but not its parents."""
    with translated(engine.host), contextlib.suppress(NotFound):
        if not engine.client.inspect_image(identifier).get("RepoTags"):
            engine.client.remove_image(identifier, noprune=True)
