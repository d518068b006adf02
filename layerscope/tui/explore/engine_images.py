"""Keeps the lists of images and containers up to date with the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from layerscope.errors import LayerscopeError
from layerscope.text import visible
from layerscope.tui.explore.container_list import ContainerList
from layerscope.tui.explore.engine_list import UNANSWERED
from layerscope.tui.explore.image_list import ImageList
from layerscope.tui.removal import Reclaimer
from layerscope.tui.session import Connector
from layerscope.tui.work import Problem, Task, Work

if TYPE_CHECKING:
    from textual.timer import Timer

    from layerscope.engines.engine import ContainerSummary, Engine
    from layerscope.engines.measuring import MeasuredImage
    from layerscope.images.reclaim import Plan
    from layerscope.images.sizes import ImageFacts, ImageSizes
    from layerscope.images.summary import ImageSummary
    from layerscope.tui.session import Session

#: Seconds without an answer from the engine before the screen says so.
_PATIENCE = 5.0
#: Seconds until an engine that is missing or does not answer is retried.
_AGAIN = 3.0
#: Retries of an engine that worked before its images are removed from the screen.
_TRIES = 3
#: Seconds from an event to the refresh, since events come in groups.
_GATHER = 0.5
#: Seconds between polls of an engine that reports no events.
_POLL = 10.0
#: Seconds between two reports of facts about images.
_PERIOD = 0.5

_Listed = tuple["Engine", "Sequence[ImageSummary]"]


class Measurer(Protocol):
    """Measures images of the current engine, as `measure_apart` does."""

    def __call__(
        self,
        ids: Sequence[str],
        on_stop: Callable[[Callable[[], object]], object],
        *,
        thorough: bool = False,
    ) -> Iterator[MeasuredImage]: ...


def measure_apart(
    ids: Sequence[str],
    on_stop: Callable[[Callable[[], object]], object],
    *,
    thorough: bool = False,
) -> Iterator[MeasuredImage]:
    # Not at the top: the first paint does not need it.
    from layerscope.engines import measuring

    return measuring.measure_apart(ids, on_stop, thorough=thorough)


@dataclass(eq=False)
class EngineImages:
    _images: ImageList
    _containers: ContainerList
    _connector: Connector
    _clock: Callable[[], float]
    _work: Work
    _changed: Callable[[], object]  # Called when the engine has answered.
    _say: Callable[[str], object]
    _timer: Callable[[float, Callable[[], object]], Timer]  # Calls a function after some seconds.
    _looked_at: Callable[[], bool]  # Whether the user is looking at the lists.
    _measurer: Measurer | None  # None reads only the cache.
    name: str = ""  # The engine's name, safe to show; empty until it answers.
    _problem: Problem | None = None
    _engine: Engine | None = None
    _notice: str = ""  # The notice about the engine from its last listing.
    _tries: int = 0  # Retries left before a problem is shown.
    _due: bool = False  # Whether a refresh is scheduled.
    _facts: dict[str, ImageFacts] = field(default_factory=dict)  # By id of the image.
    _sized: frozenset[str] = frozenset()  # Ids of the images whose shared sizes are shown.
    _tried: set[str] = field(default_factory=set)  # Ids of the images with an attempt to measure.

    def __post_init__(self) -> None:
        self.reclaimer = Reclaimer(self._connector)

    @property
    def absence(self) -> str:
        """A sentence on why there is no engine, or ""."""
        if self.name:
            return ""
        return UNANSWERED if self._problem is None else "No engine answers."

    # Images.

    def switch(self) -> None:
        """Shows what another engine has."""
        for group in ("engine", "sizes", "containers", "facts", "measure", "plan"):
            self._work.leave(group)
        self.name, self._problem, self._sized = "", None, frozenset()
        self._images.set_listed((), self._clock(), None)
        self._containers.set_listed((), self._clock())
        for pane in (self._images, self._containers):
            pane.await_engine()
        self.list()

    def list(self) -> None:
        """Lists the engine's images, for the first time or again."""
        self._engine, self._tries = None, 0
        self._work.leave("events")  # The engine may have changed.
        self.reclaimer.forget()
        task: Task[object] = self._work.start(
            "engine", self._ask, self._listed, failed=self._failed
        )

        def patience_ends() -> None:
            if not task.running or task.left:
                return
            if self._images.total:
                self._say(f"{UNANSWERED} It may hang.")
            elif self._problem is None:
                self._images.set_placeholder(
                    (UNANSWERED, "warning"),
                    ("It may hang. You can wait, or press o to open something else.", "muted"),
                )

        self._timer(_PATIENCE, patience_ends)

    def _ask(self, _: object) -> _Listed:
        engine = self._engine or self._connector()
        return engine, engine.images()

    def refresh(self) -> None:
        """Updates the lists."""
        self.reclaimer.forget()
        self._work.queue("engine", self._ask, self._listed, failed=self._failed)

    def _listed(self, listed: _Listed) -> None:
        engine, images = self._engine, _ = listed
        self.name, self._problem, self._tries = visible(engine.name), None, _TRIES
        if engine.own_store:
            self._images.set_stored(images, self._clock(), engine.notice)
        else:
            self._images.set_listed(images, self._clock(), None)
        if images and engine.notice != self._notice:
            self._say(engine.notice)
        self._notice = engine.notice
        self._changed()
        self._list_containers()
        ids = frozenset(image.id for image in images)
        if ids != self._sized:
            # Optional, so failures are ignored.
            self._work.queue(
                "sizes",
                lambda _: engine.images(sizes=True),
                partial(self._show_sizes, ids),
                failed=_ignored,
            )
        if not ids.issubset(self._facts):
            self._describe(engine)
        self._listen()

    def _show_sizes(self, ids: frozenset[str], images: Sequence[ImageSummary]) -> None:
        self._sized = ids
        self._images.set_sizes(images)

    def _failed(self, problem: Problem) -> None:
        self._engine = None
        if self._tries:
            # A restarted engine is back in a moment.
            self._tries -= 1
            self._timer(_AGAIN, self.refresh)
            return
        self.name, self._problem = "", problem
        self._images.set_listed((), self._clock(), (problem.message, problem.hint))
        self._containers.set_listed((), self._clock())
        self._changed()
        self._ask_soon()

    def _ask_soon(self) -> None:
        """Retries soon, so that an engine that starts appears without a key press."""

        def ask() -> None:
            if self._problem is None or self._work.busy("engine"):
                return
            if self._looked_at():
                self.list()
            else:
                self._ask_soon()

        self._timer(_AGAIN, ask)

    def set_time(self, now: float) -> None:
        """Updates the ages of images and containers to a Unix time."""
        self._images.set_time(now)
        self._containers.set_time(now)

    # Containers.

    def _list_containers(self) -> None:
        def show(containers: Sequence[ContainerSummary]) -> None:
            self._containers.set_listed(containers, self._clock())
            self._images.set_users(containers)
            self._changed()

        if (engine := self._engine) is not None:
            # Measuring is slow, so it waits until the user looks.
            sizes = self._containers.has_focus
            self._work.queue(
                "containers", lambda _: engine.containers(sizes=sizes), show, failed=_ignored
            )

    def look_at_containers(self) -> None:
        """Measures the read-write layers of the containers."""
        self._list_containers()

    # Events.

    def _listen(self) -> None:
        """Listens to the engine's events, so that no polling is necessary."""
        if self._work.busy("events"):
            return
        opened = False

        def listen(task: Task[None]) -> None:
            nonlocal opened
            events, stop = self._connector().events()
            opened = True
            task.on_stop(stop)
            # Something may have changed before the engine began to report.
            task.report(None)
            for _ in events:
                task.report(None)

        def ended(_: object) -> None:
            self._timer(1.0 if opened else _POLL, self._listen_again)

        self._work.start(
            "events", listen, ended, failed=ended, report=lambda _: self._refresh_soon()
        )

    def _listen_again(self) -> None:
        if self._problem is not None:
            return  # The next retry listens again.
        if self._looked_at() or self._images.total:
            self.refresh()

    def _refresh_soon(self) -> None:
        def refresh() -> None:
            self._due = False
            self.refresh()

        if not self._due:
            self._due = True
            self._timer(_GATHER, refresh)

    # Facts about images.

    def _describe(self, engine: Engine) -> None:
        """Inspects each image that is not known yet, with measured sizes from the cache."""
        ids = [each for each in self._images.ids if each not in self._facts]

        def describe(task: Task[dict[str, ImageFacts]]) -> dict[str, ImageFacts]:
            from layerscope.engines.measuring import describe as described
            from layerscope.images.cache.sizes import SizesCache

            cache, found = SizesCache(), {}
            for identifier in ids:
                task.check()
                try:
                    found[identifier] = described(engine, identifier, cache)
                except LayerscopeError:
                    continue  # It was removed meanwhile, or the engine cannot describe it.
                task.report(dict(found), _PERIOD)
            return found

        def done(found: dict[str, ImageFacts]) -> None:
            self._learn(found)
            self.measure()

        self._work.queue("facts", describe, done, failed=_ignored, report=self._learn)

    def _learn(self, facts: dict[str, ImageFacts]) -> None:
        self._facts |= facts
        self._images.set_facts(self._facts)

    def measure(self, *, thorough: bool = False) -> None:
        """Measures the images whose sizes are not known; in slow ways only if `thorough`."""
        measurer = self._measurer
        ids = [each for each in self._images.unmeasured if thorough or each not in self._tried]
        if measurer is None or not ids or (self._work.busy("measure") and not thorough):
            return
        self._tried.update(ids)

        def measure(task: Task[dict[str, ImageSizes]]) -> dict[str, ImageSizes]:
            from layerscope.images.cache.sizes import SizesCache

            found: dict[str, ImageSizes] = {}
            if not (thorough or SizesCache().kept):
                return found  # Without a cache, each start would measure them again.
            for measured in measurer(ids, task.on_stop, thorough=thorough):
                task.check()
                if measured.sizes is not None:
                    found[measured.id] = measured.sizes
                    task.report(dict(found), _PERIOD)
            return found

        def ended(found: dict[str, ImageSizes]) -> None:
            self._images.set_measuring(False)
            self._show_measured(found)
            self.measure()

        self._images.set_measuring(True)
        self._work.start(
            "measure",
            measure,
            ended,
            failed=lambda _: self._images.set_measuring(False),
            report=self._show_measured,
        )

    def _show_measured(self, sizes: dict[str, ImageSizes]) -> None:
        known = {each: self._facts[each] for each in sizes if each in self._facts}
        self._learn({each: replace(fact, sizes=sizes[each]) for each, fact in known.items()})

    def learn_from(self, session: Session) -> None:
        """Takes over the sizes of an image that has been read."""
        image, waste = session.image, session.waste
        if image is None or waste is None or session.problem is not None:
            return
        fact = self._facts.get(image.id)
        layers = tuple(layer.diff_id for layer in image.layers)
        if fact is None or fact.sizes is not None or fact.layers != layers:
            return
        from layerscope.images.sizes import ImageSizes

        self._show_measured({image.id: (sizes := ImageSizes.of(waste))})

        def keep(_: object) -> None:
            from layerscope.images.cache.sizes import SizesCache

            SizesCache().put(layers, sizes)

        self._work.start("keep", keep)

    # Removal.

    def marked(self) -> None:
        """Computes what removing the marked images would free."""
        names = self._images.marked
        if not names:
            self._work.leave("plan")
            return

        def planned(plan: Plan) -> None:
            from layerscope.reports.removal_report import marked_text

            self._images.set_plan(names, marked_text(plan))

        def failed(problem: Problem) -> None:
            self._images.set_plan(names, problem.message)

        self._work.start("plan", lambda _: self.reclaimer.plan(names), planned, failed=failed)


def _ignored(_: Problem) -> None:
    """Ignores a problem, for facts that the lists can do without."""
