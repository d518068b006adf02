"""Signs of an attack in a layer: entries that no ordinary tool writes."""

from __future__ import annotations

from layerscope.filesystem.stack import Stack
from layerscope.text import clip, visible

_LONGEST = 80


def suspicion(stack: Stack, row: int) -> str:
    """Why a version is suspicious, as the end of a sentence; empty if it is not."""
    name = stack.outside.get(row)
    return "" if name is None else f"named {_shown(name)} in the layer, which leads out of the root"


def suspicions(stack: Stack, layer: int) -> list[str]:
    """Why a layer is suspicious, one sentence per reason."""
    rows = stack.rows(layer)
    names = [name for row, name in stack.outside.items() if row in rows]
    if not names:
        return []
    lead = "1 name leads" if len(names) == 1 else f"{len(names):,} names lead"
    such = "" if len(names) == 1 else "such as "
    return [f"{lead} out of the root, {such}{_shown(names[0])}: it may be an attack."]


def _shown(name: bytes) -> str:
    return clip(visible(name), _LONGEST)
