"""The build context is what an engine's own client sends, by what `COPY . /` makes of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from layerscope.dockerfile.context.context import ContextEntry, read_context
from layerscope.dockerfile.context.packing import pack
from layerscope.filesystem.changeset import EntryType
from layerscope.images.loading import Loaded
from tests.engines.builds import BUILDERS as BUILD_SITES
from tests.engines.builds import Site
from tests.engines.fixtures import running_engine
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
#: The builder of each engine's own client.
CLIENTS = {"docker-debian": "classic", "docker-28": "buildkit", "podman": "podman"}


#: What Buildah reads differently from moby's pattern matcher.
BUILDAHS = {
    "its own file": {".containerignore": "a\n", ".dockerignore": "B\n"},
    "beside, docker": {"Dockerfile.dockerignore": "B\n", "Dockerfile.containerignore": "a\n"},
    "beside, its own": {"Dockerfile.containerignore": "a\n", ".containerignore": "B\n"},
    "blanks and slashes": {".containerignore": " /a\n/b/\n*d*\n! node\n"},
    "expressions": {".containerignore": "b+\n(a|B)\n"},
    "byte order mark": {".containerignore": "\ufeffa\nB\n"},
}


@pytest.mark.parametrize("files", BUILDAHS.values(), ids=BUILDAHS.keys())
def test_the_same_as_podman_sends(
    podman: Engine,
    files: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    use(monkeypatch, podman)
    site = Site(podman, "podman", tmp_path)
    root = site.context
    fill(root, "")
    for name, text in files.items():
        (root / name).write_text(text)
    context = read_context(root, root / "Dockerfile", "podman")
    expected = sorted(described(e, root) for e in context.entries if not e.for_builder)
    podman.docker("build", "-q", "-t", "layerscope.test/context", str(root))
    assert in_image(listing("layerscope.test/context").loaded) == expected
    if "expressions" not in request.node.name:  # One build that sends it is enough.
        return
    assert site.build("-t", "layerscope.test/context").code == 0
    found = [entry[:2] for entry in in_image(listing("layerscope.test/context").loaded)]
    assert found == [entry[:2] for entry in expected]


@pytest.mark.parametrize("site", BUILD_SITES, ids="-".join)
def test_a_dockerfile_from_elsewhere_is_not_in_the_image(
    site: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engines: None
) -> None:
    at = Site(running_engine(site[0]), site[1], tmp_path)
    use(monkeypatch, at.engine)
    dockerfile = tmp_path / "outside"
    dockerfile.write_text("FROM scratch\nCOPY . /\n")
    for rules in ({}, {".dockerignore": "b\n"}):
        for name, text in {"a": "a", "b": "b", **rules}.items():
            (at.context / name).write_text(text)
        assert at.build("-f", str(dockerfile), "-t", "layerscope.test/context").code == 0
        found = [entry[0] for entry in in_image(listing("layerscope.test/context").loaded)]
        assert found == sorted({"a", "b", *rules} - ({"b"} if rules else set()))


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


@pytest.mark.parametrize("engine", CLIENTS, indirect=True)
@pytest.mark.parametrize("rules", RULES.values(), ids=RULES.keys())
def test_the_same_as_the_client_sends(
    engine: Engine, rules: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, engine)
    fill(tmp_path, rules)
    context = read_context(tmp_path, builder=CLIENTS[engine.name])
    expected = [described(e, tmp_path) for e in context.entries if not e.for_builder]
    engine.docker("build", "-q", "-t", "layerscope.test/context", str(tmp_path))
    assert in_image(listing("layerscope.test/context").loaded) == sorted(expected)
    if rules != RULES["build files"]:
        return
    stream = b"".join(pack(context))
    engine.docker("build", "-q", "-t", "layerscope.test/stream", "-", stdin=stream)
    # An engine that is sent a stream may look at the rules in it or not.
    sent = [described(e, tmp_path) for e in context.entries]
    assert in_image(listing("layerscope.test/stream").loaded) in (sorted(expected), sorted(sent))
