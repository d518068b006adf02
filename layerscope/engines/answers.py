"""What docker-py, requests and urllib3 raise, as errors for people."""

from __future__ import annotations

import errno
import ssl
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
        if _timed_out(error):
            raise silent(host) from None
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


def silent(host: str) -> EngineError:
    """What to say of an engine that takes connections, and answers nothing."""
    return EngineError(
        f"The engine at {visible(host)} does not answer.",
        "It hangs, or is very busy: try again, or restart it.",
    )


def unreachable(address: Address, error: Exception) -> EngineError:
    """What to say of an engine that cannot be talked to."""
    for cause in chain(error):
        if isinstance(cause, EngineError):
            # Ours, which docker-py has put into one of its own.
            return cause
    host = visible(address.host)
    if _timed_out(error):
        return silent(address.host)
    number = _errno(error)
    if number in (errno.EACCES, errno.EPERM):
        return EngineError(
            f"No permission to talk to the engine at {host}.",
            "Run it with sudo, or join the socket's group (usually `docker`) and log in again; "
            "DOCKER_HOST names another engine.",
        )
    if number == errno.ENOENT:
        return EngineError(
            f"No engine listens at {host}.",
            "Start Docker or Podman, set DOCKER_HOST, or open an archive: layerscope FILE.",
        )
    if number == errno.ECONNREFUSED:
        return EngineError(
            f"The engine at {host} does not run.",
            "Start it, set DOCKER_HOST, or open an archive: layerscope FILE.",
        )
    refusal = next((c for c in chain(error) if isinstance(c, APIError) and c.explanation), None)
    if refusal is not None:
        text = one_sentence(refusal.explanation)
        hint = "Set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH." if "HTTPS server" in text else ""
        return EngineError(f"The engine at {host} answered: {text}.", hint or "Check DOCKER_HOST.")
    for cause in chain(error):
        if isinstance(cause, ssl.SSLError):
            why = visible(cause.verify_message) if isinstance(cause, _Unverified) else ""
            return EngineError(
                f"No safe connection to the engine at {host} ({why or one_sentence(cause)}).",
                "Check the certificates in DOCKER_CERT_PATH, or those of the Docker context.",
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
        # The number of an SSLError is OpenSSL's, and means something else.
        if isinstance(cause, OSError) and cause.errno and not isinstance(cause, ssl.SSLError):
            return cause.errno
    return None


_Unverified = ssl.SSLCertVerificationError


def _timed_out(error: BaseException) -> bool:
    kinds = (requests.Timeout, TimeoutError)
    return any(isinstance(cause, kinds) for cause in chain(error))


def _innermost(error: BaseException) -> BaseException:
    *_, last = chain(error)
    return last
