"""Compares the content of hidden files with what replaced them."""

from __future__ import annotations

from collections.abc import Callable

from layerscope.filesystem.stack import Stack
from layerscope.filesystem.waste_causes import uncompared
from layerscope.images.contents import Contents
from layerscope.images.progress import Progress
from layerscope.images.version_diff import settle_versions


def compare_hidden(
    stack: Stack,
    contents: Contents,
    progress: Progress,
    tell: Callable[[], None] = lambda: None,
) -> None:
    """Finds out which hidden files were copied and which rewritten.

    Where layers can be seeked in, the largest files come first. Others are read once more, each
    layer once for all of its files, in the order in which these come.

    Args:
        stack: The layers; what is found is noted in it.
        contents: The content of the image's files.
        progress: Where to say how far it has come; may stop it.
        tell: Called after each file.

    Raises:
        Cancelled: It was stopped, or the image has been closed.
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
        tell()
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

    settle_versions(stack, contents, streamed, advance_pass, tell)
    progress.advance(total)
