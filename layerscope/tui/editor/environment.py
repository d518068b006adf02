"""The surroundings of a Dockerfile: local images, build context, builds, the open image."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from layerscope.build.known_builds import KnownBuild, finished_build, last_build, made_by, waste_of
from layerscope.build.preview import builder_that_matters
from layerscope.build.state import BuildStep
from layerscope.dockerfile.checks.facts import World
from layerscope.dockerfile.checks.lint import lint
from layerscope.dockerfile.checks.problems import Problem
from layerscope.dockerfile.context.context import ContextFolder, open_context, sent_names
from layerscope.dockerfile.context.conventions import has_containerignore
from layerscope.dockerfile.meaning.match_history import StepWaste, match_layers, step_waste
from layerscope.dockerfile.syntax.document import Document
from layerscope.errors import LayerscopeError
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.waste import LayerWaste, by_layer
from layerscope.images.image import Image
from layerscope.jobs.job import Job
from layerscope.text import docker_size
from layerscope.tui.editor.draft import SMALL
from layerscope.tui.session import Connector, Session
from layerscope.tui.work import Problem as Failure
from layerscope.tui.work import Work, without_garbage_collection

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InstructionLayer:
    size: int  # Total bytes of its layers.
    #: Its layer in the open image; None if the layer is from the last build.
    layer: int | None = None
    diff_id: str | None = None  # Its diff_id, if known.
    more: Sequence[int] = ()  # Numbers of its other layers, if it made several.

    @property
    def label(self) -> str:
        return "+" + docker_size(self.size)


@dataclass(frozen=True, slots=True)
class Findings:
    document: Document
    problems: Sequence[Problem]
    #: By instruction number; None if no image is known.
    layers: Mapping[int, InstructionLayer] | None
    context: ContextFolder | None  # The build context; None if it cannot be read.
    #: Names in its folders, where they were requested.
    names: dict[str, Sequence[str]] = field(default_factory=dict)
    failure: str = ""  # A sentence on why the build context cannot be read, or "".


class Environment:
    def __init__(
        self,
        work: Work,
        connector: Connector | None,
        session: Session | None,
        on_change: Callable[[], object],
    ) -> None:
        self.images: Sequence[str] = ()  # Names of local images.
        self.images_failure = ""  # A sentence on why they are not known, or "".
        self.context: ContextFolder | None = None  # The build context, once known.
        self.build: Job | None = None  # The last build of the file.
        self.finished: KnownBuild | None = None  # The last build that produced an image.
        self.session = session
        self.on_change = on_change  # Called when completion can offer more.
        self._work = work
        self._connector = connector
        self._names: dict[str, Sequence[str]] = {}
        self._builder: str | None = None  # The engine's builder, once it was needed.
        self._hidden: tuple[Stack, Sequence[LayerWaste]] | None = None

    # Names.

    @property
    def listing_images(self) -> bool:
        return self._work.busy("images")

    def list_images(self) -> None:
        connector = self._connector
        if connector is None:
            return

        def run(_: object) -> list[str]:
            return sorted({image.name for image in connector().images()} - {""})

        def done(names: list[str]) -> None:
            self.images = names
            self.on_change()

        def failed(failure: Failure) -> None:
            # The editor works without an engine.
            self.images_failure = f"Local images are not known: {failure.message}"
            _log.warning("%s", self.images_failure)
            self.on_change()

        self._work.start("images", run, done, failed=failed)

    def list_folder(self, folder: str) -> Sequence[str] | None:
        """Names in a folder of the build context; None while they are being read."""
        context = self.context
        known = self._names.get(folder)
        if known is not None or context is None:
            return known

        def done(names: Sequence[str]) -> None:
            if self.context is context:
                self._names[folder] = names
            self.on_change()

        self._work.queue("folder", lambda _: sent_names(context, folder), done)
        return None

    # Builds.

    def find_build(self, path: Path, then: Callable[[], object]) -> None:
        """Finds the last build of a file, and calls a function if there is one."""

        def done(found: tuple[Job | None, KnownBuild | None]) -> None:
            if found[0] is not None:
                self.build, self.finished = found
                then()

        self._work.start("build", lambda _: (last_build(path), finished_build(path)), done)

    # Checks.

    def check(self, document: Document, path: Path) -> Findings:
        """Finds the problems and layers of a document at a path; slow."""
        context, failure = None, ""
        names: dict[str, Sequence[str]] = {}
        try:
            if self._builder is None and has_containerignore(path.parent, path):
                self._builder = builder_that_matters(path.parent, path)
            context = open_context(path.parent, path, self._builder or "")
            # Files may have been added or removed.
            names = {folder: sent_names(context, folder) for folder in list(self._names)}
        except LayerscopeError as error:
            failure = str(error)
        with without_garbage_collection() if len(document.text) > SMALL else nullcontext():
            found = lint(document, World(context=context, waste=self._waste(document)))
            layers = self._layers(document)
        return Findings(document, found, layers, context, names, failure)

    def take(self, found: Findings) -> None:
        if found.context is not None:
            self.context, self._names = found.context, found.names

    def _layers(self, document: Document) -> dict[int, InstructionLayer] | None:
        """Returns what instructions added to the open image, or else in the last build."""
        session, build = self.session, self.finished
        if session is not None and session.image is not None and session.loaded is not None:
            stack, image = session.loaded.stack, session.image
            matched = match_layers(document, image)
            if matched:
                if build is not None:
                    # An image's history does not show which layers ONBUILD created.
                    matched = _by_diff_id(made_by(document, build), image) | matched
                return {
                    number: InstructionLayer(
                        sum(map(stack.layer_size, layers)),
                        layers[0],
                        image.layers[layers[0]].diff_id,
                        layers[1:],
                    )
                    for number, layers in matched.items()
                    if layers[-1] < stack.height
                }
        if build is None:
            return None
        found = {
            number: InstructionLayer(sum(e.size or 0 for e in events), None, events[0].diff_id)
            for number, steps in made_by(document, build).items()
            if (events := [step.ended for step in steps if step.ended is not None])
        }
        return found or None

    def _waste(self, document: Document) -> Sequence[StepWaste]:
        """Returns what instructions wasted in the last build, or else in the open image."""
        session, build = self.session, self.finished
        if build is not None:
            return waste_of(document, build)
        if session is None or session.image is None or session.loaded is None:
            return ()
        stack = session.loaded.stack
        if stack.height < len(session.image.layers):
            # Layers are still being read.
            return ()
        if self._hidden is None or self._hidden[0] is not stack:
            self._hidden = stack, by_layer(stack)
        return step_waste(document, session.image, self._hidden[1])


def _by_diff_id(made: Mapping[int, Sequence[BuildStep]], image: Image) -> dict[int, list[int]]:
    """Returns the image's layers that a build created, by instruction number."""
    numbers = {layer.diff_id: layer.index for layer in image.layers}
    found = {
        number: [numbers[e.diff_id] for s in steps if (e := s.ended) and e.diff_id in numbers]
        for number, steps in made.items()
    }
    return {number: layers for number, layers in found.items() if layers}
