"""Runs a command in a sandbox, for tests that do so as another user, or in a container.

The argument is a JSON object; what is printed is one too. This is a program: the Python that runs
it may be another one than that of the tests.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from layerscope.engines.resolve import open_image
from layerscope.errors import LayerscopeError
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.stack import Stack
from layerscope.images.loading import load
from layerscope.images.progress import Progress
from layerscope.sandbox.process import SandboxError
from layerscope.sandbox.rung import LADDER
from layerscope.sandbox.rungs import best_rung, try_rung
from layerscope.sandbox.running import Base, Command, Sandbox
from layerscope.sandbox.task import Mount


def listing(stack: Stack) -> list[dict[str, Any]]:
    """The merged view, without times."""
    rows = stack.union(stack.height - 1).tolist()
    return [
        {
            "path": os.fsdecode(stack.tree.path(int(stack.nodes[row]))),
            "type": EntryType(int(stack.types[row])).label,
            "mode": int(stack.modes[row]),
            "owner": [int(stack.uids[row]), int(stack.gids[row])],
            "size": int(stack.sizes[row]),
            "inode": int(stack.inodes[row]),
            "link": os.fsdecode(stack.link(int(stack.inodes[row])) or b""),
            "device": stack.device(row),
            "xattrs": {os.fsdecode(k): v.hex() for k, v in stack.xattrs(row).items()},
        }
        for row in rows
        if stack.nodes[row]
    ]


def run(given: dict[str, Any]) -> dict[str, Any]:
    folder = Path(given["folder"])
    rung = LADDER[given["rung"]] if given.get("rung") is not None else best_rung(folder)
    if why := try_rung(rung, folder):
        return {"lacks": why}
    reader = open_image(f"docker-archive:{given['image']}")
    loaded = load(reader, Progress())
    runs = []
    for more in given.get("each") or [{}]:
        options = {"env": {"PATH": "/bin"}, **given.get("options", {}), **more}
        options["mounts"] = [Mount(**mount) for mount in options.get("mounts", ())]
        command = Command(**{"arguments": given["command"], **options})
        try:
            runs.append(once(Sandbox(folder, rung), Base(loaded.stack, reader), command))
        except SandboxError as error:
            runs.append({"error": str(error)})
    return {
        "rung": rung.name,
        "below": listing(loaded.stack),
        "left": sorted(str(path.relative_to(folder)) for path in folder.glob("*/run-*")),
        "runs": runs,
        **runs[-1],
    }


def once(sandbox: Sandbox, base: Base, command: Command) -> dict[str, Any]:
    with tempfile.TemporaryFile() as out:
        streams = (0, out.fileno(), out.fileno())
        with sandbox.ran(base, command, streams=streams) as outcome:
            changeset = outcome.changeset()
        out.seek(0)
        said = out.read().decode("utf-8", "surrogateescape")
    return {
        "code": outcome.code,
        "diff_id": outcome.diff_id,
        "out": said,
        "changed": [
            [os.fsdecode(path), EntryType(int(kind)).label]
            for path, kind in zip(changeset.paths(), changeset.kinds.tolist(), strict=True)
        ],
        "merged": listing(Stack([*base.stack.changesets, changeset])),
    }


def main() -> None:
    try:
        answer = run(json.loads(sys.argv[1]))
    except LayerscopeError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
