"""What the embedded builder makes is loaded, pulled and run by every engine."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.archives import Item, folder, hard_link, layer_tar, text
from tests.engines.exports import listing_of_export
from tests.engines.harness import SYSTEM_PATH, Engine, find_program
from tests.engines.registry import Registry
from tests.engines.test_registry_source import login
from tests.truth.command import as_exported, check_same, environment, listed, output, run_program
from tests.unit.build.embedded.building import Workshop

BASE = [
    *(folder("bin"), folder("etc"), folder("d", uid=33, gid=34), folder("d/tree")),
    text("etc/passwd", "root:x:0:0::/root:/bin/sh\nwww:x:33:34::/d:/bin/sh\n"),
    text("etc/group", "root:x:0:\nweb:x:34:\nmore:x:50:www\n"),
    *(text("d/gone"), text("d/tree/old"), text("d/kept", "kept\n", uid=7, gid=70_000)),
    Item("d/suid", content=b"s", mode=0o6755, uid=5, gid=6),
    *(Item("d/pipe", "fifo"), text("d/closed", mode=0), folder("d/sticky", mode=0o1777)),
    text(b"d/\xff\xfe".decode("utf-8", "surrogateescape"), "odd"),
    *(text("d/pair", uid=1), hard_link("d/linked", "d/pair")),
]
DOCKERFILE = r"""FROM scratch AS base
ADD base.tar /
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
FROM base
ENV GREETING="hello from"
RUN rm /d/gone && rm -r /d/tree && mkdir /d/tree && echo new > /d/tree/new
RUN ln /d/kept /d/again && chown www:more /d/sticky && mknod /d/null c 1 3
RUN echo odd > "$(printf '/d/\377new')" && mkdir -m 2750 /d/set && chmod 4711 /d/suid
COPY --chown=www:web --chmod=750 report /d/report
USER www
WORKDIR /d/tree
ENTRYPOINT ["/d/report"]
CMD ["the", "image"]
"""
REPORT = r"""#!/bin/sh
echo $GREETING "$@"
echo $(id -u) $(id -g) $(id -G) $PWD
cat new
cd ..
stat -c '%n %a %u:%g' suid sticky set report
stat -c %h pair kept
[ pair -ef linked ] && [ kept -ef again ] && echo "each one file"
ls | grep -c -e gone -e old
ls -d $(printf '\377*')| wc -l
[ -c null ] && echo "a device"
"""
SAID = """hello from the image
33 34 34 50 /d/tree
new
suid 4711 5:6
sticky 1777 33:50
set 2750 0:0
report 750 33:34
2
2
each one file
0
2
a device
"""


@dataclass(frozen=True)
class Image:
    name: str
    id: str
    manifest: str  # The digest of what was pushed.
    archive: bytes  # As an engine loads it.
    files: str  # The merged view, as a command prints it.
    users: Mapping[str, str]  # The environment of a user who has it.


@pytest.fixture(scope="module")
def image(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Image:
    if os.geteuid():
        pytest.skip("NOT TESTED: only root can keep all owners")
    place = tmp_path_factory.mktemp("built")
    shop = Workshop.at(place)
    shop.write({"busybox": find_program("busybox").read_bytes(), "report": REPORT})
    shop.write({"base.tar": layer_tar(BASE)})
    (shop.context / "busybox").chmod(0o755)
    name = f"{registry.address}/built:{os.getpid()}"
    built = shop.built(DOCKERFILE, tags=(name,))
    user = {
        "LAYERSCOPE_STORE": str(place / "store"),
        "LAYERSCOPE_ENGINE": "embedded",
        "XDG_STATE_HOME": str(place / "state"),
        "DOCKER_CONFIG": login(place / "docker", registry),
    }
    command = [sys.executable, "-m", "layerscope", "push", name, "--json-lines"]
    pushed = run_program(command, environment(None, **user))
    assert pushed.returncode == 0, pushed.stderr
    read, stop = shop.engine.export(name)
    archive = b"".join(iter(lambda: read(1 << 20), b""))
    stop()
    return Image(
        name,
        built.image.removeprefix("sha256:"),
        json.loads(pushed.stdout.splitlines()[-1])["digest"],
        archive,
        output("files", "--json-lines", f"embedded:{name}", LAYERSCOPE_STORE=str(place / "store")),
        user,
    )


@pytest.mark.parametrize("way", ["loaded", "pulled"])
def test_it_runs_on_every_engine_as_it_is(engine: Engine, image: Image, way: str) -> None:
    user = {"DOCKER_CONFIG": image.users["DOCKER_CONFIG"]}
    if way == "loaded":
        engine.docker("load", stdin=image.archive)
    else:
        options = ["--tls-verify=false"] if engine.kind == "podman" else []
        engine.docker("pull", *options, image.name, env=user)
    try:
        if engine.name != "docker-28-containerd":  # Whose ids are those of manifests.
            found = json.loads(engine.docker("image", "inspect", image.name).stdout)[0]
            assert found["Id"].removeprefix("sha256:") == image.id
        run = ("run", "--rm", "--network", "none", image.name)
        assert engine.docker(*run, env=user).stdout.decode() == SAID
        assert engine.docker(*run, "me", env=user).stdout.startswith(b"hello from me\n")
        truth = listing_of_export(engine, image.name)
        check_same(as_exported(engine, listed(image.files)), as_exported(engine, truth))
    finally:
        engine.docker("rmi", image.name)


def test_skopeo_verifies_what_was_pushed(image: Image, registry: Registry, tmp_path: Path) -> None:
    """It refuses a blob that its digest does not fit; layers are checked by hand."""
    if not Path("/usr/bin/skopeo").exists():
        pytest.skip("NOT TESTED: skopeo is not installed")
    source = ("--src-tls-verify=false", "--src-creds", f"{registry.user}:{registry.password}")
    subprocess.run(
        ["skopeo", "copy", *source, f"docker://{image.name}", f"dir:{tmp_path}/copy"],
        env={**os.environ, "PATH": SYSTEM_PATH},
        check=True,
        capture_output=True,
    )
    manifest = (tmp_path / "copy/manifest.json").read_bytes()
    assert f"sha256:{hashlib.sha256(manifest).hexdigest()}" == image.manifest
    document = json.loads(manifest)
    assert document["config"]["digest"] == f"sha256:{image.id}"
    config = (tmp_path / "copy" / image.id).read_bytes()
    assert hashlib.sha256(config).hexdigest() == image.id
    blobs = [tmp_path / "copy" / each["digest"].partition(":")[2] for each in document["layers"]]
    assert [hashlib.sha256(each.read_bytes()).hexdigest() for each in blobs] == [
        each.name for each in blobs
    ]
    layers = [hashlib.sha256(gzip.decompress(each.read_bytes())).hexdigest() for each in blobs]
    assert [f"sha256:{each}" for each in layers] == json.loads(config)["rootfs"]["diff_ids"]
