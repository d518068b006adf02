"""Compares the content of hidden files with their replacements."""

from __future__ import annotations

from collections.abc import Callable

from layerscope.filesystem.stack import Stack
from layerscope.filesystem.waste_causes import uncompared
from layerscope.images.files.contents import Contents
from layerscope.images.files.version_diff import settle_versions
from layerscope.images.progress import Progress


def compare_hidden(
    stack: Stack, contents: Contents, progress: Progress, on_file: Callable[[], None] = lambda: None
) -> None:
    """Finds which hidden files were copied and which were rewritten; records it in the stack.

    In layers with random access, the largest files come first. Others are read once, with their
    files in order. `on_file` is called after each file. Raises Cancelled if `progress` was
    cancelled or the image has been closed.
    """
    rows = uncompared(stack)
    progress.what = "Comparing content"
    progress.total = total = sum(2 * int(stack.sizes[row]) for row in rows)
    done = 0
    streamed: list[int] = []

    def advance(_: int) -> None:
        progress.advance(done)

    for row in rows:
        below = int(stack.below[row])
        if not (contents.seekable(stack, row) and contents.seekable(stack, below)):
            streamed.append(row)
            continue
        settle_versions(stack, contents, [row], advance)
        done += 2 * int(stack.sizes[row])
        progress.advance(done)
        on_file()
    if not streamed:
        return
    passed = 0

    def advance_pass(of_file: int) -> None:
        nonlocal done, passed
        if of_file < passed:
            # The next file has begun.
            done += passed
        passed = of_file
        progress.advance(min(done + passed, total))

    settle_versions(stack, contents, streamed, advance_pass, on_file)
    progress.advance(total)
