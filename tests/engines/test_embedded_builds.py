"""The embedded builder beside Docker's classic builder, whose images are the truth."""

from __future__ import annotations

import io
import json
import os
import posixpath
import random
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from layerscope.engines.resolve import open_image
from layerscope.filesystem.changeset import EntryType
from layerscope.images.loading import load
from layerscope.images.progress import Progress
from tests.engines.harness import Engine
from tests.engines.listings import use
from tests.unit.build.embedded.building import Built, Workshop

_FOLDERS = ("", "d", "d/inner", "other", "w x")
_SOURCES = (
    *("a.txt", "b.sh", "d", "d/", "d/inner", "other", ".", "d/b.sh", "link-to-file", "link-to-dir"),
    *("dangling", "*.txt", "d/*", "d/*.sh", "[ab].*", "o?her", "/a.txt", "missing"),
    *("./d/../a.txt", "none*", "d/inner/..", "link-to-dir/b.sh", "ignored.txt"),
)
_TARGETS = (
    *("/x", "/x/", "x", "x/", "./", "/", "/etc", "/etc/", "/usr/bin/tool", "/bin/", "/bin"),
    *("/links/dir", "/links/dir/", "/links/dir/deep/", "/links/file", "/links/nowhere"),
    *("/links/absolute/new/", "/links/up/y", "/etc/passwd/", "/etc/passwd", "/new/a/b/c"),
    *("/new/a/b/d/", "../up", "/x/../y/", "/home/app/", "d/inner", "/x/a.txt", "//two//slashes"),
)
_OWNERS = ("app", "app:staff", "1000", "1000:50", "root:app", "app:7", "nobody-here", "0:0")
_COPIES = 14


def write_context(folder: Path, chance: random.Random) -> None:
    """Files, folders and links, with modes and times of all kinds, a base and archives."""
    for name in _FOLDERS:
        (folder / name).mkdir(exist_ok=True)
        for file in ("a.txt", "b.sh", ".hidden", f"{chance.randint(0, 99)}.txt"):
            path = folder / name / file
            path.write_bytes(chance.randbytes(chance.choice((0, 1, 511, 512, 5000))))
            path.chmod(chance.choice((0o644, 0o755, 0o600, 0o777, 0o444)))
            os.utime(path, (1, chance.randint(1, 1 << 31)))
    (folder / "d" / "inner").chmod(0o750)
    (folder / "ignored.txt").write_text("x")
    (folder / ".dockerignore").write_text("ignored.txt\nother/.hidden\nDockerfile\n")
    for name, target in (
        ("link-to-file", "d/b.sh"),
        ("link-to-dir", "d"),
        ("dangling", "nowhere"),
        ("d/back", "../a.txt"),
        ("d/inner/out", "/etc/passwd"),
    ):
        (folder / name).symlink_to(target)
    os.link(folder / "d" / "a.txt", folder / "d" / "inner" / "hard.txt")
    (folder / "base.tar").write_bytes(_archive(_base()))
    (folder / "plain.tar").write_bytes(_archive(_plain()))
    (folder / "packed.tgz").write_bytes(_archive(_plain(), "w:gz"))
    (folder / "looks-like.tar").write_bytes(b"not an archive" * 99)


def _member(name: str, kind: bytes = tarfile.REGTYPE, **values: Any) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.mtime = kind, 1_000_000
    found.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    for key, value in values.items():
        setattr(found, key, value)
    return found


def _base() -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    folders = ("usr", "usr/bin", "usr/lib", "etc", "links", "home", "home/app", "d")
    for name in folders:
        yield _member(name, tarfile.DIRTYPE, uid=1000 * (name == "home/app")), b""
    passwd = b"root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"
    yield _member("etc/passwd", size=len(passwd)), passwd
    group = b"root:x:0:\napp:x:1001:\nstaff:x:50:app\n"
    yield _member("etc/group", size=len(group)), group
    for name, target in (
        ("bin", "usr/bin"),
        ("lib", "/usr/lib"),
        ("links/dir", "../usr/lib"),
        ("links/absolute", "/home"),
        ("links/file", "/etc/group"),
        ("links/nowhere", "/not/there"),
        ("links/up", "../../../../usr"),
    ):
        yield _member(name, tarfile.SYMTYPE, linkname=target), b""


def _plain() -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    yield _member("./", tarfile.DIRTYPE, mode=0o700), b""
    yield _member("./tool", size=4, uid=7, gid=8, mode=0o4755), b"tool"
    yield _member("./again", tarfile.LNKTYPE, linkname="./tool"), b""
    yield _member("./sub/no-entry-above", size=3), b"abc"
    yield _member("./bin/in-bin", size=2, uid=3), b"hi"
    yield _member("./etc", tarfile.DIRTYPE, mode=0o711, uid=9), b""
    yield _member("./pipe", tarfile.FIFOTYPE), b""
    yield _member("./far", tarfile.SYMTYPE, linkname="/tool"), b""


def _archive(members: Iterator[tuple[tarfile.TarInfo, bytes]], mode: str = "w") -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode, format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]
        for header, content in members:
            archive.addfile(header, io.BytesIO(content))
    return data.getvalue()


def random_dockerfile(chance: random.Random) -> str:
    """Instructions that both builders have; some fail in both.

    A source with `..` in front is not among them: the classic builder refuses it, BuildKit and ours
    keep it within the context.
    """
    lines = ["ARG ABOVE=up", "FROM scratch AS first", "ADD base.tar /"]
    lines += [_instruction(chance) for _ in range(_COPIES)]
    if chance.random() < 0.7:
        lines += ["FROM scratch", "ARG ABOVE", "ADD base.tar /"]
        for _ in range(_COPIES // 2):
            source = chance.choice(("/usr", "/etc/passwd", "/links", "/bin/", "/home/*", "/x", "/"))
            owner = f"--chown={chance.choice(_OWNERS[:4])} " if chance.random() < 0.3 else ""
            lines.append(f"COPY --from=first {owner}{source} {chance.choice(_TARGETS)}")
            lines.append(_instruction(chance))
    # With several, the classic builder mixes their values.
    checks = {line for line in lines if line.startswith("HEALTHCHECK")}
    kept = [line for line in lines if line not in sorted(checks)[1:]]
    return "\n".join(kept) + "\n"


def _instruction(chance: random.Random) -> str:
    kind = chance.random()
    if kind < 0.6:
        name = "COPY" if kind < 0.45 else "ADD"
        archives = ("plain.tar", "packed.tgz", "looks-like.tar")
        sources = [
            chance.choice(archives if name == "ADD" and chance.random() < 0.6 else _SOURCES)
            for _ in range(chance.choice((1, 1, 1, 2, 3)))
        ]
        owner = f"--chown={chance.choice(_OWNERS)} " if chance.random() < 0.3 else ""
        if chance.random() < 0.1:
            return f"{name} {owner}{json.dumps([*sources, chance.choice(_TARGETS)])}"
        return f"{name} {owner}{' '.join(sources)} {chance.choice(_TARGETS)}"
    return chance.choice(
        (
            "ENV A=b B=$A C=\"x $A\" D='$A'",
            "ENV OLD form of $A",
            "ENV E=${A:-other} F=${NONE:-$A} G=${A:+set} H=\\$A",
            "ARG V=1",
            "ARG ABOVE",
            "ENV V2=$V PATH=/opt:$PATH",
            "WORKDIR /work/$A",
            "WORKDIR below",
            "WORKDIR ../beside",
            "WORKDIR /links/dir/made",
            "WORKDIR /etc",
            "USER app",
            "USER 1000:50",
            "LABEL one=1 two=\"$A 2\" 'three'=3",
            "EXPOSE 80 443/tcp 53/udp 8000-8002",
            'VOLUME ["/data", "/more data"]',
            "VOLUME /one /two",
            "CMD echo $A",
            'CMD ["a", "b c"]',
            "ENTRYPOINT run $A",
            'ENTRYPOINT ["/run", "it"]',
            'SHELL ["/bin/bash", "-c"]',
            "STOPSIGNAL SIGQUIT",
            "STOPSIGNAL 9",
            "HEALTHCHECK --interval=1m30s --retries=2 CMD check me",
            "HEALTHCHECK NONE",
            'HEALTHCHECK --timeout=500ms CMD ["c", "d"]',
            "ONBUILD ENV X=y",
            "ONBUILD COPY a.txt /from-trigger",
            "MAINTAINER some one <x@example.com>",
        )
    )


#: What containers are started with; all else in a configuration differs by how it was built.
_KEYS = (
    *("Env", "Cmd", "Entrypoint", "WorkingDir", "User", "Labels", "ExposedPorts", "Volumes"),
    *("StopSignal", "Healthcheck", "Shell", "OnBuild"),
)


_WAYS = "embedded", "docker-daemon"


def configuration(source: str) -> dict[str, Any]:
    with closing(open_image(source)) as reader:
        raw = json.loads(json.dumps(reader.image.config))
        config = raw.get("config") or {}
        found = {key: config.get(key) or None for key in _KEYS}
        if found["WorkingDir"]:
            # The classic builder keeps a slash at the end.
            found["WorkingDir"] = posixpath.normpath(found["WorkingDir"])
        return {**found, "author": raw.get("author") or None, "os": raw["os"]}


def merged(source: str) -> list[tuple[Any, ...]]:
    """The merged view, with the times of what a build does not make itself."""
    with closing(open_image(source)) as reader:
        stack = load(reader, Progress()).stack
        found = []
        for row in stack.union(stack.height - 1).tolist():
            path = stack.tree.path(int(stack.nodes[row]))
            kind = EntryType(int(stack.types[row]))
            link = stack.link(int(stack.inodes[row])) if kind is EntryType.SYMLINK else None
            columns = ("modes", "uids", "gids", "sizes")
            values = [int(getattr(stack, name)[row]) for name in columns]
            mtime = int(stack.mtimes[row]) if kind is EntryType.FILE else None
            found.append((path, kind.label, *values, link, mtime))
        return found


def compare(engine: Engine, workshop: Workshop, dockerfile: str, name: str) -> Built:
    """Builds with both, whatever prefix of the Dockerfile both can build; returns ours."""
    while True:
        (workshop.context / "Dockerfile").write_text(dockerfile)
        truth = engine.docker(
            "build", "-t", name, str(workshop.context), check=False, env={"DOCKER_BUILDKIT": "0"}
        )
        mine = workshop.build(dockerfile, tags=(name,))
        said = truth.stdout.decode() + truth.stderr.decode()
        if truth.returncode == 0:
            assert not mine.problem, f"{mine.problem}\n{dockerfile}"
            mine_says, says = (configuration(f"{way}:{name}") for way in _WAYS)
            assert mine_says == says, f"{mine_says}\n{says}\n{dockerfile}"
            ours, theirs = (set(merged(f"{way}:{name}")) for way in _WAYS)
            assert not ours ^ theirs, (
                f"{sorted(ours - theirs)}\n{sorted(theirs - ours)}\n{dockerfile}"
            )
            return mine
        steps = [line for line in said.splitlines() if line.startswith("Step ")]
        failed = int(steps[-1].split()[1].partition("/")[0])
        if "layer does not exist" in said:
            # The classic builder fails where a COPY changes nothing.
            dockerfile = without(dockerfile, failed)
            continue
        assert mine.problem, f"Docker: {said[-300:]}\n{dockerfile}"
        if mine.failed is None:
            # It was found before anything was built; Docker may not have come that far.
            line = int(mine.problem.partition("Line ")[2].partition(":")[0])
            assert failed <= line, f"{mine.problem}\n{said[-300:]}\n{dockerfile}"
            failed = line
        assert mine.failed in (None, failed), f"{mine.problem}\n{said[-300:]}\n{dockerfile}"
        dockerfile = without(dockerfile, failed)


def without(text: str, line: int) -> str:
    lines = text.splitlines()
    del lines[line - 1]
    return "\n".join(lines) + "\n"


@pytest.fixture
def workshop(docker_debian: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    use(monkeypatch, docker_debian)
    monkeypatch.setenv("LAYERSCOPE_STORE", str(tmp_path / "store"))
    return Workshop.at(tmp_path)


@pytest.mark.parametrize("seed", range(3))
def test_random_dockerfiles_give_what_the_classic_builder_gives(
    docker_debian: Engine, workshop: Workshop, seed: int
) -> None:
    chance = random.Random(seed)
    write_context(workshop.context, chance)
    compare(docker_debian, workshop, random_dockerfile(chance), f"random-{seed}:1")
