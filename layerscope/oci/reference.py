"""References: image names as Docker and the OCI distribution specification write them."""

from __future__ import annotations

import re
from dataclasses import dataclass

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DOMAIN = (
    r"(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
    r"(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
)
_REFERENCE = re.compile(
    rf"(?:(?P<domain>{_DOMAIN})/)?(?P<path>{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>[\w][\w.-]{0,127}))?"
    r"(?:@(?P<digest>[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Reference:
    domain: str  # Host and port of the registry, by default `docker.io`.
    path: str  # The repository's path there, with `library/` for Docker Hub's official images.
    tag: str | None  # The tag, or None if only a digest is given.
    digest: str | None

    @property
    def repository(self) -> str:
        """The repository in familiar form, without defaults."""
        if self.domain != DEFAULT_DOMAIN:
            return f"{self.domain}/{self.path}"
        return self.path.removeprefix("library/")

    def __str__(self) -> str:
        """The reference in familiar form: `debian:12`, `ghcr.io/a/b:1@sha256:…`."""
        tag, digest = self.tag and f":{self.tag}", self.digest and f"@{self.digest}"
        return f"{self.repository}{tag or ''}{digest or ''}"


def is_reference(text: str) -> bool:
    try:
        parse_reference(text)
    except ValueError:
        return False
    return True


def parse_reference(text: str) -> Reference:
    """Parses a reference, with Docker's defaults; raises ValueError."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an image reference")
    domain, path = match["domain"], match["path"]
    if domain is not None and not ("." in domain or ":" in domain or domain == "localhost"):
        # A first component without dot or port is part of the path, unless it has capitals.
        if domain != domain.lower():
            raise ValueError(f"{text!r} is not an image reference: capitals in the repository")
        domain, path = None, f"{domain}/{path}"
    if domain in (None, "index.docker.io"):
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = f"library/{path}"
    tag, digest = match["tag"], match["digest"]
    if tag is None and digest is None:
        tag = DEFAULT_TAG
    return Reference(domain, path, tag, digest)


def familiar(name: str) -> str:
    """A full reference in familiar form, without Docker Hub's name."""
    return name.removeprefix(f"{DEFAULT_DOMAIN}/").removeprefix("library/")
