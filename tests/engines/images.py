"""Images for the tests, built on an engine without any registry."""

from __future__ import annotations

import fcntl
import io
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.engines.harness import SYSTEM_PATH, Engine, EngineUnavailable, cache_folder, find_program

BUSYBOX = "layerscope.test/busybox:latest"
DEBIAN = "layerscope.test/debian:bookworm"
CLASSIC = "layerscope.test/classic:latest"

CONTEXT_TIME = 1_700_000_000
"""The mtime of what a build context holds; fixed, so that the engine's cache recognises it."""


class BuildFailed(Exception):
    """An engine said that a build went wrong."""


@dataclass(frozen=True)
class Built:
    """A built image, and the JSON objects that the engine said meanwhile."""

    tag: str
    id: str
    events: list[dict[str, Any]] = field(repr=False)

    @property
    def output(self) -> str:
        """The text of the build, as a user would have seen it."""
        return "".join(event.get("stream", "") for event in self.events)


def context_tar(
    dockerfile: str, files: Mapping[str, bytes], executable: Collection[str] = ()
) -> io.BytesIO:
    """Return a build context as a tar."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in {"Dockerfile": dockerfile.encode(), **files}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o755 if name in executable else 0o644
            member.mtime = CONTEXT_TIME
            tar.addfile(member, io.BytesIO(content))
    stream.seek(0)
    return stream


def build(
    engine: Engine,
    dockerfile: str,
    files: Mapping[str, bytes] | None = None,
    tag: str = "layerscope.test/built:latest",
    *,
    executable: Collection[str] = (),
    network: str = "host",
    arguments: Mapping[str, str] | None = None,
    nocache: bool = False,
) -> Built:
    """Build an image the classic way, through the engine's API.

    Args:
        engine: where to build.
        dockerfile: the Dockerfile's text.
        files: what else the build context holds, content by path.
        tag: the name of the result.
        executable: which of the files have mode 0755 instead of 0644.
        network: `host` or `none`, which takes longer; private engines have no other.
        arguments: values for ARG instructions.
        nocache: whether to run every step anew.

    Raises BuildFailed if the engine reported an error.
    """
    events: list[dict[str, Any]] = []
    image = ""
    with engine.api() as client:
        for event in client.build(
            fileobj=context_tar(dockerfile, files or {}, executable),
            custom_context=True,
            tag=tag,
            rm=True,
            forcerm=True,
            nocache=nocache,
            network_mode=network,
            buildargs=dict(arguments or {}),
            decode=True,
        ):
            events.append(event)
            if "error" in event:
                output = "".join(each.get("stream", "") for each in events)
                raise BuildFailed(f"{engine.name}: {event['error']}\n{output[-4000:]}")
            if found := re.search(r"Successfully built ([0-9a-f]+)", event.get("stream", "")):
                image = found[1]
        image = client.inspect_image(image or tag)["Id"]
    return Built(tag, image, events)


def has_image(engine: Engine, tag: str) -> bool:
    """Tell whether an engine has an image of that name."""
    with engine.api() as client:
        return bool(client.images(name=tag))


def busybox_base(engine: Engine) -> str:
    """Return the tag of a small image with a shell, made on first use."""
    if not has_image(engine, BUSYBOX):
        program = find_program("busybox")
        dockerfile = """\
FROM scratch
COPY busybox /bin/busybox
COPY passwd group /etc/
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN mkdir -m 1777 /tmp && mkdir -p /root /usr/share /var/lib
ENV PATH=/bin
CMD ["/bin/sh"]
"""
        files = {
            "busybox": program.read_bytes(),
            "passwd": b"root:x:0:0:root:/root:/bin/sh\nwww:x:33:33:www:/var/www:/bin/false\n",
            "group": b"root:x:0:\nwww:x:33:\n",
        }
        build(engine, dockerfile, files, BUSYBOX, executable=["busybox"])
    return BUSYBOX


@contextmanager
def locked(name: str) -> Iterator[Path]:
    """Give a path in the cache folder, to this process alone until the block ends."""
    target = cache_folder() / name
    with Path(f"{target}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield target


def debian_rootfs(*packages: str) -> Path:
    """Return a tar of a minimal Debian with packages, made on first use (half a minute) and kept.

    Raises EngineUnavailable if it is not there and cannot be made.
    """
    with locked("-".join(["debian-bookworm", *packages]) + ".tar") as target:
        if target.exists():
            return target
        debootstrap = find_program("debootstrap")
        included = [f"--include={','.join(packages)}"] if packages else []
        work = Path(tempfile.mkdtemp(prefix="rootfs-", dir=target.parent))
        try:
            rootfs = work / "rootfs"
            made = subprocess.run(
                [debootstrap, "--variant=minbase", *included, "bookworm", rootfs],
                env={**os.environ, "PATH": SYSTEM_PATH},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
            if made.returncode:
                said = (made.stdout + made.stderr).decode(errors="replace").strip()
                raise EngineUnavailable(f"debootstrap failed: {said[-300:]}")
            # --one-file-system, should debootstrap have left its /proc mounted.
            tar: list[str | Path] = [
                "tar",
                "-C",
                rootfs,
                "--one-file-system",
                "-cf",
                work / "tar",
                ".",
            ]
            subprocess.run(tar, check=True, stdin=subprocess.DEVNULL)
            (work / "tar").replace(target)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return target


def debian_base(engine: Engine) -> str:
    """Return the tag of a minimal Debian, imported on first use."""
    if not has_image(engine, DEBIAN):
        repository, _, tag = DEBIAN.rpartition(":")
        with engine.api() as client, debian_rootfs().open("rb") as tar:
            client.import_image_from_data(tar, repository=repository, tag=tag)
    return DEBIAN


CLASSIC_DOCKERFILE = f"""\
FROM {BUSYBOX}
MAINTAINER Nobody <nobody@example.com>
RUN mkdir -p /var/lib/packages && echo one > /var/lib/packages/list
RUN mkdir -p /var/www/html
RUN echo 'Hi, I am in Docker!' > /var/www/html/index.html
EXPOSE 80
"""
"""The example that every introduction shows; the last RUN adds exactly one file."""


def classic_example(engine: Engine) -> str:
    """Return the tag of the classic example, built on first use."""
    if not has_image(engine, CLASSIC):
        busybox_base(engine)
        build(engine, CLASSIC_DOCKERFILE, tag=CLASSIC)
    return CLASSIC
