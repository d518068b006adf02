"""The tags of a repository, from Docker Hub's list or from the registry, tag by tag."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from urllib.parse import quote

from layerscope.errors import (
    Cancelled,
    LayerscopeError,
    NotFoundError,
    RateLimitError,
    RegistryError,
)
from layerscope.images.cache.documents import DocumentCache
from layerscope.images.platforms import wanted_platform
from layerscope.images.registry.client import Check, RegistryClient, no_check
from layerscope.images.registry.hub import HubTag, hub_tags
from layerscope.images.registry.manifests import ImageFinder
from layerscope.images.summary import unix_time
from layerscope.oci.distribution import RateLimit, pull_limit
from layerscope.oci.platform import Platform, best_platform
from layerscope.oci.reference import DEFAULT_DOMAIN, Reference, parse_reference
from layerscope.records import Record, parse
from layerscope.text import visible

#: The image whose headers show a user's limit (https://docs.docker.com/docker-hub/usage/pulls/).
_LIMIT_PREVIEW = "ratelimitpreview/test:latest"
_PAGE = 1000  # Tags per request.
_AT_ONCE = 4  # Parallel requests.
_NUMBERS = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True)
class Tag:
    """An image of a repository, under one or more tags; unknown values are None or empty."""

    names: tuple[str, ...]
    digest: str | None = None  # Of its index, or of its manifest if it has none.
    size: int | None = None  # Compressed bytes of its layers, on this platform.
    created: float | None = None  # Unix time: when it was pushed, or else created.
    platforms: tuple[str, ...] = ()
    artifact: bool = False  # Whether it is something other than an image.


@dataclass(frozen=True, slots=True)
class TagList:
    repository: str  # In familiar form.
    total: int  # The number of its tags.
    tags: tuple[Tag, ...]  # Some of them, newest first.
    seen: int  # The number of tags looked up; a list that starts there continues this one.
    requests: RateLimit | None = None  # The remaining requests, if known.

    def __add__(self, other: TagList) -> TagList:
        """Appends the list that continues this one."""
        known = {name for tag in self.tags for name in tag.names}
        more = [
            replace(tag, names=tuple(name for name in tag.names if name not in known))
            for tag in other.tags
        ]
        tags = _joined((*self.tags, *(tag for tag in more if tag.names)))
        seen = self.seen + other.seen
        return TagList(other.repository, other.total, tags, seen, other.requests)


class _Names(Record, frozen=True):
    tags: list[str] | None = None


def list_tags(
    name: str,
    limit: int = 50,
    *,
    start: int = 0,
    platform: str | None = None,
    insecure: bool = False,
    cache: bool = True,
    check: Check = no_check,
) -> TagList:
    """Lists the tags of a repository, newest first, each image once.

    A registry does not list when its tags were created. So only the `limit` tags with the highest
    versions are looked up, `latest` first, or as many after the first `start`. Docker Hub lists
    everything. `name` is a reference, whose tag is ignored.

    Raises LayerscopeError if there is no such repository or it cannot be read.
    """
    reference = parse_reference(name)
    wanted = wanted_platform(platform)
    if reference.domain == DEFAULT_DOMAIN:
        try:
            total, listed, requests = hub_tags(reference.path, limit, start, check)
        except (Cancelled, RateLimitError):
            raise
        except LayerscopeError:
            pass  # Only the registry has private repositories.
        else:
            tags = _joined(_of_hub(listed, wanted))
            return TagList(reference.repository, total, tags, len(listed), requests)
    with closing(RegistryClient(reference.domain, reference.path, insecure=insecure)) as client:
        names = listed_tags(client, check)
        documents = DocumentCache() if cache else None

        def describe(group: tuple[str | None, list[str]]) -> Tag:
            digest, tags = group
            return _described(
                ImageFinder(client, replace(reference, tag=tags[0], digest=digest), wanted, check,
                            documents),
                Tag(tuple(tags), digest),
            )  # fmt: skip

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            chosen = names[start : start + limit]
            digests = pool.map(lambda tag: client.manifest_digest(tag, check), chosen)
            groups: dict[str, tuple[str | None, list[str]]] = {}
            for tag, digest in zip(chosen, digests, strict=True):
                groups.setdefault(digest or tag, (digest, []))[1].append(tag)
            if reference.domain == DEFAULT_DOMAIN:
                # There, fetching a manifest counts as a pull.
                found = [Tag(tuple(tags), digest) for digest, tags in groups.values()]
            else:
                found = list(pool.map(describe, groups.values()))
    return TagList(reference.repository, len(names), _sorted(found), len(chosen))


def pulls_left(domain: str, check: Check = no_check) -> RateLimit | None:
    """The pulls that a registry still allows this user, if it reports them, as Docker Hub does.

    Asking does not count as a pull.
    """
    if domain != DEFAULT_DOMAIN:
        return None
    reference = parse_reference(_LIMIT_PREVIEW)
    with closing(RegistryClient(domain, reference.path)) as client:
        return pull_limit(client.manifest_headers(reference.tag or "", check))


def tag_names(
    reference: Reference, *, insecure: bool = False, check: Check = no_check
) -> list[str]:
    """Every tag of a repository, highest version first. Raises LayerscopeError."""
    with closing(RegistryClient(reference.domain, reference.path, insecure=insecure)) as client:
        return listed_tags(client, check)


def listed_tags(client: RegistryClient, check: Check) -> list[str]:
    """As `tag_names` (distribution specification, "Listing Tags")."""
    missing = NotFoundError(
        f"{visible(client.domain)} has no repository {visible(client.repository)} (404).",
        "Check the name.",
    )
    subject = client.subject("its tags", missing)
    found: dict[str, None] = {}
    path = f"/v2/{quote(client.repository)}/tags/list?n={_PAGE}"
    for response in client.pages(path, subject, check):
        try:
            found |= dict.fromkeys(parse(client.read_small(response, subject), _Names).tags or ())
        except ValueError:
            raise RegistryError(f"{subject.registry} sent an invalid list of tags.") from None
    return sorted(found, key=_version, reverse=True)


def _described(finder: ImageFinder, tag: Tag) -> Tag:
    try:
        found = finder.find()
    except LayerscopeError as error:
        # A tag may be gone by now or be a signature; without the platform, it has others.
        if error.artifact:
            return replace(tag, artifact=True)
        if isinstance(error, NotFoundError):
            return replace(tag, platforms=tuple(getattr(error, "platforms", ())))
        raise
    image = found.image
    own = (image.os and f"{image.os}/{image.architecture}",)
    created = unix_time(image.created or "")
    return replace(
        tag,
        digest=tag.digest or found.digest,
        size=sum(layer.stored_size or 0 for layer in image.layers),
        created=created if created > 0 else None,
        platforms=tuple(map(str, image.platforms)) or own,
    )


def _of_hub(listed: Iterable[HubTag], wanted: Platform) -> Iterator[Tag]:
    for each in listed:
        sizes = {each.platform: each.size for each in each.images if each.platform}
        own = best_platform(sizes, wanted)
        yield Tag(
            (each.name,),
            each.digest or (each.images[0].digest if len(each.images) == 1 else None),
            sizes[own] if own else each.full_size,
            unix_time(each.tag_last_pushed) or None,
            tuple(map(str, sizes)),
        )


def _joined(tags: Iterable[Tag]) -> tuple[Tag, ...]:
    """Merges tags into one entry for each image."""
    found: dict[str, Tag] = {}
    for tag in tags:
        key = tag.digest or tag.names[0]
        known = found.get(key)
        found[key] = tag if known is None else replace(known, names=known.names + tag.names)
    return _sorted(found.values())


def _sorted(tags: Iterable[Tag]) -> tuple[Tag, ...]:
    return tuple(sorted(tags, key=lambda tag: -(tag.created or 0)))


def _version(tag: str) -> tuple[bool, list[tuple[int, str]]]:
    """A key that sorts by numbers in a tag, with `latest` highest and words lowest."""
    parts = _NUMBERS.split(tag)
    return tag == "latest", [(int(p) if p.isdecimal() else -1, p) for p in parts if p]
