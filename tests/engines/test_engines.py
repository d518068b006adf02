"""The engines themselves: they start, build, export and save, and leave nothing behind."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import docker
import pytest

from tests.engines.docker_daemon import FLAVOURS, DockerDaemon
from tests.engines.exports import Entry, comparable, listing_of_export
from tests.engines.fixtures import ENGINES, new_engine
from tests.engines.harness import (
    Engine,
    EngineUnavailable,
    mounts_under,
    processes_of,
    sweep_orphans,
)
from tests.engines.images import (
    BuildFailed,
    build,
    busybox_base,
    classic_example,
    debian_base,
)
from tests.engines.kitchen_sink import COMPONENT, LONG, kitchen_sink
from tests.engines.registry import Registry

REPOSITORY = Path(__file__).resolve().parents[2]


def saved(engine: Engine, image: str) -> tuple[list[str], dict[str, bytes]]:
    """Return the names of an image's layers in its `save`, and all members' contents."""
    with engine.api() as client:
        stream = io.BytesIO(b"".join(client.get_image(image)))
    with tarfile.open(fileobj=stream) as tar:
        contents = {
            member.name: file.read()
            for member in tar
            if not member.isdir() and (file := tar.extractfile(member)) is not None
        }
    layers: list[str] = json.loads(contents["manifest.json"])[0]["Layers"]
    return layers, contents


def members(layer: bytes) -> list[str]:
    """Return the names in a layer."""
    with tarfile.open(fileobj=io.BytesIO(layer), errors="surrogateescape") as tar:
        return [member.name.rstrip("/") for member in tar]


def test_answers(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    report = engine.report()
    with capsys.disabled():
        sys.stdout.write(f"\n{report}\n")
    assert engine.running
    drivers = {"podman": "overlay", "docker-28-containerd": "overlayfs"}
    assert report.endswith(drivers.get(engine.name, "overlay2"))
    assert len(str(engine.socket)) < 100
    assert engine.docker("version").returncode == 0
    assert json.loads(engine.docker("info", "--format", "{{json .}}").stdout)


def test_a_failing_step_is_an_error(engine: Engine) -> None:
    base = busybox_base(engine)
    with pytest.raises(BuildFailed, match=r"42|exit"):
        build(engine, f"FROM {base}\nRUN exit 42\n")


def test_classic_example(engine: Engine) -> None:
    image = classic_example(engine)
    with engine.api() as client:
        config = client.inspect_image(image)["Config"]
        history = client.history(image)
    assert "80/tcp" in config["ExposedPorts"]
    assert history[0]["Size"] == 0
    listing = listing_of_export(engine, image, content=True)
    page = listing["/var/www/html/index.html"]
    assert (page.type, page.size, page.mode) == ("file", 20, 0o644)
    layers, contents = saved(engine, image)
    added = members(contents[layers[-1]])
    assert [name for name in added if name.endswith("html")] == [
        "var/www/html",
        "var/www/html/index.html",
    ]
    # Podman makes a mount point in /run for each step, and leaves the folder in the layer.
    parents = {"var", "var/www", "run"} if engine.kind == "podman" else {"var", "var/www"}
    assert set(added) <= parents | {"var/www/html", "var/www/html/index.html"}


def test_kitchen_sink(engine: Engine) -> None:
    listing = comparable(engine, listing_of_export(engine, kitchen_sink(engine)))

    def entry(path: str) -> Entry:
        return listing[f"/k/{path}"]

    assert "/k/tree" not in listing
    assert "/k/opaque/old" not in listing
    assert entry("opaque/new").type == "file"
    assert entry("removed").size == len("back\n")
    assert entry("dir-to-file").type == "dir"
    assert "/k/dir-to-file/x" not in listing
    assert entry("file-to-dir").type == "file"
    assert entry("symlink").link == "readded"
    assert entry("hard/b").size == len("one inode\n")
    assert entry("hard/c").size == len("one inode\nmore\n")
    assert entry("linked-again") == entry("linked").__class__(
        **{**entry("linked").__dict__, "path": "/k/linked-again"}
    )
    assert entry("chmodded").mode == 0o600
    assert (entry("owned/two").uid, entry("owned/sub/one").gid) == (0, 1001)
    assert entry("sparse").size == 5_000_001
    assert entry("bits/suid").mode == 0o4755
    assert entry("bits/sticky").mode == 0o1777
    assert entry("fifo").type == "fifo"
    assert (entry("id-large").uid, entry("id-large").gid) == (3_000_000, 4_000_000)
    assert entry("old").mtime == 0
    assert entry("new").mtime == 2_524_608_000
    assert entry("added/capable").xattrs.keys() == {"security.capability"}
    assert f"/k/{COMPONENT}" in listing
    assert "/k/names/latin1-\udce4\udcf6\udcfc" in listing
    assert "/k/names/new\nline" in listing
    assert "/k/names/-rf" not in listing
    assert f"/k/{LONG}/{LONG}/{LONG}/{LONG}" not in listing
    assert entry("long-hard-link").type == "file"
    assert entry("level0/" + "/".join(f"level{n}" for n in range(1, 40))).type == "dir"
    # Devices are optional, since not every engine lets a build make them.
    assert listing.get("/k/null", entry("fifo")).device in (None, (1, 3))


def test_kitchen_sink_saved(engine: Engine) -> None:
    layers, contents = saved(engine, kitchen_sink(engine))
    assert len(layers) > 10
    names = [name for layer in layers for name in members(contents[layer])]
    assert "k/.wh.tree" in names
    assert sum("/.wh.file-1" in name for name in names) > 500
    if engine.name != "docker-28-containerd":  # whose differ names each path instead
        assert "k/opaque/.wh..wh..opq" in names


def test_debian_base(docker_debian: Engine) -> None:
    try:
        image = debian_base(docker_debian)
    except EngineUnavailable as error:
        pytest.skip(str(error))
    listing = listing_of_export(docker_debian, image)
    assert listing["/usr/bin/dpkg"].type == "file"
    assert listing["/bin"].link == "usr/bin"


def test_registry(registry: Registry, engine: Engine) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(registry.url, timeout=5)
    reference = f"{registry.address}/{engine.name}"
    image = classic_example(engine)
    with engine.api() as client:
        client.tag(image, reference, "v1")
        said = list(
            client.push(reference, "v1", stream=True, decode=True, auth_config=registry.auth_config)
        )
        assert not [event for event in said if "error" in event]
        client.remove_image(f"{reference}:v1")
        client.pull(reference, "v1", auth_config=registry.auth_config)
        assert client.images(name=f"{reference}:v1")
    assert registry.get(f"{engine.name}/tags/list") == {"name": engine.name, "tags": ["v1"]}


def control_groups(engine: Engine) -> list[Path]:
    """Return the control groups that bear the name of an engine's folder."""
    name = engine.folder.path.name
    return [*Path("/sys/fs/cgroup").glob(f"*/{name}"), *Path("/sys/fs/cgroup").glob(name)]


def start_sleeper(engine: Engine) -> None:
    """Run a container that lives until somebody ends it."""
    image = busybox_base(engine)
    with engine.api() as client:
        settings = client.create_host_config(network_mode="host")
        made = client.create_container(image, ["sleep", "1000"], host_config=settings)
        client.start(made["Id"])


@pytest.mark.parametrize("name", ENGINES)
def test_a_killed_engine_leaves_nothing(name: str) -> None:
    engine = new_engine(name)
    try:
        start_sleeper(engine)
        engine.kill()
        assert not engine.answers()
        left = processes_of(engine.folder.path)
        assert left, "a container outlives its engine"
        assert mounts_under(engine.folder.path)
    finally:
        engine.stop()
    assert not [pid for pid in left if Path(f"/proc/{pid}/cmdline").exists() and alive(pid)]
    assert not processes_of(engine.folder.path)
    assert not mounts_under(engine.folder.path)
    assert not control_groups(engine)
    assert not engine.folder.path.exists()


def alive(pid: int) -> bool:
    """Tell whether a process still runs, not merely waits to be reaped."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_what_a_killed_run_left_is_cleared() -> None:
    """A run that gets SIGKILL can clear nothing itself; the next one does it."""
    code = (
        "import sys, time\n"
        "from tests.engines.docker_daemon import DockerDaemon\n"
        "engine = DockerDaemon('docker-debian')\n"
        "print(engine.folder.path, flush=True)\n"
        "time.sleep(60)\n"
    )
    run = subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE)
    assert run.stdout is not None
    folder = Path(run.stdout.readline().decode().strip() or "/nonexistent")
    run.kill()
    run.communicate()
    if not folder.exists():
        pytest.skip("the engine cannot be had")
    sweep_orphans()
    assert not folder.exists()
    assert not processes_of(folder)
    assert not mounts_under(folder)


def test_two_at_a_time_and_data_kept(tmp_path: Path) -> None:
    first = new_engine("docker-debian")
    with first:
        root = tmp_path / "data"
        try:
            second = DockerDaemon(FLAVOURS[0], root)
        except EngineUnavailable as error:
            pytest.skip(str(error))
        with second:
            image = busybox_base(second)
            with pytest.raises(docker.errors.NotFound), first.api() as client:
                client.inspect_image(image)
        began = time.monotonic()
        with DockerDaemon(FLAVOURS[0], root) as again, again.api() as client:
            assert client.inspect_image(image)
        assert time.monotonic() - began < 30
    assert not mounts_under(root)
