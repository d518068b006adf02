"""The build context is what an engine's own client sends, by what `COPY . /` makes of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from layerscope.dockerfile.context import ContextEntry, read_context
from layerscope.dockerfile.context_tar import pack
from layerscope.filesystem.changeset import EntryType
from layerscope.images.loading import Loaded
from tests.engines.harness import Engine
from tests.engines.listings import listing, use

RULES = {
    "none": "",
    "folders": "node\n/b/d\n",
    "wildcards": "**/*.md\n*/?\n",
    "all but": "*\n!b/d/e.md\n!node/**\n",
    "back and forth": "b\n!b/d\nb/d/f\n",
    "deep exception": "*\n!**/y\n",
    "build files": "Dockerfile\n.dockerignore\nlink\n",
    "classes": "[A-C]\nb/[^c]*\n",
}


def fill(root: Path, rules: str) -> None:
    for name in ("a", "B", "b/c.md", "b/d/e.md", "b/d/f", "node/x/y", "node/z", "é"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (root / "empty").mkdir()
    (root / "link").symlink_to("b/../a")
    (root / "a").chmod(0o750)
    os.link(root / "a", root / "hard")
    if "!b/d/e.md" not in rules:
        # Only BuildKit keeps what a folder is like that is there for what is in it.
        (root / "b/d").chmod(0o1777)
    if rules:
        (root / ".dockerignore").write_text(rules)
    (root / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    for path in [root, *root.rglob("*")]:
        os.utime(path, (1_700_000_000, 1_700_000_000), follow_symlinks=False)


def described(entry: ContextEntry, root: Path) -> tuple[str, str, int, int, str]:
    mode = entry.status.st_mode
    kind = "dir" if entry.is_folder else "file" if entry.is_file else "symlink"
    link = str((root / entry.path).readlink()) if stat.S_ISLNK(mode) else ""
    return entry.path, kind, 0 if link else stat.S_IMODE(mode), entry.size, link


def in_image(loaded: Loaded) -> list[tuple[str, str, int, int, str]]:
    stack = loaded.stack
    found = []
    for row in stack.union(stack.height - 1).tolist():
        path = os.fsdecode(stack.tree.path(int(stack.nodes[row])))
        if not path:
            continue
        kind = EntryType(int(stack.types[row]))
        link = os.fsdecode(stack.link(row) or b"") if kind is EntryType.SYMLINK else ""
        mode = 0 if link else int(stack.modes[row])
        size = int(stack.sizes[row]) if kind is EntryType.FILE else 0
        found.append((path, kind.label, mode, size, link))
        assert (stack.uids[row], stack.gids[row]) == (0, 0)
    return sorted(found)


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES.keys())
def test_the_same_as_the_client_sends(
    engine: Engine, rules: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine.name == "docker-28-containerd":
        pytest.skip("its client is docker-28's")
    if not engine.name.startswith("docker-28") and rules == RULES["deep exception"]:
        pytest.skip("only BuildKit's client looks into a folder for an exception with a wildcard")
    use(monkeypatch, engine)
    fill(tmp_path, rules)
    context = read_context(tmp_path)
    expected = [described(e, tmp_path) for e in context.entries if not e.for_builder]
    engine.docker("build", "-q", "-t", "layerscope.test/context", str(tmp_path))
    assert in_image(listing("layerscope.test/context").loaded) == sorted(expected)
    stream = b"".join(pack(context))
    engine.docker("build", "-q", "-t", "layerscope.test/stream", "-", stdin=stream)
    # An engine that is sent a stream may look at the rules in it or not.
    sent = [described(e, tmp_path) for e in context.entries]
    assert in_image(listing("layerscope.test/stream").loaded) in (sorted(expected), sorted(sent))
