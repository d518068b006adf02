"""Removes images and more from an engine: rm, untag, prune. Each shows a plan, asks, and acts."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from layerscope.commands.asking import agreed, check_may_ask
from layerscope.errors import UsageError
from layerscope.output import say, write_lines
from layerscope.reports.progress import shown_progress
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.engines.engine import Engine
    from layerscope.images.reclaim import Plan


def rm(arguments: argparse.Namespace) -> int:
    """Returns 1 if anything named remains, or the user declined; else 0."""

    def planned(engine: Engine) -> Plan:
        from layerscope.engines.removal import find_containers, find_images, holdings_of
        from layerscope.images.pruning import with_containers, without
        from layerscope.images.reclaim import plan

        mark = "container:"
        given = [name.removeprefix(mark) for name in arguments.images if name.startswith(mark)]
        containers = find_containers(engine, given)
        holdings = without(holdings_of(engine), containers)
        images = [name for name in arguments.images if not name.startswith(mark)]
        found = plan(holdings, find_images(holdings, images))
        return with_containers(holdings, found, containers)

    check_may_ask(arguments, "Removing images")
    plan = _carried_out(arguments, planned)
    return 1 if plan is None or plan.obstacles else 0


def untag(arguments: argparse.Namespace) -> int:
    """Asks only if an image would be removed with its name. Returns as `rm`."""

    def planned(engine: Engine) -> Plan:
        from layerscope.engines.removal import find_images, holdings_of
        from layerscope.images.reclaim import plan

        holdings = holdings_of(engine)
        found = find_images(holdings, arguments.images)
        for given, (_, name) in zip(arguments.images, found, strict=True):
            if not name:
                raise UsageError(
                    f"{visible(given)} is the id of an image, not a name.",
                    "`layerscope rm` removes images by id.",
                )
        return plan(holdings, found)

    check_may_ask(arguments, "Removing the last name of an image", only_json=True)
    plan = _carried_out(arguments, planned)
    return 1 if plan is None or plan.obstacles else 0


def prune(arguments: argparse.Namespace) -> int:
    """Returns 1 if the user declined; else 0, also if there is nothing to remove."""

    def planned(engine: Engine) -> Plan:
        from layerscope.engines.removal import holdings_of
        from layerscope.images import pruning

        chosen = arguments.dangling or arguments.containers or arguments.build_cache
        images = pruning.UNUSED if arguments.unused else ""
        if not images and (arguments.dangling or not chosen):
            images = pruning.DANGLING
        older = arguments.older_than
        request = pruning.PruneRequest(
            images,
            arguments.containers,
            arguments.build_cache,
            None if older is None else time.time() - older,
            tuple(arguments.label),
        )
        holdings = holdings_of(engine, containers=request.containers, cache=request.cache)
        return pruning.prune(holdings, request)

    if arguments.dangling and arguments.unused:
        raise UsageError("--unused includes dangling images.", "Leave out --dangling.")
    if arguments.build_cache and arguments.label:
        raise UsageError("Build cache has no labels.", "Leave out --label or --build-cache.")
    check_may_ask(arguments, "Pruning")
    return 1 if _carried_out(arguments, planned) is None else 0


def _carried_out(arguments: argparse.Namespace, planned: Callable[[Engine], Plan]) -> Plan | None:
    """Shows a plan, asks, and carries it out; None if the user declined."""
    from layerscope.engines.docker import connect_any
    from layerscope.engines.removal import Space, remove
    from layerscope.reports.removal_report import (
        done_sentence,
        last_names,
        plan_document,
        plan_text,
    )

    with closing(connect_any()) as engine:
        with shown_progress("Asking the engine"):
            plan = planned(engine)
        freed = None
        names_only = arguments.command == "untag"
        if not arguments.json:
            write_lines([*(last_names(plan) if names_only else ()), *plan_text(plan)])
        if not plan.empty and not arguments.dry_run:
            # Removing a name can be undone.
            if not (arguments.yes or (names_only and not plan.removed)):
                check_may_ask(arguments, "Removing images")
                if not agreed("Go ahead? (y/N) "):
                    say("Nothing was removed.")
                    return None
            with shown_progress("Removing"):
                space = Space(engine, plan)
                for line in remove(engine, plan, space):
                    say(line)
                freed = space.freed()
            say(done_sentence(plan, freed))
        if arguments.json:
            write_lines([json.dumps(plan_document(plan, freed, arguments.command))])
    return plan
