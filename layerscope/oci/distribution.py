"""The OCI distribution specification: hosts and paths of registries, and their responses.

Pure functions on strings; `images.registry.client` sends the requests.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from layerscope.oci.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from layerscope.oci.reference import DEFAULT_DOMAIN

#: Docker Hub serves its API under another name.
_HUB = "registry-1.docker.io"

#: The format that Docker pushed before 2016; recognised for its own error.
_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1"
SCHEMA_1_TYPES = frozenset((f"{_SCHEMA_1}+json", f"{_SCHEMA_1}+prettyjws"))

#: The Accept header for manifests. Old registries send schema 1 all the same.
ACCEPT_MANIFESTS = ", ".join((OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST))

_DIGEST = re.compile(r"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})")


def api_host(domain: str) -> str:
    return _HUB if domain == DEFAULT_DOMAIN else domain


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, which may be used without TLS.

    It may have a port; an IPv6 address is in brackets.
    """
    parts = split_url(f"//{host}")
    name = (parts.hostname if parts else None) or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def same_host(one: str, other: str) -> bool:
    """Whether two hosts are the same, ignoring ports."""
    parts, others = split_url(f"//{one}"), split_url(f"//{other}")
    return parts is not None and others is not None and parts.hostname == others.hostname


def split_url(url: str) -> SplitResult | None:
    """The parts of a URL with a host; None for anything else that a registry may send."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return None
    return parts if host and url.isascii() and url.isprintable() else None


def origin(url: str) -> str:
    """Scheme, host and port of a URL: secrets are sent again only to the same origin."""
    parts = split_url(url)
    if parts is None:
        return ""
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


def manifest_path(repository: str, reference: str) -> str:
    return f"/v2/{quote(repository)}/manifests/{quote(reference, safe=':')}"


def blob_path(repository: str, digest: str) -> str:
    return f"/v2/{quote(repository)}/blobs/{quote(digest, safe=':')}"


def is_digest(text: str) -> bool:
    """Whether a text is a digest with an algorithm that registries must support."""
    return _DIGEST.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge in a `WWW-Authenticate` header (RFC 9110, 11.6.1)."""

    scheme: str  # `bearer`, `basic` or another, in lower case.
    parameters: Mapping[str, str]  # Names are in lower case.


_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's word for a word
_PARAMETER = re.compile(rf'({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_SCHEME = re.compile(rf"({_TOKEN})(?=\s|,|$)(?!\s*=)")
_GAP = re.compile(r"[\s,]*")


def parse_challenges(header: str) -> list[Challenge]:
    """Parses a `WWW-Authenticate` header, up to anything invalid."""
    challenges: list[Challenge] = []
    parameters: dict[str, str] = {}
    position = 0
    while True:
        gap = _GAP.match(header, position)
        position = gap.end() if gap else position
        scheme = _SCHEME.match(header, position)
        if scheme is not None:
            parameters = {}
            challenges.append(Challenge(scheme[1].lower(), parameters))
            position = scheme.end()
            continue
        found = _PARAMETER.match(header, position)
        if found is None or not challenges:
            return challenges
        quoted = found[2]
        value = found[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        parameters.setdefault(found[1].lower(), value)
        position = found.end()


def token_url(challenge: Challenge, scopes: Sequence[str], user: str = "") -> str | None:
    """The URL for a token with rights such as `repository:a/b:pull`; None if it is missing.

    Without any rights, it checks that a user may log in, and requests a refresh token to store
    instead of the password. The scopes are our own, not the challenge's: a registry must not gain
    more rights in our name than are needed.
    """
    realm = challenge.parameters.get("realm", "")
    parts = split_url(realm)
    if parts is None or parts.scheme not in ("http", "https"):
        return None
    query = [("scope", scope) for scope in scopes]
    if not scopes:
        query = [("account", user), ("client_id", "layerscope"), ("offline_token", "true")]
    service = challenge.parameters.get("service")
    if service:
        query.append(("service", service))
    base = realm.partition("#")[0]
    return f"{base}{'&' if parts.query else '?'}{urlencode(query)}"


def wait_of(headers: Mapping[str, str], now: float) -> float | None:
    """The seconds that a registry asks us to wait, or None; `now` is Unix time."""
    at = headers.get("X-Retry-After", "").strip()  # Docker Hub's, a Unix time.
    if at.isascii() and at.isdigit():
        return max(0.0, float(at[:12]) - now)
    return retry_after(headers.get("Retry-After"), now)


def retry_after(value: str | None, now: float) -> float | None:
    """The seconds that a `Retry-After` header asks us to wait, or None.

    It contains seconds or a date; `now` is Unix time.
    """
    if not value:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None


_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)", re.IGNORECASE)


def content_range(value: str | None) -> tuple[int, int] | None:
    """First byte and one past the last of a `Content-Range` header; None if it is invalid."""
    found = _CONTENT_RANGE.fullmatch((value or "").strip())
    if found is None or len(found[1]) > 18 or len(found[2]) > 18:
        return None
    first, last = int(found[1]), int(found[2])
    return (first, last + 1) if first <= last else None


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The remaining requests or pulls; Docker Hub reports them in headers of each response."""

    limit: int
    remaining: int
    seconds: int  # For pulls, the period of the limit; for requests, the time until it resets.

    @property
    def is_low(self) -> bool:
        return self.remaining * 10 <= self.limit

    @property
    def pulls(self) -> str:
        hours = f" in {self.seconds / 3600:g} hours" if self.seconds else ""
        return f"{self.remaining} more of {self.limit} pulls{hours}"

    @property
    def requests(self) -> str:
        again = f" in the next {self.seconds} seconds" if self.seconds else ""
        return f"{self.remaining} more of {self.limit} requests{again}"


_LIMIT = re.compile(r"(\d{1,9})(?:;w=(\d{1,9}))?")


def pull_limit(headers: Mapping[str, str]) -> RateLimit | None:
    limit = _LIMIT.fullmatch(headers.get("ratelimit-limit", "").strip())
    left = _LIMIT.fullmatch(headers.get("ratelimit-remaining", "").strip())
    if limit is None or left is None:
        return None
    return RateLimit(int(limit[1]), int(left[1]), int(limit[2] or left[2] or 0))


def request_limit(headers: Mapping[str, str], now: float) -> RateLimit | None:
    """The limit of Docker Hub's API, separate from that of pulls; `now` is Unix time."""
    found = [headers.get(f"X-RateLimit-{name}", "").strip() for name in ("Limit", "Remaining")]
    if not all(_LIMIT.fullmatch(each) for each in found):
        return None
    limit, left = (int(each.partition(";")[0]) for each in found)
    reset = headers.get("X-RateLimit-Reset", "").strip()
    at = int(reset[:12]) if reset.isascii() and reset.isdigit() else 0
    return RateLimit(limit, left, max(0, round(at - now)) if at else 0)


_NEXT = re.compile(r'<([^>]*)>\s*;\s*rel="?next"?', re.IGNORECASE)


def next_page(link: str | None) -> str | None:
    """The path of the next page of a list, from a `Link` header (RFC 8288), or None.

    Only a path of the same registry is accepted.
    """
    found = _NEXT.search(link or "")
    if found is None or not (found[1].isascii() and found[1].isprintable()):
        return None
    try:
        parts = urlsplit(found[1])
    except ValueError:
        return None
    path = parts.path if parts.path.startswith("/v2/") else ""
    return f"{path}?{parts.query}" if path and parts.query else None


def error_text(body: bytes) -> str:
    """The message in the body of an error (distribution specification, "Error Codes"), or ""."""
    try:
        errors = json.loads(body).get("errors")
        first = errors[0]
        text = str(first.get("message") or first.get("code") or "")
    except (ValueError, RecursionError, AttributeError, TypeError, LookupError):
        return ""
    return " ".join(text.split()).rstrip(".")[:200]
