"""A build, told for people: a heading for each step, its log, and what it became."""

from __future__ import annotations

from collections.abc import Iterator

from layerscope.build.events import BuildEvent
from layerscope.text import COLORS, docker_size, one_line, short_id, visible


def plain_log(text: str) -> str:
    """A line of a log as it would be left on a terminal, without colours, and safe to show."""
    # Progress bars draw over themselves: what was drawn last counts.
    last = text.rstrip("\r").rpartition("\r")[2]
    return visible(COLORS.sub("", last).replace("\t", "        "))


class BuildText:
    """Makes lines of the events of a build."""

    def __init__(self) -> None:
        self._steps = 0
        self._shown: int | None = None

    def lines(self, event: BuildEvent) -> Iterator[str]:
        """The lines of an event."""
        if event.event == "context" and event.files is not None:
            files = f"{event.files} files" if event.files != 1 else "1 file"
            yield f"Build context: {docker_size(event.size or 0)} in {files}"
            for path, size in event.largest or ():
                yield f"    {docker_size(size):>7}  {visible(path)}"
        elif event.event == "step_started":
            self._steps = event.steps or self._steps
            yield self._heading(event.step, one_line(event.instruction or ""))
            self._shown = event.step
        elif event.event == "log":
            yield from self._back_to(event.step)
            yield f"    {plain_log(event.text or '')}".rstrip()
        elif event.event == "warning":
            place = f"line {event.line}: " if event.line else ""
            yield f"Warning: {place}{one_line(event.text or '')}"
        elif event.event in ("step_cached", "step_committed"):
            yield self._heading(event.step, _outcome(event))
        elif event.event == "step_failed":
            code = "" if event.exit_code is None else f" with exit code {event.exit_code}"
            yield self._heading(
                event.step, f"Failed{code}{_after(event)}: {one_line(event.text or '')}"
            )
        elif event.event == "finished":
            names = f" ({', '.join(visible(tag) for tag in event.tags)})" if event.tags else ""
            yield f"Built {short_id(event.image or '')}{names}{_after(event)}."
        elif event.event == "failed":
            yield one_line(event.text or "The build failed.")

    def _heading(self, step: int | None, text: str) -> str:
        return f"[{step}/{self._steps}] {text}".rstrip()

    def _back_to(self, step: int | None) -> Iterator[str]:
        """A heading again, where steps run side by side and another one spoke last."""
        if step is not None and step != self._shown:
            self._shown = step
            yield self._heading(step, "…")


def _outcome(event: BuildEvent) -> str:
    word = "Cached" if event.event == "step_cached" else "Committed"
    parts = [f"{word}{'' if event.event == 'step_cached' else _after(event)}"]
    if event.diff_id is not None:
        counts = [
            f"{number} {name}"
            for number, name in (
                (event.added, "added"),
                (event.modified, "modified"),
                (event.removed, "removed"),
            )
            if number
        ]
        figures = [docker_size(event.size or 0), *(counts or ["no changes"])]
        if event.wasted:
            figures.append(f"{docker_size(event.wasted)} of layers below wasted")
        parts.append(", ".join(figures))
    return ": ".join(parts)


def _after(event: BuildEvent) -> str:
    return "" if event.seconds is None else f" after {event.seconds:.1f}s"
