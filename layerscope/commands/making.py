"""Creates and tags images of an engine: tag, commit."""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from typing import TYPE_CHECKING

from layerscope.commands.asking import agreed, check_may_ask, may_ask
from layerscope.commands.opening import opened
from layerscope.errors import UsageError
from layerscope.output import say, warn, write_lines
from layerscope.reports.progress import shown_progress
from layerscope.text import short_id, visible

if TYPE_CHECKING:
    from layerscope.engines.naming import Naming


def tag(arguments: argparse.Namespace) -> int:
    """Returns 1 if another image has the name and keeps it; else 0."""
    from layerscope.engines.docker import connect_any
    from layerscope.engines.naming import give_name, plan_name
    from layerscope.engines.resolve import name_in_engine

    image = name_in_engine(arguments.source)
    with closing(connect_any()) as engine:
        with shown_progress("Asking the engine"):
            naming = plan_name(engine, image, arguments.new_name)
        if not may_take(naming, arguments.force):
            say("Nothing was changed.")
            return 1
        give_name(engine, naming)
    already = " already" if naming.done else ""
    say(f"Image {short_id(naming.id)} is{already} {visible(naming.name)}.")
    return 0


def commit(arguments: argparse.Namespace) -> int:
    """Returns 1 if the user declined; else 0."""
    from layerscope.build.embedded.changes import applied
    from layerscope.dockerfile.syntax.commit_change import checked_change
    from layerscope.engines.committing import commit as commit_container
    from layerscope.engines.docker import connect_any
    from layerscope.engines.engine import CommitRequest
    from layerscope.engines.naming import plan_new, whole_name
    from layerscope.images.containers.written import written
    from layerscope.images.files.contents import Contents
    from layerscope.reports.commit_report import commit_document, commit_text, committed_sentence

    changes = tuple(map(checked_change, arguments.change))
    name = whole_name(arguments.image_name) if arguments.image_name else ""
    check_may_ask(arguments, "A commit")
    given = arguments.container.removeprefix("container:")
    with closing(connect_any()) as engine:
        container = engine.inspect_container(given)
        reading = argparse.Namespace(**vars(arguments), platform=None, insecure=False)
        with opened(f"container:{container.id}", reading) as (loaded, reader):
            with shown_progress("Looking at what it has written"):
                found = written(loaded, Contents(reader))
            layer = loaded.stack.height - 1
        shown, image = container.name.removeprefix("/"), container.config.image
        if not arguments.json:
            write_lines(commit_text(shown, image, found, layer))
        made = None
        if not arguments.dry_run:
            naming = plan_new(engine, name) if name else None
            if naming is not None and not may_take(naming, arguments.force):
                say("Nothing was committed.")
                return 1
            what = f"as {visible(name)}" if name else "without a name"
            if not (arguments.yes or agreed(f"Commit it {what}? (y/N) ")):
                say("Nothing was committed.")
                return 1
            if engine.is_podman and arguments.message:
                warn("Podman keeps no message with an image.")
            about = (arguments.message or "", arguments.author or "", arguments.pause)
            request = CommitRequest(name, *about, changes, applied(changes))
            with shown_progress("Committing"):
                made = commit_container(engine, container.id, container.image, request, naming)
            if not arguments.json:
                write_lines(["", committed_sentence(made)])
        if arguments.json:
            write_lines([json.dumps(commit_document(shown, image, found, made))])
    return 0


def may_take(naming: Naming, force: bool) -> bool:
    """Asks whether a name may move from the image that has it."""
    if force or not naming.taken:
        return True
    if not may_ask():
        raise UsageError(naming.conflict, "Choose another name, or --force to move it.")
    return agreed(f"{naming.conflict} Move it? (y/N) ")
