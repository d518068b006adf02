"""The OCI distribution specification: where a registry is, what to ask it, what its answers mean.

Functions on texts alone; `images.registry_client` does the talking.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from layerscope.oci.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from layerscope.oci.reference import DEFAULT_DOMAIN

#: Docker Hub answers under another name than its images have.
_HUB = "registry-1.docker.io"

#: What Docker pushed before 2016; recognised in order to say so.
SCHEMA_1_TYPES = frozenset(
    (
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    )
)

#: The value of Accept for manifests. Schema 1 is not in it, but old registries send it anyway.
ACCEPT_MANIFESTS = ", ".join((OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST))

_DIGEST = re.compile(r"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})")


def api_host(domain: str) -> str:
    """The host and port that serve the API of a registry."""
    return _HUB if domain == DEFAULT_DOMAIN else domain


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, which is talked to without TLS where that is all it speaks.

    Args:
        host: Host with or without port; an IPv6 address in brackets.
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
    """Whether two hosts, each with or without port, are the same but for that."""
    parts, others = split_url(f"//{one}"), split_url(f"//{other}")
    return parts is not None and others is not None and parts.hostname == others.hostname


def split_url(url: str) -> SplitResult | None:
    """The parts of a URL with a host; None for whatever else a registry may send as one."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return None
    return parts if host and url.isascii() and url.isprintable() else None


def origin(url: str) -> str:
    """Scheme, host and port of a URL: what must be the same for a secret to be sent again."""
    parts = split_url(url)
    if parts is None:
        return ""
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


def manifest_path(repository: str, reference: str) -> str:
    """The path of a manifest, by tag or digest."""
    return f"/v2/{quote(repository)}/manifests/{quote(reference, safe=':')}"


def blob_path(repository: str, digest: str) -> str:
    """The path of a blob."""
    return f"/v2/{quote(repository)}/blobs/{quote(digest, safe=':')}"


def is_digest(text: str) -> bool:
    """Whether a text is a digest of an algorithm that registries must know and we can check."""
    return _DIGEST.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to prove who is asking, out of a `WWW-Authenticate` header (RFC 9110, 11.6.1).

    Attributes:
        scheme: `bearer`, `basic` or another, in lower case.
        parameters: Its parameters, names in lower case.
    """

    scheme: str
    parameters: Mapping[str, str]


_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's word for a word
_PARAMETER = re.compile(rf'({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_SCHEME = re.compile(rf"({_TOKEN})(?=\s|,|$)(?!\s*=)")
_GAP = re.compile(r"[\s,]*")


def parse_challenges(header: str) -> list[Challenge]:
    """Reads a `WWW-Authenticate` header; what cannot be read ends the list."""
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


def token_url(challenge: Challenge, repository: str) -> str | None:
    """Where to get a token that lets us pull, or None if the challenge does not say.

    The scope is our own and not the challenge's: a registry shall not hand itself more rights in
    our name than reading this repository.
    """
    realm = challenge.parameters.get("realm", "")
    parts = split_url(realm)
    if parts is None or parts.scheme not in ("http", "https"):
        return None
    query = {"scope": f"repository:{repository}:pull"}
    service = challenge.parameters.get("service")
    if service:
        query["service"] = service
    base = realm.partition("#")[0]
    return f"{base}{'&' if parts.query else '?'}{urlencode(query)}"


def retry_after(value: str | None, now: float) -> float | None:
    """How many seconds a `Retry-After` header asks us to wait; None if it says nothing.

    Args:
        value: The header: seconds or a date.
        now: Unix time.
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
    """First byte and one past the last of a `Content-Range` header; None if it makes no sense."""
    found = _CONTENT_RANGE.fullmatch((value or "").strip())
    if found is None or len(found[1]) > 18 or len(found[2]) > 18:
        return None
    first, last = int(found[1]), int(found[2])
    return (first, last + 1) if first <= last else None


def error_text(body: bytes) -> str:
    """What the body of an error says (distribution specification, "Error Codes"); may be empty."""
    try:
        errors = json.loads(body).get("errors")
        first = errors[0]
        text = str(first.get("message") or first.get("code") or "")
    except (ValueError, RecursionError, AttributeError, TypeError, LookupError):
        return ""
    return " ".join(text.split()).rstrip(".")[:200]
