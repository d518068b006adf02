"""Searches for repositories on Docker Hub or in the catalog of another registry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace

from layerscope.errors import RegistryError, failures_ignored
from layerscope.images.answers import FoundRepository
from layerscope.images.registry.client import Check, RegistryClient, no_check
from layerscope.images.registry.hub import hub_pulls, hub_search
from layerscope.images.registry.login import registry_of
from layerscope.oci.reference import DEFAULT_DOMAIN
from layerscope.records import Record, parse
from layerscope.text import visible

_PAGE = 1000  # Catalog entries per request.


@dataclass(frozen=True, slots=True)
class Hit:
    """A repository; values that the registry does not report are None."""

    name: str  # In familiar form, with its registry if that is not Docker Hub.
    description: str = ""
    stars: int | None = None
    official: bool = False
    automated: bool = False  # Docker Hub's builds from source; only old engines still report it.
    pulls: int | None = None


def split_term(text: str) -> tuple[str, str]:
    """The registry and the term of a search, which may begin with a host as in `docker search`.

    Raises UsageError if the host is invalid.
    """
    host, slash, rest = text.strip().partition("/")
    if ":" in host or (slash and ("." in host or host == "localhost")):
        return registry_of(host), rest
    return DEFAULT_DOMAIN, text.strip()


class _Catalog(Record, frozen=True):
    repositories: list[str] | None = None


def search(
    term: str,
    domain: str = DEFAULT_DOMAIN,
    limit: int = 25,
    *,
    insecure: bool = False,
    check: Check = no_check,
) -> list[Hit]:
    """Searches a registry for repositories with a term in their name.

    Docker Hub also searches descriptions, and lists the best matches first. Raises LayerscopeError
    if the registry does not respond or has no catalog.
    """
    if domain != DEFAULT_DOMAIN:
        with closing(RegistryClient(domain, "", insecure=insecure)) as client:
            found = (name for name in _catalog(client, check) if term.lower() in name.lower())
            return [Hit(f"{domain}/{name}") for name, _ in zip(found, range(limit), strict=False)]
    hits = hub_search(term, limit, check)
    pulls: dict[str, int] = {}
    with failures_ignored():
        pulls = hub_pulls(term, limit, check)
    return [replace(hit_of(each), pulls=pulls.get(each.name)) for each in hits]


def hit_of(found: FoundRepository, prefix: str = "") -> Hit:
    """A repository in an index; `prefix` is its registry's, which the name may include."""
    return Hit(
        prefix + found.name.removeprefix(prefix),
        found.description,
        found.star_count,
        found.is_official,
        found.is_automated,
    )


def _catalog(client: RegistryClient, check: Check) -> Iterator[str]:
    """The repositories of a registry (Docker Registry HTTP API V2, "Listing Repositories")."""
    none = RegistryError(
        f"{visible(client.domain)} does not list its repositories.",
        f"Name a repository: layerscope tags {visible(client.domain)}/REPOSITORY.",
    )
    subject = client.subject("its catalog", none)
    pages = client.pages(f"/v2/_catalog?n={_PAGE}", subject, check)
    while True:
        try:
            response = next(pages, None)
        except RegistryError as error:
            # Many registries never allow it.
            error.hint = none.hint
            raise
        if response is None:
            return
        try:
            yield from parse(client.read_small(response, subject), _Catalog).repositories or ()
        except ValueError:
            raise none from None
