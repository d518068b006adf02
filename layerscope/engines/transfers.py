"""Pulls, pushes and loads by an engine.

`POST /images/create`, `POST /images/NAME/push` and `POST /images/load`.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from requests import Response

from layerscope.engines.docker import DockerEngine
from layerscope.engines.errors import one_sentence, translated
from layerscope.engines.messages import messages, stop
from layerscope.errors import EngineError
from layerscope.images.archives.writing import PackedImage
from layerscope.images.registry.credentials import Credentials, find_credentials, server_of
from layerscope.oci.reference import Reference

_LONGEST = 1 << 20  # Bytes of a message.
_FULL = "no space left"
_MAKE_ROOM = "Make room where the engine keeps its data: `layerscope rm`."


def loaded_name(engine: DockerEngine, image: PackedImage) -> str:
    """Returns a name or id by which an engine finds an image that it has loaded."""
    return image.top.digest if engine.keeps_blobs else image.config.digest


class TransferStream:
    """A transfer by an engine; closing the connection stops it."""

    def __init__(self, engine: DockerEngine, response: Response) -> None:
        self._host = engine.host
        self._response = response

    def messages(self) -> Iterator[Mapping[str, Any]]:
        """Yields the engine's messages until the end. Raises EngineError if interrupted."""
        return messages(self._response, self._host, _LONGEST)

    def stop(self) -> None:
        """Closes the connection, from any thread or signal handler."""
        stop(self._response)

    def close(self) -> None:
        self._response.close()


def pull(engine: DockerEngine, reference: Reference, platform: str) -> TransferStream:
    """Starts a pull. Raises EngineError if the engine refuses it."""
    name = f"{reference.domain}/{reference.path}"
    parameters = {"fromImage": name, "tag": reference.digest or reference.tag or ""}
    if platform:
        parameters["platform"] = platform
    return _start(engine, "/images/create", "", parameters, reference)


def push(engine: DockerEngine, reference: Reference) -> TransferStream:
    """Starts a push. Raises EngineError if the engine refuses it."""
    parameters = {"tag": reference.tag or ""}
    return _start(engine, "/images/{0}/push", reference.repository, parameters, reference)


def load(engine: DockerEngine, pieces: Iterable[bytes]) -> TransferStream:
    """Sends the engine a `docker save` archive; returns its messages while it unpacks.

    Raises EngineError if the engine refuses it.
    """
    try:
        with translated(engine.host):
            return TransferStream(engine, engine.client.post_load(pieces))
    except EngineError as error:
        # Podman reports a full disk in the middle of other errors about the archive.
        if _FULL in error.message:
            raise _not_loaded(engine.name, f"{_FULL} on device") from None
        raise


def loaded(messages: Iterable[Mapping[str, Any]], name: str) -> None:
    """Reads all messages of a load; raises EngineError if it failed."""
    for message in messages:
        if "error" in message or "errorDetail" in message:
            detail = message.get("errorDetail")
            said = detail.get("message") if isinstance(detail, Mapping) else None
            reason = one_sentence(str(said or message.get("error") or "it gave no reason"))
            raise _not_loaded(name, reason)


def _not_loaded(name: str, reason: str) -> EngineError:
    hint = _MAKE_ROOM if _FULL in reason else ""
    return EngineError(f"{name} cannot load the image: {reason}.", hint)


def _start(
    engine: DockerEngine,
    path: str,
    name: str,
    parameters: Mapping[str, str],
    reference: Reference,
) -> TransferStream:
    found = find_credentials(reference.domain, reference.path).credentials
    headers = {"X-Registry-Auth": _header(found, server_of(reference.domain))}
    try:
        with translated(engine.host):
            return TransferStream(
                engine, engine.client.post_stream(path, name, parameters, headers)
            )
    except EngineError as error:
        raise refusal(error.message, reference) from None


def _header(credentials: Credentials | None, server: str) -> str:
    """Returns the value of `X-Registry-Auth`, which a push needs even without a login."""
    document: dict[str, str] = {}
    if credentials is not None:
        document = {
            "username": credentials.username,
            "password": credentials.password,
            "identitytoken": credentials.identity_token,
            "registrytoken": credentials.registry_token,
            "serveraddress": server,
        }
    data = json.dumps({key: value for key, value in document.items() if value})
    return urlsafe_b64encode(data.encode()).decode()


def refusal(text: str, reference: Reference) -> EngineError:
    """Returns the error for an engine's message about a failed transfer, with a hint."""
    said = one_sentence(text)
    low = said.lower()
    hint = ""
    if "toomanyrequests" in low or "rate limit" in low or "too many requests" in low:
        hint = f"Try again later, or log in, which often raises the limit: {_login(reference)}."
    elif any(word in low for word in ("unauthorized", "denied", "authentication", "no basic auth")):
        hint = f"Check the name, or log in: {_login(reference)}."
    elif "manifest" in low and ("unknown" in low or "not found" in low):
        hint = f"`layerscope tags {reference.repository}` lists its tags."
    elif _FULL in low:
        hint = _MAKE_ROOM
    return EngineError(f"{said}.", hint)


def _login(reference: Reference) -> str:
    return f"layerscope login {reference.domain}"
