"""Builds independent stages in parallel."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from graphlib import TopologicalSorter

_AT_ONCE = 2  # More would compete for the same disk.


def build_stages(
    needs: Mapping[int, AbstractSet[int]],
    build: Callable[[int], None],
    stop: Callable[[], None],
) -> None:
    """Calls `build` for each stage once the stages it needs are done, lower ones first.

    If one fails, calls `stop`, which makes the running ones fail too; after they have ended, raises
    the first exception.
    """
    ended: queue.SimpleQueue[tuple[int, BaseException | None]] = queue.SimpleQueue()

    def work(index: int) -> None:
        try:
            build(index)
        except BaseException as error:
            ended.put((index, error))
        else:
            ended.put((index, None))

    left = TopologicalSorter(needs)
    left.prepare()
    ready: list[int] = []
    running = 0
    failure: BaseException | None = None
    while running or (failure is None and left.is_active()):
        if failure is None:
            ready = sorted([*ready, *left.get_ready()])
            for index in ready[: _AT_ONCE - running]:
                # A daemon, so that the process need not wait for it to exit.
                threading.Thread(
                    target=work, args=(index,), name="layerscope-stage", daemon=True
                ).start()
                running += 1
                ready.remove(index)
        index, error = ended.get()
        running -= 1
        if error is None:
            left.done(index)
        elif failure is None:
            failure = error
            stop()
    if failure is not None:
        raise failure


class InOrder:
    """Passes on reports of parallel stages as if they ran one after the other."""

    def __init__(self, stages: Sequence[int]) -> None:
        self._order = deque(stages)
        self._held: dict[int, list[Callable[[], None]]] = {stage: [] for stage in stages}
        self._ended: set[int] = set()
        self._guard = threading.Lock()

    def report(self, stage: int, say: Callable[[], None]) -> None:
        with self._guard:
            self._held[stage].append(say)
            self._pass_on()

    def end(self, stage: int) -> None:
        with self._guard:
            self._ended.add(stage)
            self._pass_on()

    def end_all(self) -> None:
        with self._guard:
            self._ended.update(self._order)
            self._pass_on()

    def _pass_on(self) -> None:
        while self._order:
            held = self._held[self._order[0]]
            for say in held:
                say()
            held.clear()
            if self._order[0] not in self._ended:
                return
            self._order.popleft()
