"""Starts a shell in an image, at a layer, or in a container."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from textual.app import App

from layerscope.config import STORE
from layerscope.text import visible
from layerscope.tui.base_app import app_of
from layerscope.tui.destinations import Goal, Place
from layerscope.tui.dialogs.question import QuestionScreen

_CONTAINER, _EMBEDDED = "container:", "embedded:"

#: Shells to choose from, the best first, and the folders to look in.
_SHELLS = ("bash", "sh", "ash", "zsh", "fish", "ksh")
_PLACES = ("usr/local/bin", "usr/bin", "bin")


def _shell_source(place: Place) -> str:
    image = None if place.session is None else place.session.image
    return place.source or ("" if image is None else image.source)


def _in_store(place: Place) -> bool:
    """Whether the image or container is in the embedded store."""
    if place.source:
        return place.engine == f"The {STORE}" or place.source.startswith(_EMBEDDED)
    return place.session is not None and place.session.way == STORE


def why_no_shell(place: Place) -> str:
    source, session = _shell_source(place), place.session
    if source and _in_store(place):
        return ""
    if place.no_engine:
        return f"A shell needs an engine. {place.no_engine}"
    if not source:
        return "No image is open." if session is None else "The image is not known yet."
    # Not at the top: the first paint does not need it.
    from layerscope.engines.shell import in_engine

    if not place.source and session is not None and not in_engine(source):
        first = f"load or pull this one first ({session.way})"
        return f"A shell needs the image in the engine: {first}."
    return ""


def start_shell(app: App[Any], place: Place, shell: str = "", user: str = "") -> None:
    """Runs a shell; by default the best available one, as the image's user."""
    chosen = [*(["--shell", shell] if shell else []), *(["--user", user] if user else [])]
    if _in_store(place):
        _sandbox_shell(app, place, chosen)
        return
    from layerscope.engines.shell import RunRequest, find_busybox
    from layerscope.tui.terminal.shell import NO_SHELL, run_own_shell, run_shell

    session = None if place.source else place.session
    podman = place.engine.startswith("Podman")
    source = _shell_source(place)
    if _below_top(place) and not source.startswith(_CONTAINER):
        # The engine needs an image of these layers; the command creates and removes it.
        app_of(app).say_if(run_own_shell(app, source, [*_at_layer(place), *chosen]))
        return

    def run(busybox: str = "") -> str:
        platform = "" if session is None else session.platform or ""
        request = RunRequest(source, shell=shell, user=user, platform=platform, busybox=busybox)
        return run_shell(app, request, podman=podman)

    problem = run()
    busybox = find_busybox() if problem == NO_SHELL and not source.startswith(_CONTAINER) else ""
    if not busybox:
        app_of(app).say_if(problem)
        return
    answers = (("y", f"Run {visible(busybox)} of this host in it"), ("n", "Do not"))
    app.push_screen(
        QuestionScreen(problem, "It is mounted into a new container, read only.", answers),
        lambda letter: app_of(app).say_if(run(busybox) if letter == "y" else ""),
    )


def choose_shell(app: App[Any], place: Place) -> None:
    """Asks which shell to run, and as which user."""
    from layerscope.engines.shell import shell_place
    from layerscope.tui.dialogs.choice import ChoiceScreen

    choices = {}
    for shell in _shells(place):
        choices[shell] = (shell, "")
        choices[f"{shell} as root"] = (shell, "0")

    def chosen(name: str | None) -> None:
        if name is not None:
            start_shell(app, place, *choices[name])

    title = f"A shell in {visible(shell_place(_shell_source(place)))}"
    app.push_screen(ChoiceScreen(title, list(choices)), chosen)


def _shells(place: Place) -> list[str]:
    """Returns the shells of an image that has been read, or else those to try."""
    loaded = None if place.source or place.session is None else place.session.loaded
    if loaded is None or not loaded.complete:
        return list(_SHELLS)
    from layerscope.filesystem.lookup import LookupFailedError, resolve

    layer = loaded.stack.height - 1 if place.layer is None else place.layer
    found = []
    for shell in _SHELLS:
        for folder in _PLACES:
            with suppress(LookupFailedError):
                resolve(loaded.stack, f"{folder}/{shell}".encode(), layer)
                found.append(shell)
                break
    return found or list(_SHELLS)


def _below_top(place: Place) -> bool:
    """Whether the cursor is on a layer below the top one of an image."""
    image = None if place.session is None else place.session.image
    in_layers = place.pane == "layers" and place.layer is not None and not place.source
    return in_layers and image is not None and place.layer != len(image.layers) - 1


def _at_layer(place: Place) -> list[str]:
    """Returns the options to run in the image up to the layer under the cursor."""
    options = []
    if place.pane == "layers" and place.layer is not None:
        options += ["--layer", str(place.layer)]
    if place.session is not None and place.session.platform:
        options += ["--platform", place.session.platform]
    return options


def _sandbox_shell(app: App[Any], place: Place, chosen: Sequence[str]) -> None:
    """Runs a shell in the sandbox, and goes to its changes."""
    from layerscope.engines.embedded.engine import EmbeddedEngine
    from layerscope.errors import NotFoundError
    from layerscope.tui.terminal.shell import run_own_shell

    source, engine = _shell_source(place), EmbeddedEngine()
    options = [*chosen]
    name = source.removeprefix(_CONTAINER)
    if name == source:
        image = source.removeprefix(_EMBEDDED)
        source, name = f"{_EMBEDDED}{image}", engine.kept_containers.new_name(image)
        options += ["--name", name, *_at_layer(place)]
    if problem := run_own_shell(app, source, options):
        app_of(app).say_if(problem)
        return
    try:
        engine.inspect_container(name)
    except NotFoundError:
        place.changed("The shell changed nothing.")
        return
    kept = f"{_CONTAINER}{name}"
    if place.session is None or place.session.source != kept:
        place.go(Goal(source=kept))
    place.changed(
        f"{visible(name)} keeps the changes: in the list of containers, K commits them, D drops "
        "them."
    )
