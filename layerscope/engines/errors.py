"""Converts the exceptions of docker-py, requests and urllib3 to errors for users."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import requests
from docker.errors import APIError, DockerException

from layerscope.engines.address import Address
from layerscope.errors import EngineError, LayerscopeError
from layerscope.records import lenient
from layerscope.redaction import redacted
from layerscope.text import one_line, visible

T = TypeVar("T")


@contextmanager
def translated(host: str) -> Iterator[None]:
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
            f"The connection to the engine at {host} was lost.",
            "Check that it still runs, then try again.",
        ) from None
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        # docker-py did not find what it expected in the answer.
        raise invalid(host) from None


def one_sentence(text: object) -> str:
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return one_line(redacted(str(text))).rstrip(".")[:500]


def no_engine(host: str) -> EngineError:
    """The error for an answer that no engine would send."""
    return EngineError(
        f"{visible(host)} is not a container engine.",
        "Check DOCKER_HOST, or open an archive: layerscope FILE.",
    )


def checked(answer: object, kind: type[T], host: str) -> T:
    """Converts an engine's answer to a record or a list of records; null is empty."""
    try:
        return lenient([] if answer is None and kind is not dict else answer, kind)
    except ValueError as error:
        raise invalid(host, str(error)) from None


def invalid(host: str, why: str = "") -> EngineError:
    """The error for an invalid answer."""
    because = f" ({one_sentence(why)})" if why else ""
    return EngineError(
        f"The engine at {host} sent an invalid answer{because}.",
        "Check that DOCKER_HOST is a container engine.",
    )


def silent(host: str) -> EngineError:
    """The error for an engine that accepts connections but does not answer."""
    return EngineError(
        f"The engine at {visible(host)} does not answer.",
        "It hangs or is very busy: try again, or restart it.",
    )


def unreachable(address: Address, error: Exception) -> EngineError:
    """The error for an engine that cannot be reached."""
    for cause in chain(error):
        if isinstance(cause, EngineError):
            # Our own error, wrapped by docker-py.
            return cause
    host = address.shown
    if _timed_out(error):
        return silent(host)
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
            f"The engine at {host} is not running.",
            "Start it, set DOCKER_HOST, or open an archive: layerscope FILE.",
        )
    refusal = next((c for c in chain(error) if isinstance(c, APIError) and c.explanation), None)
    if refusal is not None:
        text = one_sentence(refusal.explanation)
        hint = "Set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH." if "HTTPS server" in text else ""
        return EngineError(f"The engine at {host} answered: {text}.", hint or "Check DOCKER_HOST.")
    for cause in chain(error):
        if isinstance(cause, ssl.SSLError):
            why = ""
            if isinstance(cause, ssl.SSLCertVerificationError):
                why = visible(cause.verify_message)
            return EngineError(
                f"No secure connection to the engine at {host} ({why or one_sentence(cause)}).",
                "Check the certificates in DOCKER_CERT_PATH or of the Docker context.",
            )
    *_, inner = chain(error)
    if isinstance(inner, LookupError | TypeError | AttributeError | StopIteration):
        # docker-py did not find what it expected in the answer.
        return no_engine(host)
    # Libraries quote the address, which may contain a password.
    reasons = (cause.strerror for cause in chain(error) if isinstance(cause, OSError))
    reason = next(filter(None, reasons), inner)
    why = "" if "@" in address.host else f" ({one_sentence(reason)})"
    return EngineError(
        f"The engine at {host} cannot be reached{why}.",
        "Check DOCKER_HOST, or open an archive: layerscope FILE.",
    )


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yields an error and its causes, including those wrapped by requests and urllib3."""
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
        # The number of an SSLError is OpenSSL's.
        if isinstance(cause, OSError) and cause.errno and not isinstance(cause, ssl.SSLError):
            return cause.errno
    return None


def _timed_out(error: BaseException) -> bool:
    return any(isinstance(cause, (requests.Timeout, TimeoutError)) for cause in chain(error))
