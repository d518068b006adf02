"""Images with real content, for screens that read it."""

from __future__ import annotations

from pathlib import Path

from layerscope.engines.resolve import open_image
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader
from tests.archives import Item, folder, layer_tar, symlink, text, whiteout, write_archive

PROGRAM = '''import os
import sys


def read(path: str) -> bytes:
    """Reads a file."""
    with open(path, "rb") as file:
        return file.read()


def main() -> int:
    data = read(sys.argv[1])
    print(len(data), "bytes")  # say so
    return 0


if __name__ == "__main__":
    sys.exit(main())
'''
CHANGED = (
    PROGRAM.replace("import os\n", "import json\nimport os\n")
    .replace('print(len(data), "bytes")  # say so', 'print(f"{len(data):,} bytes")')
    .replace('"rb") as file', '"rb", buffering=0) as file')
)
HOSTILE = "a\n\x1b[32mgreen\n日本 wide\ttab\u202e\nno end"


def settings(**changed: object) -> str:
    values: dict[str, object] = {f"option_{n}": n * 7 for n in range(60)}
    return "".join(f"{name} = {value}\n" for name, value in (values | changed).items())


LAYERS: list[list[Item]] = [
    [
        folder("app"),
        Item("app/data.bin", content=bytes(range(256)) * 400),
        symlink("app/current", "v1"),
        text("app/main.py", PROGRAM),
        folder("etc"),
        text("etc/app.conf", settings()),
        text("etc/hostile", "a\n\x1b[31mred\n日本語 wide\ttab\n"),
        text("etc/moved", "m" * 2000),
        text("etc/once", "one version only\n"),
    ],
    [
        Item("app/data.bin", content=bytes(range(256)) * 300 + b"x" * 300),
        symlink("app/current", "v2"),
        text("app/main.py", CHANGED),
        text("etc/app.conf", settings(option_30="thirty", option_2=3)),
        text("etc/hostile", HOSTILE),
        text("etc/moved", "m" * 2000, uid=33, gid=33, mode=0o664),
    ],
    [text("app/main.py", CHANGED, uid=1000, gid=1000), whiteout("etc/app.conf")],
    [text("etc/app.conf", settings(option_40="forty"))],
]


def opened(
    folder_path: Path, layers: list[list[Item]] = LAYERS, tag: str = "example.test/app:1"
) -> ImageReader:
    """An image of some layers, in an archive, open for reading."""
    folder_path.mkdir(exist_ok=True)
    path = write_archive(folder_path, [layer_tar(layer) for layer in layers], tag)
    return open_image(str(path), Progress())


#: Another build of it.
OTHER: list[list[Item]] = [
    LAYERS[0],
    [
        text("app/main.py", CHANGED, uid=5),
        text("etc/app.conf", settings(option_30="thirty")),
        folder("opt"),
        text("opt/new", "n" * 12345),
        Item("app/data.bin", content=bytes(range(256)) * 399 + b"y" * 256),
        text("etc/evil\x1b[2J", HOSTILE),
        whiteout("etc/once"),
    ],
]
