"""Docker Hub's own API for repositories: tags, searches, pull counts.

Tags: https://docs.docker.com/reference/api/hub/latest/. Searches use Docker's index, as engines do.
"""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, urlencode

from layerscope.errors import NotFoundError, RegistryError
from layerscope.images.answers import FoundRepository
from layerscope.images.registry.client import Check, RegistryClient
from layerscope.images.registry.credentials import Lookup
from layerscope.oci.distribution import RateLimit, request_limit
from layerscope.oci.platform import Platform
from layerscope.records import Count, Record, field, go_json, lenient
from layerscope.text import visible

#: The address of the APIs.
HUB = "https://hub.docker.com"
INDEX = "https://index.docker.io"

_PAGE = 100  # The most entries in one response.

T = TypeVar("T")


class HubImage(Record, frozen=True):
    """An image of a tag, for one platform."""

    os: str = ""
    architecture: str = ""
    variant: str = ""
    size: Count = 0  # Compressed bytes.
    digest: str = ""

    @property
    def platform(self) -> Platform | None:
        known = self.os and self.architecture and "unknown" not in (self.os, self.architecture)
        return Platform(self.os, self.architecture, self.variant) if known else None


class HubTag(Record, frozen=True):
    name: str
    full_size: Count = 0
    digest: str = ""
    tag_last_pushed: str = ""  # RFC 3339.
    images: list[HubImage] = field(default_factory=list)


class _Tags(Record, frozen=True):
    count: Count = 0
    results: list[HubTag] = field(default_factory=list)


class _Hits(Record, frozen=True):
    results: list[FoundRepository] = field(default_factory=list)


class _Pulls(Record, frozen=True):
    repo_name: str = ""
    pull_count: Count = 0


class _PullsPage(Record, frozen=True):
    results: list[_Pulls] = field(default_factory=list)


class HubTags(NamedTuple):
    total: int  # The number of the repository's tags.
    listed: list[HubTag]
    requests: RateLimit | None  # The remaining requests, if Hub reports them.


def hub_tags(path: str, limit: int, start: int, check: Check) -> HubTags:
    """The newest tags of a public repository after the first `start`, a multiple of `limit`.

    Raises LayerscopeError.
    """
    namespace, _, repository = path.partition("/")
    where = f"/v2/namespaces/{quote(namespace)}/repositories/{quote(repository)}/tags"
    found: list[HubTag] = []
    size = min(limit, _PAGE)
    page, total = start // size, 0
    requests = None
    while len(found) < limit:
        page += 1
        asked = {"page_size": size, "page": page}
        answer, requests = _ask(HUB, where, asked, _Tags, path, check)
        total = answer.count
        found += answer.results
        if not answer.results or start + len(found) >= total:
            break
    return HubTags(total, found[:limit], requests)


def hub_search(term: str, limit: int, check: Check) -> list[FoundRepository]:
    """Repositories that match a term, best first. Raises LayerscopeError."""
    asked = {"q": term, "n": min(limit, _PAGE)}
    answer, _ = _ask(INDEX, "/v1/search", asked, _Hits, "its search", check)
    return answer.results[:limit]


def hub_pulls(term: str, limit: int, check: Check) -> dict[str, int]:
    """Pull counts of repositories that match a term; Hub does not document them.

    Raises LayerscopeError.
    """
    asked = {"query": term, "page": 1, "page_size": min(limit, _PAGE)}
    answer, _ = _ask(HUB, "/v2/search/repositories/", asked, _PullsPage, "its search", check)
    return {each.repo_name.removeprefix("library/"): each.pull_count for each in answer.results}


def _ask(
    base: str, path: str, parameters: dict[str, Any], kind: type[T], what: str, check: Check
) -> tuple[T, RateLimit | None]:
    domain = base.partition("://")[2]
    client = RegistryClient(domain, "", base=base, find=lambda *_: Lookup(None))
    missing = NotFoundError(f"{visible(domain)} does not know {visible(what)} (404).")
    subject = client.subject(what, missing)
    with closing(client):
        response = client.open("GET", f"{path}?{urlencode(parameters)}", subject, {}, check)
        data = client.read_small(response, subject)
    try:
        return lenient(go_json(data), kind), request_limit(response.headers, time.time())
    except ValueError:
        raise RegistryError(
            f"{visible(domain)} sent an answer that is not valid.", "Try again later."
        ) from None
