"""A sandbox leaves what Docker's classic builder commits for the same command."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from layerscope.engines.resolve import open_image
from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.stack import Stack
from layerscope.images.image import history_of
from layerscope.images.loading import load
from layerscope.images.progress import Progress
from layerscope.sandbox.rung import LADDER
from layerscope.sandbox.running import Base, Command, Sandbox
from tests.engines.harness import Engine
from tests.engines.images import build, busybox_base

TAG = "layerscope.test/sandbox:1"
STEPS = [
    "mkdir -p /a/b && echo 1 > /a/b/c && chmod 750 /a && ln /a/b/c /a/d && ln -s gone /a/l",
    "echo 1.2.3.4 me >> /etc/hosts; true",
    "rm -r /usr/share && mkdir /usr/share && echo x > /usr/share/new",
    "chown -R 33:33 /var/lib /a && chmod 4755 /a/b/c && mknod /a/n c 1 3 && mkfifo /a/f",
    "mv /a/b /a/e && rm /a/l && chmod 000 /a/d && touch /a/f",
    "echo www2:x:34:34::/:/bin/sh >> /etc/passwd && rmdir /tmp && mkdir -m 1777 /tmp",
    "rm -r /a && mkdir /a && echo again > /a/b && echo secret > /dev/shm/x && echo k > /root/k",
    "cp /bin/busybox /root/b && rm /root/b && mkdir /empty && rmdir /empty",
    r"echo odd > $(printf '/root/\377') && echo long > /root/" + "x" * 200,
]


def entries(changeset: Changeset) -> dict[tuple[bytes, bool], tuple[Any, ...]]:
    """All but the times, and of whiteouts all but that they are there."""
    found = {}
    for row, path in enumerate(changeset.paths()):
        kind = int(changeset.kinds[row])
        own: tuple[Any, ...] = ()
        if kind < 7:
            columns = (changeset.modes, changeset.uids, changeset.gids, changeset.sizes)
            own = tuple(int(column[row]) for column in columns)
        about = (changeset.links.get(row), changeset.devices.get(row), changeset.xattrs.get(row))
        found[path, kind >= 7] = (kind, *own, *about)
    return found


def test_a_step_leaves_what_docker_commits(docker_debian: Engine, tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can")
    base = busybox_base(docker_debian)
    dockerfile = "\n".join([f"FROM {base}", *(f"RUN {step}" for step in STEPS)])
    build(docker_debian, dockerfile, tag=TAG)
    archive = tmp_path / "image.tar"
    docker_debian.docker("save", "-o", archive, TAG)
    reader = open_image(f"docker-archive:{archive}")
    loaded = load(reader, Progress())
    layers = [layer for _, layer in history_of(loaded.image)][-len(STEPS) :]
    below = min(layer for layer in layers if layer is not None)
    sandbox = Sandbox(tmp_path / "sandbox", LADDER[0])
    for step, layer in zip(STEPS, layers, strict=True):
        stack = Stack(loaded.stack.changesets[:below])
        command = Command(arguments=["/bin/sh", "-c", step], env={"PATH": "/bin"})
        with sandbox.ran(Base(stack, reader), command) as outcome:
            assert outcome.code == 0
            found = entries(outcome.changeset())
        expected = {} if layer is None else entries(loaded.stack.changesets[layer])
        assert found == expected, step
        below = below if layer is None else layer + 1
    reader.close()
