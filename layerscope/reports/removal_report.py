"""`layerscope rm`: what removing images frees, and what prevents it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from layerscope.images.reclaim import Bounds, Obstacle, Plan
from layerscope.text import docker_size, listed, plural, short_id, visible


def plan_document(plan: Plan, freed: int | None = None) -> dict[str, Any]:
    """The object of `rm --json`; sizes are bytes. `freed` is what was measured afterwards."""
    built = {each.id: image.id for image, below in plan.families for each in below}
    return {
        "schema": "layerscope.rm/1",
        "removed": [
            {
                "id": image.id,
                "names": list(image.tags),
                "layers": len(image.layers),
                # The image that was asked for, of one that is removed only because of it.
                "because_of": built.get(image.id),
            }
            for image in plan.removed
        ],
        "untagged": [{"name": each.name, "because": each.reason} for each in plan.untagged],
        "in_the_way": [
            {
                "name": obstacle.name,
                "containers": [
                    {"name": name, "state": state} for name, state in obstacle.containers
                ],
            }
            for obstacle in plan.obstacles
        ],
        "layers": len(plan.layers),
        "freed_at_least": plan.freed.least,
        "freed_at_most": plan.freed.most,
        "exact": plan.freed.exact,
        "freed": freed,
    }


def plan_text(plan: Plan) -> Iterator[str]:
    for image, below in plan.families:
        identifier = short_id(image.id)
        names = visible(", ".join(image.tags))
        text = f"Remove  {names}  {identifier}" if names else f"Remove  {identifier}"
        if below:
            text += f"  and {_intermediate(len(below))} below it"
        yield text
    for each in plan.untagged:
        yield f"Untag   {visible(each.name)}  (the image {visible(each.reason)})"
    for obstacle in plan.obstacles:
        yield f"Keep    {obstacle_text(obstacle)}"
    yield sentence(plan)


def obstacle_text(obstacle: Obstacle) -> str:
    users = listed(
        f"{visible(name)} ({visible(state)})" if state else visible(name)
        for name, state in obstacle.containers
    )
    return f"{visible(obstacle.name)}: in use by {users}"


def sentence(plan: Plan) -> str:
    if not plan.removed and not plan.untagged:
        return "Nothing can be removed."
    parts = []
    if plan.removed:
        parts.append(f"removes {_removed(plan)}")
    if plan.untagged:
        parts.append(f"only removes {plural(len(plan.untagged), 'name')}")
    text = " and ".join(parts)
    return f"This {text}, and frees {freed_text(plan.freed)}."


def marked_text(plan: Plan) -> str:
    kept = (("in use", plan.obstacles), ("untagged only", plan.untagged))
    parts = [f"{len(images)} {words}" for words, images in kept if images]
    return ", ".join((f"frees {freed_text(plan.freed)}", *parts))


def done_sentence(plan: Plan, freed: int | None) -> str:
    """What was removed and freed; `freed` is as it was measured, None if that was not possible."""
    if not plan.removed:
        return f"Removed the name {listed(visible(each.name) for each in plan.untagged)}."
    if freed is None:
        return f"Removed {_removed(plan)}, freed {freed_text(plan.freed)} (not measured)."
    return f"Removed {_removed(plan)}, freed {freed_text(Bounds(freed, freed))}."


def _removed(plan: Plan) -> str:
    images = plural(len(plan.families), "image")
    others = len(plan.removed) - len(plan.families)
    return f"{images} and {_intermediate(others)}" if others else images


def _intermediate(number: int) -> str:
    return plural(number, "intermediate image")


def freed_text(freed: Bounds) -> str:
    """How much is freed: the bytes, or as much as is known."""
    if freed.exact and not freed.least:
        return "nothing"
    if freed.least:
        count = plural(freed.least, "byte")
        text = count if freed.least < 1000 else f"{docker_size(freed.least)} ({count})"
        return text if freed.exact else f"at least {text}"
    if freed.most is not None:
        return f"at most {docker_size(freed.most)}"
    return "an unknown amount"
