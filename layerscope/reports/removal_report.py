"""`layerscope rm`, `untag` and `prune`: what removing frees, and what prevents it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from layerscope.images.reclaim import Bounds, Obstacle, Plan
from layerscope.text import (
    clip,
    docker_size,
    listed,
    one_line,
    plural,
    short_id,
    short_name,
    visible,
)

_LONGEST = 80  # Characters of a build cache entry's description.


def plan_document(plan: Plan, freed: int | None = None, of: str = "rm") -> dict[str, Any]:
    """The object of `rm --json`; sizes are bytes. `freed` was measured afterwards."""
    built = {each.id: image.id for image, below in plan.families for each in below}
    return {
        "schema": f"layerscope.{of}/1",
        "removed": [
            {
                "id": image.id,
                "names": list(image.tags),
                "layers": len(image.layers),
                # The requested image, for one that is removed only because of it.
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
                "images": list(obstacle.built_on_it),
            }
            for obstacle in plan.obstacles
        ],
        "containers": [
            {"id": each.id, "name": each.name, "state": each.state, "size": each.size}
            for each in plan.containers
        ],
        "build_cache": [
            {"id": each.id, "description": each.what, "size": each.size} for each in plan.cache
        ],
        "layers": len(plan.layers),
        "freed_at_least": plan.freed.least,
        "freed_at_most": plan.freed.most,
        "exact": plan.freed.exact,
        "freed": freed,
    }


def plan_text(plan: Plan) -> Iterator[str]:
    for container in plan.containers:
        size = "" if container.size is None else f"  {docker_size(container.size)}"
        state = visible(container.state)
        yield f"Remove  container {visible(container.name)}  ({state}){size}"
    for image, below in plan.families:
        identifier = short_id(image.id)
        names = visible(", ".join(image.tags))
        text = f"Remove  {names}  {identifier}" if names else f"Remove  {identifier}"
        if below:
            text += f"  and {_intermediate(len(below))} below it"
        yield text
    for each in plan.untagged:
        yield f"Untag   {visible(each.name)}  (the image {visible(each.reason)})"
    for step in plan.cache:
        what = clip(one_line(step.what) or visible(step.id), _LONGEST)
        yield f"Remove  build cache  {what}  {docker_size(step.size)}"
    for obstacle in plan.obstacles:
        yield f"Keep    {obstacle_text(obstacle)}"
    yield sentence(plan)


def last_names(plan: Plan) -> Iterator[str]:
    """Sentences about images that are removed because they lose their last names."""
    for image in plan.removed:
        if image.tags:
            be = "is its last name" if len(image.tags) == 1 else "are its last names"
            names = listed(map(visible, image.tags))
            yield f"Without a name, image {short_id(image.id)} is removed: {names} {be}."


def obstacle_text(obstacle: Obstacle) -> str:
    name = short_name(obstacle.name)
    if obstacle.built_on_it:
        return f"{name}: {listed(map(short_name, obstacle.built_on_it))} was built on it"
    users = listed(
        f"{visible(name)} ({visible(state)})" if state else visible(name)
        for name, state in obstacle.containers
    )
    return f"{name}: in use by {users}"


def sentence(plan: Plan) -> str:
    if plan.empty:
        return "Nothing can be removed."
    parts = []
    if what := _removed(plan):
        parts.append(f"removes {what}")
    if plan.untagged:
        parts.append(f"only removes {plural(len(plan.untagged), 'name')}")
    text = " and ".join(parts)
    return f"This {text}, and frees {freed_text(plan.freed)}."


def marked_text(plan: Plan) -> str:
    kept = (("in use", plan.obstacles), ("untagged only", plan.untagged))
    parts = [f"{len(images)} {words}" for words, images in kept if images]
    return ", ".join((f"frees {freed_text(plan.freed)}", *parts))


def done_sentence(plan: Plan, freed: int | None) -> str:
    """What was removed and freed; `freed` is the measured size, None if unknown."""
    what = _removed(plan)
    if not what:
        return f"Removed the name {listed(visible(each.name) for each in plan.untagged)}."
    if freed is None:
        return f"Removed {what}, freed {freed_text(plan.freed)} (not measured)."
    return f"Removed {what}, freed {freed_text(Bounds(freed, freed))}."


def _removed(plan: Plan) -> str:
    """The number of each kind, in words; empty if only names are removed."""
    numbers = (
        (len(plan.containers), "container"),
        (len(plan.families), "image"),
        (len(plan.removed) - len(plan.families), "intermediate image"),
        (len(plan.cache), "entry of the build cache"),
    )
    many = {"entry of the build cache": "entries of the build cache"}
    parts = [plural(number, what, many.get(what, "")) for number, what in numbers if number]
    return listed(parts) if parts else ""


def _intermediate(number: int) -> str:
    return plural(number, "intermediate image")


def freed_text(freed: Bounds) -> str:
    """The bytes freed, or the known bounds."""
    if freed.exact and not freed.least:
        return "nothing"
    if freed.least:
        count = plural(freed.least, "byte")
        text = count if freed.least < 1000 else f"{docker_size(freed.least)} ({count})"
        return text if freed.exact else f"at least {text}"
    if freed.most is not None:
        return f"at most {docker_size(freed.most)}"
    return "an unknown amount"
