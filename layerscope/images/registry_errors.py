"""What is said of a registry that does not give what it is asked for: a sentence and a hint."""

from __future__ import annotations

from dataclasses import dataclass

from layerscope.errors import LayerscopeError, NotFoundError, RegistryError
from layerscope.images.credentials import Lookup
from layerscope.text import visible

_REASONS = {
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """What a request is about, for messages.

    Attributes:
        domain: The registry, as references have it.
        repository: The repository there.
        what: What is asked for, such as `layer sha256:…`.
        missing: The error where it is not there, other than the usual one.
    """

    domain: str
    repository: str
    what: str
    missing: LayerscopeError | None = None

    @property
    def image(self) -> str:
        """The repository with its registry."""
        return visible(f"{self.domain}/{self.repository}")

    @property
    def registry(self) -> str:
        """The registry's name."""
        return visible(self.domain)


def refused(subject: Subject, lookup: Lookup) -> RegistryError:
    """The registry wants a login, or another one (401)."""
    login = f"`docker login {subject.registry}` or `podman login {subject.registry}`"
    if lookup.credentials is not None:
        return RegistryError(
            f"{subject.registry} refuses the login from {lookup.credentials.origin} (401).",
            f"Log in again with {login}.",
        )
    because = f" No login was found: {lookup.trouble}." if lookup.trouble else ""
    return RegistryError(
        f"{subject.registry} does not let us read {visible(subject.repository)} without a "
        f"login (401).{because}",
        f"Check the name, or log in with {login}.",
    )


def error_for(
    status: int, subject: Subject, detail: str, *, tries: int, wait: float | None
) -> LayerscopeError:
    """The error for a status that ends a request.

    Args:
        status: The status.
        subject: What was asked for.
        detail: What the registry says about it; may be empty.
        tries: How many times it was asked.
        wait: How many seconds the registry asks us to wait, where it does.
    """
    said = f": {visible(detail)}" if detail else ""
    times = f", {tries} times" if tries > 1 else ""
    registry = subject.registry
    if status == 403:
        return RegistryError(
            f"{registry} forbids us to read {visible(subject.repository)} (403{said}).",
            "Ask for the right to pull it, or log in as somebody who has it.",
        )
    if status == 404:
        return subject.missing or NotFoundError(
            f"{registry} has no {visible(subject.what)} in {visible(subject.repository)} (404).",
            "The image may have been pushed anew meanwhile: open it again.",
        )
    if status == 416:
        return RegistryError(
            f"{registry} has less of {visible(subject.what)} than its manifest says (416).",
            "The registry's storage is damaged: push the image again.",
        )
    if status == 429:
        later = f"in {wait:.0f} seconds" if wait else "later"
        return RegistryError(
            f"{registry} has had too many requests from here (429{said}).",
            f"Try again {later}, or log in: that often allows more.",
        )
    if status >= 500:
        reason = _REASONS.get(status, "server error")
        return RegistryError(
            f"{registry} fails to send {visible(subject.what)} ({status} {reason}{said}{times}).",
            "Try again later.",
        )
    return RegistryError(
        f"{registry} answered {status} when asked for {visible(subject.what)}{said}.",
        "Check that this is a container registry.",
    )


def wrong_digest(subject: Subject) -> RegistryError:
    """Bytes that are not those that the digest promised."""
    return RegistryError(
        f"{subject.registry} sent other bytes than the digest says for {visible(subject.what)}.",
        "The registry, or something between it and us, is damaged or lies: do not use the image.",
    )


def cut(subject: Subject, position: int, tries: int) -> RegistryError:
    """A connection that breaks again and again."""
    return RegistryError(
        f"The connection to {subject.registry} broke off at byte {position} of "
        f"{visible(subject.what)}, {tries} times in a row.",
        "Check the network, then try again.",
    )
