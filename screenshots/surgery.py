"""Makes the picture of an image that is moved onto another base: `python -m screenshots.surgery`.

The images are in a store of layerscope's own.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

# Pictures have the theme's colors, whatever the terminal.
os.environ["TEXTUAL_COLOR_SYSTEM"] = "truecolor"

import pytest

from layerscope.engines import address as addresses
from layerscope.engines.embedded.store import Store
from screenshots.builds import write
from tests.archives import Item, folder, layer_tar, text, whiteout, write_archive
from tests.tui.surgery.test_surgery import move_onto, opened
from tests.unit.engines.embedded.images import add

_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_PACKAGES = "var/lib/dpkg/status"


def base(version: str, *more: Item) -> list[Item]:
    return [
        text("etc/debian_version", f"{version}\n"),
        text("etc/ssl/openssl.cnf", f"# of {version}\n" * 700),
        text(f"{_LIBRARIES}/libssl.so.3", version * 150_000),
        text(f"{_LIBRARIES}/libcrypto.so.3", version * 900_000),
        text(_PACKAGES, f"Version: {version}\n" * 6_000),
        *more,
    ]


OLD = base("12.7", text("usr/share/doc/tzdata-legacy/copyright", "old\n"))
NEW = base("12.8", text("usr/share/zoneinfo/tzdata.zi", "new\n" * 30_000))
OWN = [
    [text("usr/bin/curl", "c" * 280_000), text(_PACKAGES, "Version: 12.7, and curl\n" * 6_000)],
    [text("etc/ssl/openssl.cnf", "# ours\n"), whiteout("usr/share/doc/tzdata-legacy")],
    [folder("srv"), text("srv/app.py", "app\n" * 2_300)],
]


async def rebased(archive: Path) -> str:
    async with opened(archive) as ui:
        await move_onto(ui, "shop:1.4", "debian:12.8", "debian:12.7")
        await ui.until(lambda: "from debian:12.7 onto debian:12.8." in ui.text)
        await ui.rest()
        return ui.app.export_screenshot(title="layerscope")


def main() -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        root = Path(name)
        for variable in ("LAYERSCOPE_STORE", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
            patch.setenv(variable, str(root / variable))
        patch.setenv("LAYERSCOPE_ENGINE", addresses.EMBEDDED)
        for tag, layers in (
            ("debian:12.7", [OLD]),
            ("debian:12.8", [NEW]),
            ("shop:1.4", [OLD, *OWN]),
        ):
            archive = write_archive(root, [layer_tar(items) for items in layers], tag)
            add(Store(), archive, tag)
        write("surgery-120x40", asyncio.run(rebased(archive)))


if __name__ == "__main__":
    main()
