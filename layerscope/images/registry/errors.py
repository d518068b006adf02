"""Errors of registries: a sentence and a hint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from layerscope.errors import (
    LayerscopeError,
    LoginError,
    NotFoundError,
    RateLimitError,
    RegistryError,
)
from layerscope.images.registry.credentials import Lookup
from layerscope.text import not_expected, visible

_REASONS = {
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of a request, for messages."""

    domain: str
    repository: str
    what: str  # What is requested, such as `layer sha256:…`.
    #: The error to raise if it does not exist, instead of the usual one.
    missing: LayerscopeError | None = None
    push: bool = False
    #: Receives the reason for a retry, and the time.
    retrying: Callable[[str], None] | None = None

    @property
    def image(self) -> str:
        return visible(f"{self.domain}/{self.repository}")

    @property
    def whole(self) -> str:
        """The repository, or what is requested if there is none."""
        return self.repository or self.what

    @property
    def registry(self) -> str:
        return visible(self.domain)


class LostConnection(RegistryError):
    """A registry that can no longer be reached, after all retries."""


class WrongDigest(RegistryError):
    """Bytes that do not match the requested digest."""


def refused(subject: Subject, lookup: Lookup) -> LoginError:
    """The error for a registry that requires a login, or a different one (401)."""
    login = f"`layerscope login {subject.registry}`"
    if lookup.credentials is not None and not lookup.credentials.origin:
        return LoginError(
            f"{subject.registry} rejects the user name or the password (401).",
            "Many registries accept only an access token as the password.",
            subject.domain,
        )
    if lookup.credentials is not None:
        return LoginError(
            f"{subject.registry} rejects the login from {lookup.credentials.origin} (401).",
            f"Log in again with {login}.",
            subject.domain,
        )
    because = f" No login was found: {lookup.trouble}." if lookup.trouble else ""
    return LoginError(
        f"{subject.registry} requires a login to {'push to' if subject.push else 'read'} "
        f"{visible(subject.whole)} (401).{because}",
        f"Check the name, or log in with {login}.",
        subject.domain,
    )


def error_for(
    status: int, subject: Subject, detail: str, *, tries: int, wait: float | None
) -> LayerscopeError:
    """The error for a status that ends a request.

    `detail` is the registry's explanation, and `wait` the seconds it asks to wait.
    """
    said = f": {visible(detail)}" if detail else ""
    times = f", {tries} times" if tries > 1 else ""
    registry = subject.registry
    if status == 403:
        return RegistryError(
            f"{registry} denies access to {visible(subject.whole)} (403{said}).",
            f"Ask for permission to {'push to' if subject.push else 'pull'} it, or log in as a "
            "user who has it.",
        )
    if status == 404 and subject.push:
        return subject.missing or NotFoundError(
            f"{registry} has no repository {visible(subject.repository)}, and makes none "
            f"(404{said}).",
            "Check the name, or create the repository there first.",
        )
    if status == 407:
        return proxy_login(registry)
    if status == 413:
        return RegistryError(
            f"{registry} does not accept {visible(subject.what)}: it is too large (413{said}).",
            "Make it smaller, or raise the limit of the registry or of the proxy in front of it.",
        )
    if status == 404:
        what, repository = visible(subject.what), visible(subject.repository)
        return subject.missing or NotFoundError(
            f"{registry} does not have {what} in {repository} (404).",
            "The image may have been pushed again meanwhile: open it again.",
        )
    if status == 429:
        later = f"in {wait:.0f} seconds" if wait else "later"
        return RateLimitError(
            f"{registry} received too many requests from here (429{said}).",
            f"Try again {later}, or log in: that often raises the limit.",
        )
    if status >= 500:
        reason = _REASONS.get(status, "server error")
        return RegistryError(
            f"{registry} failed to {'take' if subject.push else 'send'} {visible(subject.what)} "
            f"({status} {reason}{said}{times}).",
            "Try again later.",
        )
    return RegistryError(
        f"{registry} answered {status} to a request for {visible(subject.what)}{said}.",
        "Check that this is a container registry.",
    )


def proxy_login(registry: str) -> RegistryError:
    return RegistryError(
        f"The proxy on the way to {registry} requires a login (407).",
        "Write it into HTTPS_PROXY and HTTP_PROXY, as http://USER:PASSWORD@HOST:PORT.",
    )


def rejected(subject: Subject, why: str, hint: str) -> RegistryError:
    return RegistryError(
        f"{subject.registry} rejects {visible(subject.what)}: {visible(why)}.", hint
    )


def wrong_digest(subject: Subject, expected: str, got: str) -> WrongDigest:
    differs = not_expected("digest", expected, got)
    return WrongDigest(
        f"{subject.registry} sent bytes that do not match the digest of {visible(subject.what)}: "
        f"{differs}.",
        "The registry, or something between it and layerscope, is damaged or malicious: do not "
        "use the image.",
    )


def too_short(subject: Subject) -> RegistryError:
    return RegistryError(
        f"{subject.registry} has less of {visible(subject.what)} than its manifest says.",
        "The registry's storage is damaged: push the image again.",
    )


def cut(subject: Subject, position: int, tries: int) -> RegistryError:
    return RegistryError(
        f"The connection to {subject.registry} broke at byte {position} of "
        f"{visible(subject.what)}, {tries} times in a row.",
        "Check the network, then try again.",
    )
