"""The commands that tell what could be saved."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from layerscope.output import write_lines
from layerscope.reports.narration import Narration

if TYPE_CHECKING:
    from layerscope.images.loading import Loaded
    from layerscope.images.reader import ImageReader

#: Opens a source and reads all of its layers.
Opener = Callable[[str, argparse.Namespace], AbstractContextManager[tuple["Loaded", "ImageReader"]]]


def waste(arguments: argparse.Namespace, opened: Opener) -> int:
    """`layerscope waste`."""
    from layerscope.filesystem.waste_causes import find_causes
    from layerscope.reports.waste_report import waste_document, waste_text

    with opened(arguments.source, arguments) as (loaded, reader):
        if arguments.compare:
            from layerscope.images.contents import Contents
            from layerscope.images.hidden_content import compare_hidden

            with Narration() as narration:
                compare_hidden(loaded.stack, Contents(reader), narration.progress)
        causes = find_causes(loaded.stack)
        if arguments.json:
            write_lines([json.dumps(waste_document(loaded, causes))])
        else:
            write_lines(waste_text(loaded, causes))
    return 0
