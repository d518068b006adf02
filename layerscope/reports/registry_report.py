"""`layerscope tags` and `search`: the contents of a registry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from humanize import metric

from layerscope.reports.color import sized
from layerscope.reports.layout import table, terminal_width
from layerscope.text import clip, docker_age, one_line, plural, rfc3339, short_id, visible

if TYPE_CHECKING:
    from layerscope.images.registry.search import Hit
    from layerscope.images.registry.tags import TagList
    from layerscope.oci.distribution import RateLimit

_MOST_NAMES = 4  # Tags of one image in the text.
_MOST_PLATFORMS = 3
_DESCRIPTION = 45  # Characters, as the docker command shows in a pipe.


def tags_document(found: TagList, pulls: RateLimit | None = None) -> dict[str, Any]:
    """The object of `tags --json`: `size` is compressed, in bytes; `created` RFC 3339 in UTC."""
    return {
        "schema": "layerscope.tags/1",
        "repository": found.repository,
        "total": found.total,
        "tags": [
            {
                "tags": tag.names,
                "digest": tag.digest,
                "size": tag.size,
                "created": None if tag.created is None else rfc3339(tag.created),
                "platforms": tag.platforms,
                "artifact": tag.artifact,
            }
            for tag in found.tags
        ],
        "pull_limit": pulls and asdict(pulls),
        "request_limit": found.requests and asdict(found.requests),
    }


def tags_text(found: TagList, pulls: RateLimit | None = None) -> Iterator[str]:
    rows = [("TAG", "CREATED", "SIZE", "PLATFORMS", "DIGEST")]
    rows += [
        (
            visible(_some(tag.names, _MOST_NAMES)),
            "-" if tag.created is None else docker_age(tag.created),
            "-" if tag.size is None else sized(tag.size),
            "not an image" if tag.artifact else visible(_some(tag.platforms, _MOST_PLATFORMS)),
            "-" if tag.digest is None else short_id(tag.digest),
        )
        for tag in found.tags
    ]
    yield from table(rows, "<<><<", "   ")
    if (left := found.total - sum(len(tag.names) for tag in found.tags)) > 0:
        yield f"{plural(left, 'more tag')}; --limit shows more."
    yield from _limits(pulls, found.requests)


def hits_document(hits: Sequence[Hit], pulls: RateLimit | None = None) -> dict[str, Any]:
    """The object of `search --json`; values that the registry does not report are null."""
    return {
        "schema": "layerscope.search/1",
        "repositories": [
            {
                "name": hit.name,
                "description": hit.description,
                "stars": hit.stars,
                "official": hit.official,
                "automated": hit.automated,
                "pulls": hit.pulls,
            }
            for hit in hits
        ],
        "pull_limit": pulls and asdict(pulls),
    }


def hits_text(hits: Sequence[Hit], pulls: RateLimit | None = None) -> Iterator[str]:
    columns = {
        "NAME": [visible(hit.name) for hit in hits],
        "DESCRIPTION": [one_line(hit.description) for hit in hits],
        "STARS": ["" if hit.stars is None else str(hit.stars) for hit in hits],
        "PULLS": ["" if hit.pulls is None else metric(hit.pulls) for hit in hits],
        "OFFICIAL": ["[OK]" if hit.official else "" for hit in hits],
        "AUTOMATED": ["[OK]" if hit.automated else "" for hit in hits],
    }
    # A registry that reports only names has no other columns.
    shown = {head: cells for head, cells in columns.items() if head == "NAME" or any(cells)}
    if "DESCRIPTION" in shown:
        others = (max(len(head), *map(len, cells)) + 3 for head, cells in shown.items()
                  if head != "DESCRIPTION")  # fmt: skip
        room = max(_DESCRIPTION, terminal_width() - sum(others))
        shown["DESCRIPTION"] = [clip(cell, room) for cell in shown["DESCRIPTION"]]
    align = "".join(">" if head in ("STARS", "PULLS") else "<" for head in shown)
    yield from table([tuple(shown), *zip(*shown.values(), strict=True)], align, "   ")
    yield from _limits(pulls)


def _limits(pulls: RateLimit | None, requests: RateLimit | None = None) -> Iterator[str]:
    """The remaining pulls, and the remaining requests if they are almost used up."""
    if pulls is not None:
        yield f"The registry allows {pulls.pulls}."
    if requests is not None and requests.is_low:
        yield f"The registry allows {requests.requests}."


def _some(names: Sequence[str], most: int) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" +{more}" if more > 0 else "") or "-"
