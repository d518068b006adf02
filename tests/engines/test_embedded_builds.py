"""The embedded builder beside Docker's classic builder, whose images are the truth."""

from __future__ import annotations

import hashlib
import io
import json
import os
import posixpath
import random
import socket
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from layerscope.engines.embedded.importing import import_image
from layerscope.engines.resolve import open_image
from layerscope.filesystem.changeset import EntryType
from layerscope.images.loading import load
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader
from layerscope.oci.reference import parse_reference
from tests.engines.harness import Engine, find_program
from tests.engines.images import BUSYBOX
from tests.engines.kitchen_sink import kitchen_sink, kitchen_sink_dockerfile, sink_files
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
        return configuration_of(reader)


def configuration_of(reader: ImageReader) -> dict[str, Any]:
    raw = json.loads(json.dumps(reader.image.config))
    config = raw.get("config") or {}
    found = {key: config.get(key) or None for key in _KEYS}
    if found["WorkingDir"]:
        # The classic builder keeps a slash at the end.
        found["WorkingDir"] = posixpath.normpath(found["WorkingDir"])
    return {**found, "author": raw.get("author") or None, "os": raw["os"]}


def merged(source: str, *, times: bool = True) -> list[tuple[Any, ...]]:
    with closing(open_image(source)) as reader:
        return merged_of(reader, times=times)


def merged_of(reader: ImageReader, *, times: bool = True) -> list[tuple[Any, ...]]:
    """The merged view, with the times of files that a build only copies."""
    stack = load(reader, Progress()).stack
    found = []
    for row in stack.union(stack.height - 1).tolist():
        path = stack.tree.path(int(stack.nodes[row]))
        kind = EntryType(int(stack.types[row]))
        link = stack.link(int(stack.inodes[row])) if kind is EntryType.SYMLINK else None
        columns = ("modes", "uids", "gids", "sizes")
        values = [int(getattr(stack, name)[row]) for name in columns]
        mtime = int(stack.mtimes[row]) if times and kind is EntryType.FILE else None
        found.append((path, kind.label, *values, link, mtime))
    return found


def layer_paths(source: str) -> list[set[tuple[bytes, str]]]:
    with closing(open_image(source)) as reader:
        changesets = load(reader, Progress()).stack.changesets
        kinds = [[EntryType(kind).label for kind in each.kinds.tolist()] for each in changesets]
        return [
            set(zip(each.paths(), own, strict=True))
            for each, own in zip(changesets, kinds, strict=True)
        ]


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


def test_an_engine_loads_the_image_with_its_id_and_history(
    docker_debian: Engine, workshop: Workshop, tmp_path: Path
) -> None:
    workshop.write({"a.txt": "a"})
    built = workshop.built(
        'FROM scratch\nENV A=b\nCOPY a.txt /d/\nWORKDIR /d\nEXPOSE 80\nCMD ["x", "y"]\n',
        tags=("embedded/loads:1",),
    )
    read, stop = workshop.engine.export("embedded/loads:1")
    docker_debian.docker("load", stdin=b"".join(iter(lambda: read(1 << 20), b"")))
    stop()
    said = docker_debian.docker("image", "inspect", "--format", "{{.Id}}", "embedded/loads:1")
    assert said.stdout.decode().strip() == built.image
    shown = docker_debian.docker(
        "history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Size}}", "embedded/loads:1"
    )
    assert shown.stdout.decode().splitlines() == [
        'CMD ["x" "y"]|0B',
        "EXPOSE [80/tcp]|0B",
        "WORKDIR /d|0B",
        "COPY a.txt /d/ # buildkit|1B",
        "ENV A=b|0B",
    ]


COMMANDS = r"""FROM scratch AS base
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
COPY etc /etc
FROM base
ARG V=1
ENV A=b
RUN echo "V=$V A=$A" > /out && mkdir -p /srv/app && echo data > /srv/app/file
RUN chown -R app:app /srv && chmod 4755 /srv/app/file && ln /out /hard
RUN true
RUN rm /out && mkdir -m 775 /srv/app2 && chown app /srv/app2 && mv /srv/app/file /srv/app2/moved
RUN rm -r /srv/app && mkdir /srv/app && ln -s ../app2 /srv/app/link
USER app
WORKDIR /srv/app2
RUN id -u > /tmp/id || id -u > mine; pwd >> mine
SHELL ["/bin/busybox", "ash", "-c"]
RUN echo $0 "$A" > shell
"""


def test_commands_change_what_the_classic_builder_says(
    docker_debian: Engine, workshop: Workshop
) -> None:
    workshop.write(
        {
            "busybox": find_program("busybox").read_bytes(),
            "etc/passwd": "root:x:0:0::/:/bin/sh\napp:x:1000:1000::/srv:/bin/sh\n",
            "etc/group": "root:x:0:\napp:x:1000:\n",
        }
    )
    (workshop.context / "busybox").chmod(0o755)
    built = workshop.built(COMMANDS, tags=("commands:1",))
    command = ("build", "-t", "commands:1", str(workshop.context))
    docker_debian.docker(*command, env={"DOCKER_BUILDKIT": "0"})
    assert configuration("embedded:commands:1") == configuration("docker-daemon:commands:1")
    ours, theirs = (set(merged(f"{way}:commands:1", times=False)) for way in _WAYS)
    assert not ours ^ theirs, f"{sorted(ours - theirs)}\n{sorted(theirs - ours)}"
    # A command that changes nothing makes no layer, and all of them are cache hits again.
    history = workshop.config(built.image)["history"]
    empty = [each["created_by"] for each in history if each.get("empty_layer")]
    assert any("true # buildkit" in each for each in empty)
    again = workshop.built(COMMANDS)
    assert again.image == built.image
    assert len(again.cached) == COMMANDS.count("\n") - 2


def test_everything_that_a_dockerfile_does_is_what_the_classic_builder_makes_of_it(
    docker_debian: Engine, workshop: Workshop
) -> None:
    name = kitchen_sink(docker_debian)
    with closing(open_image(f"docker-daemon:{BUSYBOX}")) as base:
        import_image(workshop.store, base, parse_reference(BUSYBOX), Progress())
    workshop.write(sink_files())
    workshop.built(kitchen_sink_dockerfile(), tags=(name,))
    assert configuration(f"embedded:{name}") == configuration(f"docker-daemon:{name}")
    ours, theirs = (set(merged(f"{way}:{name}", times=False)) for way in _WAYS)
    assert not ours ^ theirs, f"{sorted(ours - theirs)}\n{sorted(theirs - ours)}"
    # One layer for each instruction, with the same paths in it.
    layers = [layer_paths(f"{way}:{name}") for way in _WAYS]
    assert layers[0] == layers[1]


def test_mounts_of_a_command_leave_nothing_in_its_layer(
    docker_debian: Engine, workshop: Workshop
) -> None:
    workshop.write({"busybox": find_program("busybox").read_bytes(), "d/f": "in the context"})
    (workshop.context / "busybox").chmod(0o755)
    base = "FROM scratch\nCOPY busybox /bin/busybox\nCOPY busybox /bin/sh\nENV PATH=/bin\nARG S=1\n"
    mounts = (
        "--mount=type=cache,target=/cache --mount=type=bind,source=d,target=/mnt "
        "--mount=type=tmpfs,target=/t,size=64KB --mount=type=secret,id=token,env=TOKEN"
    )
    script = (
        "busybox cat /mnt/f; busybox cp /bin/busybox /t/x 2>/dev/null || busybox echo -n ', full, '"
        "; echo $TOKEN; echo $S >> /cache/c"
    )
    built = workshop.built(
        f"{base}RUN {mounts} {script}; busybox cp /cache/c /copied\n",
        secrets_={"token": b"the-value"},
    )
    log = [each["text"] for each in built.events if each["event"] == "log"]
    assert log == ["in the context, full, the-value"]
    layer_paths = set(workshop.files(built.image)) - {"/bin", "/bin/busybox", "/bin/sh"}
    assert layer_paths == {"/copied"}
    # The cache is kept, and another content of the context is another step. A link in the place of
    # another cache, which a command of PRoot can leave there, is not followed.
    (cache,) = (workshop.store.folder / "sandbox/caches").iterdir()
    outside = workshop.context.parent / "outside"
    outside.mkdir()
    name = hashlib.sha256(b"/other").hexdigest()[:32]
    cache.with_name(name).symlink_to(outside)
    workshop.built(f"{base}RUN --mount=type=cache,target=/other echo x > /other/x\n")
    assert not list(outside.iterdir())
    workshop.write({"d/f": "changed"})
    other = workshop.built(f"{base}RUN {mounts} {script}; busybox cp /cache/c /copied\n")
    assert workshop.files(other.image)["/copied"][4] == b"1\n1\n"


def test_mounts_of_stages_and_of_an_agent(
    docker_debian: Engine, workshop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    workshop.write({"busybox": find_program("busybox").read_bytes(), "f": "of the stage"})
    (workshop.context / "busybox").chmod(0o755)
    shell = "COPY busybox /bin/busybox\nCOPY busybox /bin/sh\nENV PATH=/bin\n"
    first = "FROM scratch AS first\nCOPY --chown=7:8 --chmod=640 f /d/f\nCOPY f /d/deep/f\n"
    workshop.built(first, tags=("image:1",))
    mounts = (
        "--mount=from=first,source=/d,target=/stage "
        "--mount=type=bind,from=image:1,source=d/deep,target=/image,rw "
        "--mount=type=cache,from=first,source=d,target=/cache"
    )
    script = (
        "busybox stat -c '%u %g %a %n' /stage/f; busybox cat /image/f /cache/f; "
        "echo more > /image/f; echo more >> /cache/f; ! echo x > /stage/f"
    )
    dockerfile = f"{first}FROM scratch\n{shell}RUN {mounts} {script}\n"
    built = workshop.built(dockerfile)
    log = [each["text"] for each in built.events if each["event"] == "log"]
    assert log[0] == "7 8 640 /stage/f"
    assert log[1].startswith("of the stageof the stage")
    paths = workshop.files(built.image)
    assert {path: paths[path][0] for path in ("/stage", "/image", "/cache") if path in paths} == {}
    # The cache keeps what was written to it, and the image does not.
    again = workshop.built(dockerfile, no_cache=True)
    log = [each["text"] for each in again.events if each["event"] == "log"]
    assert log[1] == "of the stageof the stagemore"
    mount = "--mount=from=first,source=x,target=/x"
    missing = workshop.build(f"{first}FROM scratch\n{shell}RUN {mount} true\n")
    assert "x is not in first" in missing.problem
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(tmp_path / "agent"))
        mount = "RUN --mount=type=ssh,required busybox test -S $SSH_AUTH_SOCK"
        dockerfile = f"FROM scratch\n{shell}{mount}\n"
        assert "default is needed" in workshop.build(dockerfile).problem
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        workshop.built(dockerfile, ssh=("default",))


def test_a_command_that_fails_ends_the_build_with_its_code(
    docker_debian: Engine, workshop: Workshop
) -> None:
    workshop.write({"busybox": find_program("busybox").read_bytes()})
    (workshop.context / "busybox").chmod(0o755)
    built = workshop.build(
        "FROM scratch\nCOPY busybox /bin/sh\nRUN echo before; exit 7\nRUN echo after\n"
    )
    assert built.failed == 3
    (failed,) = [each for each in built.events if each["event"] == "step_failed"]
    assert failed["exit_code"] == 7
    assert "ended with code 7" in built.problem
    missing = workshop.build('FROM scratch\nCOPY busybox /bin/sh\nRUN ["/nothing"]\n')
    assert missing.failed == 3
