"""The main screen: images, layers, files, details."""

from __future__ import annotations

from typing import Any

from textual.app import App

from layerscope.config import STORE
from layerscope.text import visible
from layerscope.tui.base_app import app_of
from layerscope.tui.destinations import Destination, Goal, Place, Room
from layerscope.tui.dialogs.question import QuestionScreen
from layerscope.tui.keys.key import Keyed

_CONTAINER, _EMBEDDED = "container:", "embedded:"


def _keyed() -> tuple[type[Keyed], ...]:
    from layerscope.tui.explore.container_list import ContainerList
    from layerscope.tui.explore.copy import CopyScreen
    from layerscope.tui.explore.extract import ExtractScreen
    from layerscope.tui.explore.image_list import ImageList
    from layerscope.tui.explore.layer_list import LayerList
    from layerscope.tui.explore.screen import MainScreen

    return MainScreen, ImageList, ContainerList, LayerList, CopyScreen, ExtractScreen


def _copy(app: App[Any], place: Place) -> None:
    from layerscope.tui.explore.copy import ask

    ask(app, place)


def _why_no_extract(place: Place) -> str:
    session = place.session
    if session is None:
        return "No image is open."
    if session.loaded is None or session.contents is None or not session.ended:
        return "Files can be extracted once the whole image has been read."
    if place.view is None or place.node is None:
        return "Go to a file or folder first."
    return ""


def _extract(app: App[Any], place: Place) -> None:
    from layerscope.tui.explore.extract import ExtractScreen

    app.push_screen(ExtractScreen(place), app_of(app).say_if)


def _shell_source(place: Place) -> str:
    image = None if place.session is None else place.session.image
    return place.source or ("" if image is None else image.source)


def _in_store(place: Place) -> bool:
    """Whether the image or container is one of the embedded store."""
    if place.source:
        return place.engine == f"The {STORE}" or place.source.startswith(_EMBEDDED)
    return place.session is not None and place.session.way == STORE


def _why_no_shell(place: Place) -> str:
    source, session = _shell_source(place), place.session
    if source and _in_store(place):
        return ""
    if place.no_engine:
        return f"A shell needs an engine. {place.no_engine}"
    if not source:
        return "No image is open." if session is None else "The image is not known yet."
    # Not before there is an engine: the first paint comes first.
    from layerscope.engines.shell import in_engine

    if not place.source and session is not None and not in_engine(source):
        return f"A shell needs the image in the engine; this one is read from {session.way}."
    return ""


def _shell(app: App[Any], place: Place) -> None:
    if _in_store(place):
        _sandbox_shell(app, place)
        return
    from layerscope.engines.shell import find_busybox
    from layerscope.tui.terminal.shell import NO_SHELL, run_own_shell, run_shell

    session = None if place.source else place.session
    podman = place.engine.startswith("Podman")
    platform = "" if session is None else session.platform or ""
    source = _shell_source(place)
    if _below_top(place) and not source.startswith(_CONTAINER):
        # The engine needs an image of these layers, which the command makes and removes.
        app_of(app).say_if(run_own_shell(app, source, _at_layer(place)))
        return

    def run(busybox: str = "") -> str:
        return run_shell(app, source, podman=podman, platform=platform, busybox=busybox)

    problem = run()
    busybox = find_busybox() if problem == NO_SHELL and not source.startswith("container:") else ""
    if not busybox:
        app_of(app).say_if(problem)
        return
    answers = (("y", f"Run {visible(busybox)} of this host in it"), ("n", "Do not"))
    app.push_screen(
        QuestionScreen(problem, "It is mounted into a new container, read only.", answers),
        lambda letter: app_of(app).say_if(run(busybox) if letter == "y" else ""),
    )


def _below_top(place: Place) -> bool:
    """Whether the cursor is on a layer of an image, and not on the topmost."""
    image = None if place.session is None else place.session.image
    in_layers = place.pane == "layers" and place.layer is not None and not place.source
    return in_layers and image is not None and place.layer != len(image.layers) - 1


def _at_layer(place: Place) -> list[str]:
    """The options of a run in the image as it is at the layer under the cursor."""
    options = []
    if place.pane == "layers" and place.layer is not None:
        options += ["--layer", str(place.layer)]
    if place.session is not None and place.session.platform:
        options += ["--platform", place.session.platform]
    return options


def _sandbox_shell(app: App[Any], place: Place) -> None:
    """Runs a shell in the sandbox, and goes to what it changed."""
    from layerscope.engines.embedded.engine import EmbeddedEngine
    from layerscope.errors import NotFoundError
    from layerscope.tui.terminal.shell import run_own_shell

    source, engine = _shell_source(place), EmbeddedEngine()
    options: list[str] = []
    name = source.removeprefix(_CONTAINER)
    if name == source:
        image = source.removeprefix(_EMBEDDED)
        source, name = f"{_EMBEDDED}{image}", engine.kept_containers.new_name(image)
        options = ["--name", name, *_at_layer(place)]
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
    place.changed(f"{visible(name)} keeps that; in the list of containers, K commits, D drops it.")


ROOM = Room(
    "explore",
    _keyed,
    {
        "copy": Destination(_copy),
        "extract": Destination(_extract, _why_no_extract),
        "shell": Destination(_shell, _why_no_shell),
    },
)
