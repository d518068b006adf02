"""Where an engine keeps its images: its data folder, its export, containerd's blobs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from layerscope.engines.remote.reader import RemoteReader
from layerscope.engines.resolve import open_image
from layerscope.images.loading import load
from layerscope.images.progress import Progress
from tests.benchmarks.budgets import Table
from tests.benchmarks.measure import compare, environment, layerscope, output, run
from tests.benchmarks.reference import (
    REFERENCE,
    layer_folders,
    reference_engine,
    reference_figures,
)
from tests.benchmarks.synthetic import GZIPPED_TAG, gzipped
from tests.engines.docker_daemon import DockerDaemon
from tests.engines.harness import SYSTEM_PATH, EngineUnavailable
from tests.engines.remote import SshServer, write_program

#: What a listing needs of each entry, as one line.
_LINE = r"%y %m %U %G %s %T@ %p %l\n"


@pytest.fixture(scope="module")
def engine() -> Iterator[DockerDaemon]:
    """A Docker with overlay2 that has the reference image."""
    try:
        with reference_engine() as running:
            yield running
    except EngineUnavailable as error:
        pytest.skip(f"no engine can be had here: {error}")


def way(command: list[str], env: dict[str, str]) -> str:
    """How the text of `inspect` says that the image was read."""
    text = output([part for part in command if part != "--json"], env)
    return next(line for line in text.splitlines() if line.startswith("Read from"))


def test_data_folder(engine: DockerDaemon, table: Table) -> None:
    env = environment(**engine.env)
    command = layerscope("inspect", "--json", "--no-cache", REFERENCE)
    assert way(command, env).endswith(", overlay2")
    document, figures = json.loads(output(command, env)), reference_figures()
    assert document["image"]["size"] == figures.bytes
    assert sum(layer["entries"] for layer in document["layers"]) >= figures.entries
    folders = layer_folders(engine, REFERENCE)
    floor: list[str | Path] = ["find", *folders, "-printf", _LINE]
    ratio = compare(partial(run, command, env), partial(run, floor), rounds=9)
    table.record("data-folder", ratio.value, spread=ratio.spread, note=ratio.note)


def test_export(engine: DockerDaemon, table: Table) -> None:
    env = environment(**engine.env)
    command = layerscope("inspect", "--json", "--no-cache", "--export", REFERENCE)
    assert "export" in way(command, env)
    save = ["sh", "-c", 'exec "$@" > /dev/null', "sh", *engine.command("save", REFERENCE)]
    ratio = compare(partial(run, command, env), partial(run, save, env), rounds=3, warm=False)
    table.record("export", ratio.value, spread=ratio.spread, note=ratio.note)
    local = layerscope("inspect", "--json", "--no-cache", REFERENCE)
    seconds = min(run(local, env) for _ in range(3))
    note = f"{seconds:.2f} s by {ratio.floor:.2f} s"
    table.record("folder-or-save", seconds / ratio.floor, note=note)


def test_over_ssh(
    engine: DockerDaemon, table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_program(tmp_path / "there/layerscope")
    path = f"{tmp_path}/there:{SYSTEM_PATH}"
    try:
        running = SshServer(engine.host, path)
    except EngineUnavailable as error:
        pytest.skip(f"no sshd can be had here: {error}")
    with running:
        monkeypatch.setenv("DOCKER_HOST", running.host)
        monkeypatch.setenv("PATH", f"{running.bin}:{path}")
        with closing(open_image(f"docker-daemon:{REFERENCE}")) as reader:
            assert isinstance(reader, RemoteReader)
            loaded = load(reader, Progress())
            table.record("ssh", reader.received / 1e6)
    assert sum(map(len, loaded.changesets.values())) >= reference_figures().entries
    table.record("ssh-export", reference_figures().bytes / 1e6)


def test_containerd_store(table: Table) -> None:
    archive, layer = gzipped()
    try:
        running = DockerDaemon("docker-28-containerd")
    except EngineUnavailable as error:
        pytest.skip(f"no engine can be had here: {error}")
    with running:
        running.docker("load", "-i", archive)
        env = environment(**running.env)
        command = layerscope("inspect", "--json", "--no-cache", GZIPPED_TAG)
        assert way(command, env).endswith(", blobs")
        floor: list[str | Path] = ["sh", "-c", 'gunzip -c "$0" | tar tvf -', layer]
        ratio = compare(partial(run, command, env), partial(run, floor), rounds=5)
    table.record("containerd", ratio.value, spread=ratio.spread, note=ratio.note)
