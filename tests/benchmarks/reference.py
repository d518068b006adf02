"""The image that measurements are made on, built once and kept.

3.9 GB, 10 layers, 174,000 entries: a Debian with compilers, a JDK, npm and Python packages, a layer
that does nothing but `chown -R` (600 MB are copied up), a layer that removes 16,000 files one by
one, and an application's tree on top, by which the figures are made to fit whatever the package
archives hold this year. `python -m tests.benchmarks.reference` makes it and prints the figures.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.engines.docker_daemon import DockerDaemon
from tests.engines.harness import Engine, EngineUnavailable, cache_folder
from tests.engines.images import DEBIAN, build, debian_base, has_image

REFERENCE = "layerscope.test/reference:latest"
GROUND = "layerscope.test/reference-ground:latest"

BYTES = 3_900_000_000
ENTRIES = 174_000
WHITEOUTS = 16_000
COPIED_UP = 600_000_000

CERTIFICATES = "/usr/local/share/machine.pem"
"""Where a build finds the machine's CA bundle; Debian's own place is written to by its packages."""

GROUND_DOCKERFILE = f"""\
FROM {DEBIAN}
COPY settings/ /
RUN apt-get update && apt-get install -y --no-install-recommends build-essential git \
 python3-dev python3-venv && rm -rf /var/lib/apt/lists/*
RUN apt-get update && apt-get install -y --no-install-recommends default-jdk-headless maven \
 && rm -rf /var/lib/apt/lists/*
RUN apt-get update && apt-get install -y --no-install-recommends nodejs npm \
 && rm -rf /var/lib/apt/lists/*
ARG NPM_CONFIG_REGISTRY
RUN NODE_EXTRA_CA_CERTS={CERTIFICATES} npm install --global --ignore-scripts \
 --no-audit --no-fund typescript webpack eslint jest @babel/preset-env date-fns rxjs \
 && rm -rf /root/.npm
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
RUN python3 -m venv /opt/venv && PIP_CERT={CERTIFICATES} \
 /opt/venv/bin/pip install --no-cache-dir --only-binary :all: \
 numpy scipy pandas scikit-learn matplotlib pyarrow sympy boto3 notebook
RUN cd /opt/venv/lib/python3*/site-packages && total=0 && for folder in */; do \
 [ $total -lt {COPIED_UP} ] || break; \
 total=$((total + $(du -s --apparent-size -B1 "$folder" | cut -f1))); \
 chown -R 1000:1000 "$folder"; done
RUN find /usr/local/lib/node_modules /usr/share/nodejs -type f -print0 \
 | head -z -n {WHITEOUTS} | xargs -0 rm
"""
"""Everything but the last layer. The `rm` names files, since a removed tree is one whiteout."""

FILES_A_FOLDER = 50


@dataclass(frozen=True)
class Figures:
    """How large an image is, its layers counted one by one as they are in archives."""

    layers: int
    entries: int
    bytes: int
    whiteouts: int

    def __str__(self) -> str:
        """Return the figures as a sentence."""
        return (
            f"{self.bytes / 1e9:.2f} GB in {self.layers} layers, {self.entries:,} entries, "
            f"of which {self.whiteouts:,} whiteouts"
        )


def reference_folder() -> Path:
    """Return where the image is kept, in its several forms."""
    folder = cache_folder() / "reference"
    folder.mkdir(exist_ok=True)
    return folder


def layer_folders(engine: Engine, tag: str) -> list[Path]:
    """Return the folders of an image's layers in an overlay2 data root, the base first."""
    with engine.api() as client:
        data = client.inspect_image(tag)["GraphDriver"]["Data"]
    lower = [Path(folder) for folder in data.get("LowerDir", "").split(":") if folder]
    return [*reversed(lower), Path(data["UpperDir"])]


def measure(folders: list[Path]) -> Figures:
    """Count what layers hold, every inode once, as the kernel's own folders show them."""
    entries = size = whiteouts = 0
    for top in folders:
        seen: set[int] = set()
        for folder, directories, files in os.walk(top):
            entries += len(directories) + len(files)
            for name in files:
                status = os.lstat(f"{folder}/{name}")
                if stat.S_ISREG(status.st_mode) and status.st_ino not in seen:
                    seen.add(status.st_ino)
                    size += status.st_size
                elif stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
                    whiteouts += 1
    return Figures(len(folders), entries, size, whiteouts)


def _machine_settings() -> dict[str, bytes]:
    """Return what a build needs to reach the package archives the way that this machine does."""
    settings = {}
    for name in (os.environ.get("SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt"):
        if name and Path(name).exists():
            settings[f"settings{CERTIFICATES}"] = Path(name).read_bytes()
            break
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False)
    proxies = [
        line
        for line in dump.stdout.splitlines()
        if line.startswith(("Acquire::http::Proxy", "Acquire::https::Proxy"))
    ]
    trust = f'Acquire::https::CAInfo "{CERTIFICATES}";'
    settings["settings/etc/apt/apt.conf.d/80machine"] = "\n".join([trust, *proxies, ""]).encode()
    return settings


def _machine_arguments() -> dict[str, str]:
    """Return build arguments for the indexes that pip and npm use on this machine."""
    arguments = {
        name: os.environ[name]
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy")
        if name in os.environ
    }
    asked = {
        "PIP_INDEX_URL": [sys.executable, "-m", "pip", "config", "get", "global.index-url"],
        "PIP_EXTRA_INDEX_URL": [
            *(sys.executable, "-m", "pip", "config", "get", "global.extra-index-url"),
        ],
        "NPM_CONFIG_REGISTRY": ["npm", "config", "get", "registry"],
    }
    for name, command in asked.items():
        answer = os.environ.get(name, "")
        if not answer and shutil.which(command[0]):
            answer = subprocess.run(
                command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
            ).stdout.strip()
        # What lies on this machine's disk is not there inside a build.
        urls = [url for url in answer.split() if url.startswith(("http://", "https://"))]
        if urls:
            arguments[name] = " ".join(urls)
    return arguments


def _application(ground: Figures) -> str:
    """Return the Dockerfile of the last layer, which brings the image to its size."""
    left = ENTRIES - ground.entries - 2
    folders = left // (FILES_A_FOLDER + 1)
    if folders < 1:
        raise EngineUnavailable(f"the packages have grown too large: {ground}")
    size = max(1, (BYTES - ground.bytes) // (folders * FILES_A_FOLDER))
    return f"""\
FROM {GROUND}
RUN for number in $(seq {folders}); do mkdir -p /srv/app/$number && \
 head -c {size * FILES_A_FOLDER} /dev/urandom | split -a 3 -b {size} - /srv/app/$number/part-; done
"""


def _say(text: object) -> None:
    print(text, file=sys.stderr, flush=True)


def _build(engine: Engine) -> None:
    """Build the image on an overlay2 engine."""
    debian_base(engine)
    arguments, settings = _machine_arguments(), _machine_settings()
    build(engine, GROUND_DOCKERFILE, settings, GROUND, network="host", arguments=arguments)
    ground = measure(layer_folders(engine, GROUND))
    _say(f"without the application: {ground}")
    build(engine, _application(ground), tag=REFERENCE, network="host")
    with engine.api() as client:  # of what an earlier attempt left
        client.prune_images({"dangling": True})


@contextmanager
def _locked() -> Iterator[Path]:
    """Give the folder to one process at a time: two daemons must not share a data folder."""
    folder = reference_folder()
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def _make_archive(folder: Path) -> Path:
    """Build the image and save it, unless that was done."""
    archive = folder / "reference.tar"
    if archive.exists():
        return archive
    with DockerDaemon("docker-debian", folder / "docker-debian") as engine:
        if not has_image(engine, REFERENCE):
            _build(engine)
        figures = measure(layer_folders(engine, REFERENCE))
        _say(f"the reference image: {figures}")
        (folder / "figures.json").write_text(json.dumps(figures.__dict__))
        partial = folder / "reference.tar.partial"
        engine.docker("save", "-o", partial, REFERENCE)
        partial.replace(archive)
    (folder / "READY").touch()
    return archive


def reference_archive() -> Path:
    """Return the image as `docker save` writes it, made on first use.

    With a Docker below 25 that is the old form of archives. Raises EngineUnavailable if it is not
    there, and this machine cannot make it.
    """
    archive = reference_folder() / "reference.tar"
    if archive.exists():  # no lock, which a running `reference_engine` would hold
        return archive
    with _locked() as folder:
        return _make_archive(folder)


def reference_figures() -> Figures:
    """Return how large the image came out."""
    reference_archive()
    return Figures(**json.loads((reference_folder() / "figures.json").read_text()))


def reference_layers() -> list[Path]:
    """Return the layers' tars as files of their own, the base first."""
    target = reference_folder() / "layers"
    if not target.exists():
        with _locked() as folder:
            archive = _make_archive(folder)
            work = Path(tempfile.mkdtemp(prefix="layers-", dir=folder))
            with tarfile.open(archive) as tar:
                manifest = tar.extractfile("manifest.json")
                assert manifest is not None
                for number, name in enumerate(json.load(manifest)[0]["Layers"]):
                    source = tar.extractfile(name)  # which follows links
                    assert source is not None
                    with (work / f"{number:02}.tar").open("wb") as file:
                        shutil.copyfileobj(source, file, 1 << 20)
            work.replace(target)
    return sorted(target.glob("*.tar"))


@contextmanager
def reference_engine(flavour: str = "docker-debian") -> Iterator[DockerDaemon]:
    """Give a running engine that has the image, on the data folder that it is kept in.

    Args:
        flavour: `docker-debian`, or `docker-28-containerd`, which loads it on first use.
    """
    with _locked() as folder:
        archive = _make_archive(folder)
        with DockerDaemon(flavour, folder / flavour) as engine:
            if not has_image(engine, REFERENCE):
                engine.docker("load", "-i", archive)
            yield engine


if __name__ == "__main__":
    _say(reference_archive())
    _say(f"{len(reference_layers())} layers")
    with reference_engine("docker-28-containerd") as loaded:
        _say(loaded.report())
    _say(reference_figures())
