"""`layerscope find`: the images, layers and containers that have a file."""

from __future__ import annotations

from typing import Any

from layerscope.engines.find_files import Match
from layerscope.images.image import NOT_IN_HISTORY
from layerscope.reports.color import sized
from layerscope.text import clip, decode, visible


def match_document(match: Match) -> dict[str, Any]:
    return {
        "path": "/" + decode(match.path),
        "image": match.image.reference,
        "id": match.image.id,
        "layer": match.layer,
        "diff_id": match.image.layers[match.layer].diff_id,
        "instruction": match.image.layers[match.layer].instruction,
        "type": match.kind.label,
        "size": match.size,
        "visible": match.visible,
        "containers": list(match.containers),
    }


def match_text(match: Match) -> str:
    state = {True: "visible", False: "hidden", None: "unknown"}[match.visible]
    line = (
        f"{visible(match.image.reference)}  layer {match.layer}  "
        f"{sized(match.size)}  {state}  /{visible(match.path)}"
    )
    made_by = match.image.layers[match.layer].made_by
    if made_by != NOT_IN_HISTORY:
        line += f"  ({clip(made_by, 60)})"
    if match.containers:
        line += f"  in {', '.join(visible(name) for name in match.containers)}"
    return line
