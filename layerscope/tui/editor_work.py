"""What an editor needs worked out beside the screen; the screen is told by messages."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

from layerscope.errors import LayerscopeError
from layerscope.text import docker_size, visible
from layerscope.tui.background import collect_again, run_beside, uncollected
from layerscope.tui.editor_analysis import SMALL, Analysis, Formatted, analyse

if TYPE_CHECKING:
    from layerscope.build.known_builds import KnownBuild
    from layerscope.build.state import BuildState, BuildStep
    from layerscope.dockerfile.context import ContextFolder
    from layerscope.dockerfile.document import Document
    from layerscope.dockerfile.facts import StepWaste
    from layerscope.dockerfile.problems import Problem
    from layerscope.dockerfile.tools import ToolResult
    from layerscope.filesystem.stack import Stack
    from layerscope.filesystem.waste import LayerWaste
    from layerscope.images.image import Image
    from layerscope.jobs.job import Job
    from layerscope.tui.session import Connector, Session

Post = Callable[[Message], object]


@dataclass(frozen=True, slots=True)
class Made:
    """What an instruction made.

    Attributes:
        size: Bytes of the layer.
        layer: Its number in the image that is open; None if it is one of the last build.
        diff_id: Its digest; None if it is not known.
        more: Of an instruction that made several, the numbers of the others.
    """

    size: int
    layer: int | None = None
    diff_id: str | None = None
    more: Sequence[int] = ()

    @property
    def label(self) -> str:
        """The size as the gutter shows it."""
        return "+" + docker_size(self.size)


class Analysed(Message):
    """A large text has been read."""

    def __init__(self, analysis: Analysis) -> None:
        super().__init__()
        self.analysis = analysis


class Linted(Message):
    """Problems are known.

    Attributes:
        document: The document that they are in.
        own: Those that the checks of this program found.
        made: What instructions made, by their number; None if no image is known.
        context: The build context.
    """

    def __init__(
        self,
        document: Document,
        own: Sequence[Problem],
        made: dict[int, Made] | None,
        context: ContextFolder | None,
    ) -> None:
        super().__init__()
        self.document = document
        self.own = own
        self.made = made
        self.context = context


class ToolDone(Message):
    """Another tool has looked at a document.

    Attributes:
        tool: Its name.
        document: What it looked at.
        problems: What it found.
        failure: Why it could not look; empty if it could.
        loud: Whether the user is to be told of a failure.
    """

    def __init__(
        self,
        tool: str,
        document: Document,
        problems: Sequence[Problem],
        failure: str,
        loud: bool,
    ) -> None:
        super().__init__()
        self.tool = tool
        self.document = document
        self.problems = problems
        self.failure = failure
        self.loud = loud


class Surrounded(Message):
    """More is known of images, or of names in the build context."""


class BuildFound(Message):
    """The last build of the file is known."""


@dataclass
class Around:
    """What is known of the world around a Dockerfile.

    Attributes:
        images: Names of local images.
        context: The build context; None while it is not known.
        build: The last build of the file.
        finished: The last one that made an image.
        session: The image that is open.
    """

    images: Sequence[str] = ()
    context: ContextFolder | None = None
    build: tuple[Job, BuildState] | None = None
    finished: KnownBuild | None = None
    session: Session | None = None
    names: dict[str, Sequence[str]] = field(default_factory=dict)


def _told(tool: str, document: Document, found: ToolResult | None, loud: bool) -> ToolDone:
    if found is None:
        return ToolDone(tool, document, (), "", loud)
    return ToolDone(tool, document, found.problems, visible(found.failure), loud)


def _by_diff_id(made: Mapping[int, Sequence[BuildStep]], image: Image) -> dict[int, list[int]]:
    """For numbers of instructions, those of an image's layers that a build says they made."""
    numbers = {layer.diff_id: layer.index for layer in image.layers}
    found = {
        number: [numbers[e.diff_id] for s in steps if (e := s.ended) and e.diff_id in numbers]
        for number, steps in made.items()
    }
    return {number: layers for number, layers in found.items() if layers}


class EditorWork:
    """The work for one editor, one piece of each kind at a time; what is stale is dropped."""

    def __init__(self, post: Post, connector: Connector | None, session: Session | None) -> None:
        """Begins with nothing.

        Args:
            post: Where messages go.
            connector: Connects to the engine, for names of images.
            session: The image that is open.
        """
        self.around = Around(session=session)
        self._post = post
        self._connector = connector
        self._lock = threading.Lock()
        self._wanted: dict[str, Callable[[], Message | None]] = {}
        self._running: set[str] = set()
        self._closed = self._large = False
        self._hidden: tuple[Stack, Sequence[LayerWaste]] | None = None

    def close(self) -> None:
        """Drops everything."""
        self._closed = True
        if self._large:
            run_beside("garbage", collect_again)

    def busy(self, *kinds: str) -> bool:
        """Whether work of some kind is being done."""
        with self._lock:
            return any(kind in self._running for kind in kinds)

    def analyse(self, text: str) -> None:
        """Reads a text; an `Analysed` follows."""
        self._large = True
        self._do("analyse", lambda: Analysed(analyse(text)))

    def format(self, text: str, analysis: Analysis | None) -> None:
        """Formats a text; a `Formatted` follows.

        Args:
            text: The text.
            analysis: The same, read, if it has been.
        """

        def work() -> Message:
            from layerscope.dockerfile.format import apply, edits

            known = analysis or analyse(text)
            with uncollected():
                changes = edits(known.document)
            return Formatted(known, apply(text, changes), changes)

        self._do("format", work)

    def list_images(self) -> None:
        """Asks the engine for names of images."""
        connector = self._connector
        if connector is None:
            return

        def work() -> Message:
            found = {
                f"{image.repository}:{image.tag}"
                for image in connector().images()
                if "<none>" not in (image.repository, image.tag)
            }
            self.around.images = sorted(found)
            return Surrounded()

        self._do("images", work)

    def list_folder(self, folder: str) -> Sequence[str] | None:
        """Names in a folder of the build context; None as long as they have to be looked for."""
        context = self.around.context
        known = self.around.names.get(folder)
        if known is not None or context is None:
            return known

        def work() -> Message:
            from layerscope.dockerfile.context import sent_names

            self.around.names[folder] = sent_names(context, folder)
            return Surrounded()

        self._do("folder", work)
        return None

    def lint(self, document: Document, path: Path) -> None:
        """Looks for problems, and for layers; a `Linted` follows.

        Args:
            document: The document.
            path: Where it is, or will be.
        """

        def work() -> Message:
            from layerscope.dockerfile.facts import World
            from layerscope.dockerfile.lint import lint

            context = self._context(path)
            with uncollected() if len(document.text) > SMALL else nullcontext():
                found = lint(document, World(context=context, waste=self._waste(document)))
                made = self._made(document)
            return Linted(document, found, made, context)

        self._do("lint", work)

    def look_with_tools(self, document: Document, path: Path) -> None:
        """Asks hadolint and BuildKit beside each other; a `ToolDone` follows of each."""
        self.look_with_hadolint(document, path, loud=True)

        def work() -> Message:
            from layerscope.dockerfile import tools

            return _told("buildkit", document, tools.build_check(document, path.parent), True)

        self._do("buildkit", work)

    def look_with_hadolint(self, document: Document, path: Path, loud: bool = False) -> None:
        """Asks hadolint, if it is there; a `ToolDone` follows."""

        def work() -> Message:
            from layerscope.dockerfile import tools

            return _told("hadolint", document, tools.hadolint(document, path.parent), loud)

        self._do("hadolint", work)

    def find_build(self, path: Path) -> None:
        """Looks for the last build of the file."""

        def work() -> Message | None:
            from layerscope.build.known_builds import finished_build, last_build
            from layerscope.build.state import BuildState

            job = last_build(path)
            if job is None:
                return None
            finished = finished_build(path)
            # A journal may be long: what has been read of it is not read again.
            same = finished if finished is not None and finished.job.id == job.id else None
            state = BuildState(job.journal) if same is None else same.state
            state.read()
            self.around.build, self.around.finished = (job, state), finished
            return BuildFound()

        self._do("build", work)

    def _context(self, path: Path) -> ContextFolder | None:
        from layerscope.dockerfile.context import open_context, sent_names

        try:
            found = open_context(path.parent, path)
        except LayerscopeError:
            return None
        # Somebody may have made or removed files meanwhile.
        names: dict[str, Sequence[str]] = {}
        for folder in list(self.around.names):
            names[folder] = sent_names(found, folder)
        self.around.context, self.around.names = found, names
        return found

    def _made(self, document: Document) -> dict[int, Made] | None:
        """What instructions made: in the image that is open, or else in the last build."""
        from layerscope.build.known_builds import made_by

        session, build = self.around.session, self.around.finished
        if session is not None and session.image is not None and session.loaded is not None:
            from layerscope.dockerfile.match_history import match_layers

            stack, image = session.loaded.stack, session.image
            matched = match_layers(document, image)
            if matched:
                if build is not None:
                    # The history does not tell of what a base had for those that build on it.
                    matched = _by_diff_id(made_by(document, build), image) | matched
                return {
                    number: Made(
                        sum(map(stack.layer_size, layers)),
                        layers[0],
                        image.layers[layers[0]].diff_id,
                        layers[1:],
                    )
                    for number, layers in matched.items()
                    if layers[-1] < stack.height
                }
        if build is not None:
            found = {
                number: Made(sum(e.size or 0 for e in events), None, events[0].diff_id)
                for number, steps in made_by(document, build).items()
                if (events := [step.ended for step in steps if step.ended is not None])
            }
            return found or None
        return None

    def _waste(self, document: Document) -> Sequence[StepWaste]:
        """What instructions wasted: in the last build, or else in the image that is open."""
        session, build = self.around.session, self.around.finished
        if build is not None:
            from layerscope.build.known_builds import waste_of

            return waste_of(document, build)
        if session is None or session.image is None or session.loaded is None:
            return ()
        stack = session.loaded.stack
        if stack.height < len(session.image.layers):
            # Not all layers are there yet.
            return ()
        from layerscope.dockerfile.match_history import step_waste
        from layerscope.filesystem.waste import by_layer

        if self._hidden is None or self._hidden[0] is not stack:
            self._hidden = stack, by_layer(stack)
        return step_waste(document, session.image, self._hidden[1])

    def _do(self, kind: str, work: Callable[[], Message | None]) -> None:
        """Does a piece of work, behind the one of its kind that is being done."""
        with self._lock:
            self._wanted[kind] = work
            if kind in self._running:
                return
            self._running.add(kind)
        run_beside(f"editor-{kind}", partial(self._loop, kind))

    def _loop(self, kind: str) -> None:
        while True:
            with self._lock:
                work = self._wanted.pop(kind, None)
                if work is None or self._closed:
                    self._running.discard(kind)
                    return
            try:
                message = work()
            except Exception:  # noqa: S112
                # An engine that does not answer, a folder that has gone: there is less to offer.
                continue
            if message is not None and not self._closed:
                self._post(message)
