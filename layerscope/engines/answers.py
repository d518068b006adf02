"""What docker-py, requests and urllib3 raise, as errors for people."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from docker.errors import APIError, DockerException

from layerscope.engines.address import Address
from layerscope.errors import EngineError, LayerscopeError
from layerscope.text import visible


@contextmanager
def told(host: str) -> Iterator[None]:
    """Turns what docker-py, requests and urllib3 raise into an error for people."""
    from urllib3.exceptions import HTTPError

    try:
        yield
    except LayerscopeError:
        raise
    except APIError as error:
        text = one_sentence(error.explanation or str(error))
        raise EngineError(f"The engine at {host} answered: {text}.") from None
    except (requests.RequestException, HTTPError, OSError, DockerException) as error:
        cause = _errno(error)
        if cause is not None and cause in (errno.EACCES, errno.EPERM, errno.ENOENT):
            raise unreachable(Address(host, None, ""), error) from None
        raise EngineError(
            f"The connection to the engine at {host} broke off.",
            "Check that it still runs, then try again.",
        ) from None


def one_sentence(text: object) -> str:
    """An engine's message as the end of a sentence."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return visible(" ".join(str(text).split())).rstrip(".")[:500]


def no_engine(host: str) -> EngineError:
    """The error for an answer that no engine gives."""
    return EngineError(
        f"What answers at {visible(host)} is no container engine.",
        "Check DOCKER_HOST, or open an archive: layerscope FILE.",
    )


def objects(answer: object, host: str) -> list[dict[str, Any]]:
    """A list of JSON objects that an engine answered; null stands for an empty one."""
    if answer is None:
        return []
    if not isinstance(answer, list) or not all(isinstance(each, dict) for each in answer):
        raise no_engine(host)
    return answer


def unreachable(address: Address, error: Exception) -> EngineError:
    """What to say of an engine that cannot be talked to."""
    host = visible(address.host)
    cause = _errno(error)
    if cause in (errno.EACCES, errno.EPERM):
        return EngineError(
            f"No permission to talk to the engine at {host}.",
            "Run as root, or join the socket's group (usually `docker`) and log in again.",
        )
    if cause == errno.ENOENT:
        return EngineError(
            f"No engine listens at {host}.",
            "Start Docker or Podman, set DOCKER_HOST, or open an archive: layerscope FILE.",
        )
    if cause == errno.ECONNREFUSED:
        return EngineError(
            f"The engine at {host} does not run.",
            "Start it, set DOCKER_HOST, or open an archive: layerscope FILE.",
        )
    inner = _innermost(error)
    if isinstance(inner, LookupError | TypeError | AttributeError | StopIteration):
        # docker-py looked in the answer for what is not there.
        return no_engine(address.host)
    return EngineError(
        f"The engine at {host} cannot be reached ({one_sentence(inner)}).",
        "Check DOCKER_HOST, or open an archive: layerscope FILE.",
    )


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was made of, the way requests and urllib3 wrap them."""
    seen: set[int] = set()
    pending: list[BaseException] = [error]
    while pending:
        current = pending.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        related = [current.__cause__, current.__context__, getattr(current, "reason", None)]
        pending += [e for e in [*related, *current.args] if isinstance(e, BaseException)]


def _errno(error: BaseException) -> int | None:
    for cause in chain(error):
        if isinstance(cause, OSError) and cause.errno:
            return cause.errno
    return None


def _innermost(error: BaseException) -> BaseException:
    *_, last = chain(error)
    return last
