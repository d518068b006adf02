"""`layerscope drift`: images that are behind their registry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from layerscope.reports.color import GREEN, YELLOW, painted
from layerscope.reports.layout import table
from layerscope.text import docker_age, docker_duration, plural, rfc3339, short_id, visible

if TYPE_CHECKING:
    from layerscope.engines.drift import Drift

_COLORS = {"current": GREEN, "behind": YELLOW, "gone": YELLOW}


def drift_document(found: Sequence[Drift]) -> dict[str, Any]:
    """The object of `drift --json`; `state` is current, behind, gone, local or unknown."""
    return {
        "schema": "layerscope.drift/1",
        "images": [
            {
                "reference": each.reference,
                "id": each.id,
                "created": rfc3339(each.created) if each.created > 0 else None,
                "state": each.state.value,
                "why": each.why or None,
                "local_digests": each.local,
                "remote_digest": each.remote,
                "remote_created": rfc3339(each.remote_created) if each.remote_created else None,
                "containers": [
                    {
                        "id": container.id,
                        "name": container.name,
                        "state": container.state,
                        "image_id": container.image_id,
                        "current": current,
                    }
                    for container, current in each.containers
                ],
            }
            for each in found
        ],
    }


def time_behind(drift: Drift) -> str:
    """How much newer the registry's image is: `12 days`; empty if unknown."""
    seconds = drift.seconds_behind
    return docker_duration(seconds).lower() if seconds else ""


def drift_text(found: Sequence[Drift]) -> Iterator[str]:
    rows = [("IMAGE", "CREATED", "STATE", "REGISTRY HAS", "CONTAINERS")]
    for each in found:
        state = each.state.value
        text = f"{state} {time_behind(each)}".rstrip()
        older = [visible(c.name) for c, current in each.containers if not current]
        running = len(each.containers) - len(older)
        uses = [plural(running, "current", "current")] if running else []
        uses += [f"older: {', '.join(older)}"] if older else []
        rows.append(
            (
                visible(each.reference),
                docker_age(each.created),
                painted(text, _COLORS.get(state, "")),
                short_id(each.remote) if each.remote and state == "behind" else "",
                ", ".join(uses),
            )
        )
    yield from table(rows, "<<<<<", "   ")
    for each in found:
        if each.why:
            yield f"{visible(each.reference)}: {visible(each.why)}"
    if behind := sum(each.is_behind for each in found):
        yield f"{behind} of {plural(len(found), 'image')} or their containers are behind."
