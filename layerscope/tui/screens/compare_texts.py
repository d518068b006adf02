"""What the screen that compares two images says of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from layerscope.filesystem.change import Change
from layerscope.text import docker_size, one_line
from layerscope.tui.compare_job import CompareJob
from layerscope.tui.format import plural
from layerscope.tui.glyphs import SEPARATOR

if TYPE_CHECKING:
    from layerscope.tui.session import Session
    from layerscope.tui.widgets.pair_lists import ConfigList, LayerPairs
    from layerscope.tui.widgets.pair_tree import PairTree


def show_images(sessions: Sequence[Session], config: ConfigList, layers: LayerPairs) -> None:
    """Shows what is known of two images before their files are compared."""
    images = [session.image for session in sessions]
    one, other = images
    if one is None or other is None:
        return
    from layerscope.reports.diff_report import config_differences, pair_layers, value_text

    values = [
        (
            one_line(key),
            None if before is None else value_text(before),
            None if after is None else value_text(after),
        )
        for key, before, after in config_differences(one.config, other.config)
    ]
    config.set_placeholder(("The configuration is the same.", "muted"))
    config.set_values(values)
    count = plural(len(values), "difference") if values else ""
    config.set_texts("1 Configuration", count)
    pairs = pair_layers(one, other)
    sizes = [
        {}
        if session.loaded is None
        else {
            layer: session.loaded.stack.layer_size(layer)
            for layer in range(session.loaded.stack.height)
        }
        for session in sessions
    ]
    layers.set_placeholder(("These images have no layers.", "muted"))
    layers.set_pairs(pairs, (one, other), (sizes[0], sizes[1]))
    shared = sum(pair.shared for pair in pairs)
    layers.set_texts(
        "2 Layers", f"{shared} shared of {len(one.layers)} in A and {len(other.layers)} in B"
    )


def state(sessions: Sequence[Session], job: CompareJob | None) -> tuple[str, str]:
    """What is going on, and the name of a palette style."""
    if job is None:
        reading = [each for each in sessions if not each.ended]
        return (reading[0].describe() if reading else "", "accent")
    if job.pair is None:
        return ("", "muted") if job.ended else ("Comparing", "accent")
    if not job.ended:
        return f"Comparing content  {job.done:,} / {job.total:,} files", "accent"
    left = job.total - job.done + job.unknown
    if left:
        return f"Incomplete: {plural(left, 'file')} not compared", "warning"
    return "", "muted"


def counts(files: PairTree) -> str:
    """How much differs."""
    rows = files.rows
    if rows is None or not files.row_count:
        return ""
    if rows.matches is not None:
        return plural(rows.matches, "match", "matches")
    changes = rows.view.changes
    parts = [
        f"{int((changes == change).sum()):,} {change.label}"
        for change in (Change.ADDED, Change.MODIFIED, Change.REMOVED)
    ]
    from layerscope.filesystem.pair import PairView

    if isinstance(rows.view, PairView):
        delta = int(rows.view.after[0]) - int(rows.view.before[0])
        parts.append(f"{'-' if delta < 0 else '+'}{docker_size(abs(delta))}")
    return SEPARATOR.join(parts)
