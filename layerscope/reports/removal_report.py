"""`layerscope rm`: what removing images frees, and what is in the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from layerscope.images.reclaim import Bounds, Held, Obstacle, Plan
from layerscope.text import docker_size, short_id, visible

SCHEMA = "layerscope.rm/1"


def plan_document(plan: Plan) -> dict[str, Any]:
    """The object that `rm --dry-run --json` prints; sizes are bytes."""
    return {
        "schema": SCHEMA,
        "removed": [
            {"id": image.id, "names": list(image.tags), "layers": len(image.layers)}
            for image in plan.removed
        ],
        "untagged": [{"name": name, "because": reason} for name, reason in plan.untagged],
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
    }


def plan_text(plan: Plan) -> Iterator[str]:
    """The same for people, line by line."""
    for image in plan.removed:
        yield f"Remove  {image_name(image)}  {short_id(image.id)}"
    for name, reason in plan.untagged:
        yield f"Untag   {visible(name)}  (the image {visible(reason)})"
    for obstacle in plan.obstacles:
        yield f"Keep    {obstacle_text(obstacle)}"
    yield sentence(plan)


def image_name(image: Held) -> str:
    """What an image is called, or its id; safe to show."""
    return visible(", ".join(image.tags)) if image.tags else short_id(image.id)


def obstacle_text(obstacle: Obstacle) -> str:
    """Why an image is not removed; safe to show."""
    users = ", ".join(
        f"{visible(name)} ({visible(state)})" if state else visible(name)
        for name, state in obstacle.containers
    )
    return f"{visible(obstacle.name)}: in use by {users}"


def sentence(plan: Plan) -> str:
    """What it would do, in a sentence."""
    if not plan.removed and not plan.untagged:
        return "Nothing can be removed."
    parts = []
    if plan.removed:
        number = len(plan.removed)
        parts.append(f"removes {number} image{'s' if number > 1 else ''}")
    if plan.untagged:
        number = len(plan.untagged)
        parts.append(f"takes away {number} name{'s' if number > 1 else ''} only")
    text = " and ".join(parts)
    return f"This {text}, and frees {freed_text(plan.freed)}."


def marked_text(plan: Plan) -> str:
    """What removing marked images would do, in a few words."""
    text = f"frees {freed_text(plan.freed)}"
    if plan.obstacles:
        number = len(plan.obstacles)
        text += f", {number} in use"
    if plan.untagged:
        text += f", {len(plan.untagged)} untagged only"
    return text


def done_sentence(plan: Plan) -> str:
    """What it has done, in a sentence."""
    number = len(plan.removed)
    if not number:
        return f"{', '.join(visible(name) for name, _ in plan.untagged)} is no name any more."
    return f"Removed {number} image{'s' if number > 1 else ''}, freed {freed_text(plan.freed)}."


def freed_text(freed: Bounds) -> str:
    """How much is freed, in bytes as far as that is known."""
    if freed.exact:
        if freed.least < 1000:
            return f"{freed.least} bytes" if freed.least else "nothing"
        return f"{docker_size(freed.least)} ({freed.least:,} bytes)"
    if freed.least:
        return f"at least {docker_size(freed.least)} ({freed.least:,} bytes)"
    if freed.most is not None:
        return f"at most {docker_size(freed.most)}"
    return "an amount that the engine does not tell"
