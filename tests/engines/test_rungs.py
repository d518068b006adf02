"""Builds without an engine, in each of the places that the ladder of sandboxes is for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from layerscope.sandbox.rung import Rung, RungName
from tests.archives import folder, layer_tar, text
from tests.command import ROOT
from tests.engines.exports import Entry
from tests.engines.fixtures import running_engine, service
from tests.engines.harness import SYSTEM_PATH, EngineUnavailable, find_program
from tests.engines.images import busybox_base, debian_rootfs, locked
from tests.engines.sandboxes import NOBODY, USER, Sandboxes, as_user, base_items, sandboxes_in
from tests.truth.command import listed, output

pytestmark = [pytest.mark.usefixtures("engines"), pytest.mark.xdist_group("rungs")]


@dataclass(frozen=True)
class Place:
    """Who builds, and where."""

    name: str
    rung: Rung
    better: str  # What `engines` says in its hint.
    user: int | str = 0
    engine: str = ""  # Whose default container it is; empty for this host.

    @property
    def keeps_owners(self) -> bool:
        return self.rung.name not in (RungName.ONE_ID, RungName.PROOT)

    def __repr__(self) -> str:
        return self.name


PLACES = [
    Place("root", Rung(RungName.ROOT, True), "the best"),
    Place("subuids", Rung(RungName.IDS, True), "the best", USER),
    Place("one-id", Rung(RungName.ONE_ID, True), "Install newuidmap", NOBODY),
    Place("root-in-docker", Rung(RungName.CHROOT, False), "CAP_SYS_ADMIN", 0, "docker-debian"),
    Place("user-in-docker", Rung(RungName.PROOT, False), "namespaces", 1000, "docker-debian"),
    Place("root-in-podman", Rung(RungName.IDS, True), "the best", 0, "podman"),
]


_PROGRAMS = {"subuids": "newuidmap", "user-in-docker": "proot"}


@dataclass(frozen=True)
class Site:
    """A place, and a folder for it."""

    place: Place
    sandboxes: Sandboxes
    home: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs layerscope there."""
        env = {
            "PATH": SYSTEM_PATH,
            "PYTHONPATH": self.sandboxes.paths,
            "HOME": str(self.home),
            "LAYERSCOPE_ENGINE": "embedded",
        }
        command = [self.sandboxes.python, "-m", "layerscope", *arguments]
        if self.place.engine:
            engine = running_engine(self.place.engine)
            # The host's programs, in a container that has the rights that it gets by default.
            shared = ["/usr", "/lib", "/lib64", "/bin", "/tmp", str(ROOT)]
            shared += self.sandboxes.paths.split(":")
            volumes = [each for each in dict.fromkeys(shared) if Path(each).exists()]
            command = engine.command(
                *("run", "--rm", "--user", str(self.place.user), "--network", "host"),
                *(f"--volume={each}:{each}" for each in volumes),
                *(f"--env={name}={value}" for name, value in env.items()),
                *(busybox_base(engine), *command),
            )
            env = {**os.environ, "PATH": SYSTEM_PATH, **engine.env}
        else:
            command = [*as_user(self.place.user), *command]
        return subprocess.run(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )

    def files(self, image: str) -> dict[str, Entry]:
        """The merged view of an image that was built there."""
        store = self.home / ".local/share/layerscope/store"
        source = f"embedded:{image}"
        return listed(output("files", "--json-lines", source, LAYERSCOPE_STORE=str(store)))

    def said(self, *arguments: str) -> list[dict[str, Any]]:
        """The JSON lines that a command prints; it must succeed."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr + done.stdout
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def sandboxes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandboxes]:
    with sandboxes_in(tmp_path_factory.mktemp("rungs")) as made:
        yield made


@pytest.fixture(scope="module", params=PLACES, ids=repr)
def site(request: pytest.FixtureRequest, sandboxes: Sandboxes) -> Site:
    """Every place that can be had here."""
    place: Place = request.param
    if program := _PROGRAMS.get(place.name):
        service(place.name, lambda: find_program(program))
    home = sandboxes.base / place.name
    home.mkdir()
    shutil.chown(home, place.user, place.user)
    return Site(place, sandboxes, home)


DOCKERFILE = """FROM scratch
ADD base.tar /
RUN mkdir /made && echo made > /made/file && chown 5:6 /made/file && chmod 4711 /made/file
RUN cat /data/none && id -u && rm /data/gone
"""
BASE = [
    *(*base_items(), folder("data"), text("data/owned", uid=33, gid=34), text("data/gone")),
    *(text("data/far", uid=200_000, gid=200_000), text("data/none", "secret\n", mode=0o000)),
]


def context(sandboxes: Sandboxes, name: str, dockerfile: str, base: bytes) -> str:
    """A build context that all places share."""
    made = sandboxes.base / name
    if not made.exists():
        made.mkdir()
        (made / "Dockerfile").write_text(dockerfile)
        (made / "base.tar").write_bytes(base)
    return str(made)


def test_a_build_keeps_what_its_rung_keeps(site: Site) -> None:
    where = context(site.sandboxes, "plain", DOCKERFILE, layer_tar(BASE))
    (document,) = site.said("engines", "--json")
    rung = site.place.rung
    said = document["sandbox"]
    assert (said["name"], said["overlay"]) == (rung.name, rung.overlay)
    assert said["loses"] == list(rung.loses)
    assert site.place.better in (said["better"] or "the best")
    events = site.said("build", "--json-lines", "-t", "built:1", where)
    log = [each["text"] for each in events if each["event"] == "log"]
    assert log == ["secret", "0"]
    files = site.files("built:1")
    assert {"/data", "/data/owned", "/data/far", "/data/none", "/made", "/made/file"} == {
        path for path in files if path.startswith(("/data", "/made"))
    }
    # Those of the image are kept everywhere.
    owners = {path: (each.uid, each.gid) for path, each in files.items()}
    assert owners["/data/owned"] == (33, 34)
    assert owners["/data/far"] == (200_000, 200_000)
    kept = (5, 6) if site.place.keeps_owners else (0, 0)
    assert (owners["/made/file"], files["/made/file"].mode) == (kept, 0o4711)
    assert not list(site.home.rglob("run-*"))


INSTALL = """FROM scratch
ADD base.tar /
RUN apt-get update && apt-get install -y --no-install-recommends nginx && nginx -v
"""
PREPARE = r"""set -e
apt-get update
apt-get install -y --no-install-recommends --download-only nginx
mv /var/cache/apt/archives /debs
cd /debs
rm -rf lock partial /var/lib/apt/lists/* /var/cache/apt/*.bin
rm -rf /usr/share/doc /usr/share/man /usr/share/locale /usr/share/info
for deb in *.deb; do
    dpkg-deb -f $deb
    printf 'Filename: ./%s\nSize: %s\nSHA256: ' $deb $(stat -c %s $deb)
    sha256sum < $deb | cut -c 1-64
    echo
done > Packages
echo 'deb [trusted=yes] file:/debs ./' > /etc/apt/sources.list
"""


def installable() -> Path:
    """A tar of a small Debian with packages of nginx and all that it needs, made on first use."""
    plain = debian_rootfs()
    with locked("debian-bookworm-nginx.tar") as target:
        if target.exists():
            return target
        with tempfile.TemporaryDirectory(prefix="nginx-", dir=target.parent) as work:
            root, tar = Path(work, "root"), Path(work, "tar")
            root.mkdir()
            subprocess.run(["tar", "-C", root, "-xpf", plain], check=True)
            made = subprocess.run(
                ["chroot", root, "sh", "-c", PREPARE],
                env={"PATH": SYSTEM_PATH, "DEBIAN_FRONTEND": "noninteractive"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
            if made.returncode:
                said = made.stderr.decode(errors="replace").strip()
                raise EngineUnavailable(f"apt-get cannot download: {said[-300:]}")
            subprocess.run(["tar", "-C", root, "-cf", tar, "."], check=True)
            tar.replace(target)
    return target


def test_apt_installs_nginx(site: Site) -> None:
    where = context(site.sandboxes, "apt", INSTALL, service("apt-get", installable).read_bytes())
    events = site.said("build", "--json-lines", "-t", "apt:1", where)
    log = [each["text"] for each in events if each["event"] == "log"]
    assert log[-1].startswith("nginx version: nginx/")
    files = site.files("apt:1")
    assert (files["/etc/shadow"].uid, files["/etc/shadow"].gid) == (0, 42)
    written = files["/var/log/nginx/access.log"]
    assert (written.uid, written.gid) == ((33, 4) if site.place.keeps_owners else (0, 0))
