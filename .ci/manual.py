"""Puts the manual page into the wheel, as hatchling's build hook."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManualPage(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        sys.path.insert(0, self.root)
        from layerscope.manual import page

        target = Path(self.directory) / "layerscope.1"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page(), encoding="utf-8")
        build_data["shared_data"][str(target)] = "share/man/man1/layerscope.1"
