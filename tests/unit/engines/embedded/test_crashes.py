"""Processes that are killed, and several at once: the store always opens, and nothing is lost."""

from __future__ import annotations

import gzip
import os
import random
import re
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest

from layerscope.engines.address import EMBEDDED
from layerscope.engines.embedded.engine import EmbeddedEngine
from layerscope.engines.embedded.importing import import_image
from layerscope.engines.embedded.store import Store
from layerscope.engines.resolve import open_image
from layerscope.errors import LayerscopeError
from layerscope.images.progress import Progress
from layerscope.jobs.worker import Cancellation
from layerscope.oci.reference import parse_reference
from layerscope.transfer.recorder import Recorder
from layerscope.transfer.registry_pull import pull_by_registry
from layerscope.transfer.request import TransferRequest
from layerscope.transfer.targets import target_of
from tests.unit.build.embedded.building import Built, Workshop
from tests.unit.engines.embedded.images import LAYERS, add, archives, blobs, check, names
from tests.unit.images.registry.misbehaving_registry import FakeRegistry, Handler, noise, tar_of

_KILLS = 200
#: What is done when a process is killed.
KINDS = ("pull", "build", "load", "remove", "collect", "forget")
#: The layers of an image in a registry.
PULLED = [tar_of({"f": noise(30_000 * seed, seed)}) for seed in (1, 2, 3)]


def forked(work: Callable[[], object]) -> int:
    """Runs a function in a process of its own, and returns its id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(pid: int) -> int:
    """Kills a process, and returns its exit code."""
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def collect(engine: EmbeddedEngine) -> int:
    return sum(map(engine.remove_cached, engine.garbage()))


def random_build(workshop: Workshop, chance: random.Random, tags: tuple[str, ...]) -> Built:
    """Builds a few steps, some of which were built before."""
    for name in ("x", "y"):
        workshop.write({name: chance.choice(("1", "2" * 4000))})
    steps = ("COPY x /x", "COPY y /d/", "WORKDIR /w", "ENV A=1", "COPY . /all/", "LABEL a=b")
    chosen = [chance.choice(steps) for _ in range(chance.randrange(1, 5))]
    return workshop.build("\n".join(("FROM scratch", *chosen, "")), tags=tags)


def forget(engine: EmbeddedEngine) -> int:
    """Removes one of the layers that builds remember."""
    cached = [each.id for each in engine.build_cache()[:1]]
    return sum(map(engine.remove_cached, cached))


def serve(ready: int, log: Path) -> None:
    """Runs a registry whose layers come slowly, and notes where what is asked of each begins."""
    registry = FakeRegistry()
    registry.image([gzip.compress(each, mtime=0) for each in PULLED], "1")

    def slowly(handler: Handler) -> bool:
        data = registry.blobs[handler.path.rpartition("/")[2]]
        wanted = re.match(r"bytes=(\d+)-", handler.headers.get("Range") or "")
        start = int(wanted[1]) if wanted else 0
        with log.open("a") as file:
            file.write(f"{handler.path} {start}\n")
        handler.send_response(206 if wanted else 200)
        if wanted:
            handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        handler.send_header("Content-Length", str(len(data) - start))
        handler.end_headers()
        for at in range(start, len(data), 4000):
            handler.write(data[at : at + 4000])
            time.sleep(0.002)
        return True

    registry.when("GET .*/blobs/", slowly)
    os.write(ready, registry.address.encode())
    signal.pause()


def pull(repository: str, report: Callable[[object], object] = bool) -> None:
    work, name = Cancellation(), f"{repository}:1"
    request = TransferRequest(name, via="registry", target=f"{EMBEDDED}:pulled:1")
    with closing(target_of(request.target, None, work)) as target:
        pull_by_registry([parse_reference(name)], request, target, Recorder(report), work)


def churn(folder: Path, sources: list[Path], seed: int, repository: str, begun: int) -> None:
    """Changes a store without an end, and writes a letter for whatever it is about to do."""
    context = folder.with_name("context")
    context.mkdir(exist_ok=True)
    workshop = Workshop(context, Store(folder))
    chance = random.Random(seed)
    engine = EmbeddedEngine(Store(folder))

    def load() -> None:
        name = f"app:{chance.randrange(4)}" if chance.random() < 0.8 else ""
        add(engine.store, chance.choice(sources), name)

    def remove() -> None:
        for each in sorted({line.id for line in engine.images()}):
            if chance.random() < 0.5:
                engine.remove_image(each)

    changes: dict[str, Callable[[], object]] = {
        "pull": lambda: pull(repository, lambda _: os.write(begun, b"p")),
        "build": lambda: random_build(workshop, chance, (f"built:{chance.randrange(3)}",)),
        "load": load,
        "remove": remove,
        "collect": lambda: collect(engine),
        "forget": lambda: forget(engine),
    }
    kind = KINDS[seed % len(KINDS)]
    while True:
        os.write(begun, kind[0].encode())
        changes[kind]()
        kind = chance.choice(KINDS)


def test_a_process_that_is_killed_leaves_a_whole_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Two hundred times; and a pull goes on from what came of each layer before."""
    # The kernel goes on and writes all the same, and a busy disk would make this wait for minutes.
    monkeypatch.setattr(os, "fsync", bool)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LAYERSCOPE_STORE", str(tmp_path / "store"))
    sources, folder, log = archives(tmp_path), tmp_path / "store", tmp_path / "asked"
    chance = random.Random(1)
    ready, served = os.pipe()
    registry = forked(lambda: serve(served, log))
    request.addfinalizer(lambda: ended(registry))
    address = os.read(ready, 100).decode()
    killed: Counter[str] = Counter()
    kept: list[dict[str, int]] = []
    found_garbage = 0
    for seed in count():
        if seed >= _KILLS and found_garbage and len(killed) == len(KINDS):
            break
        kept.append({path.name: path.stat().st_size for path in tmp_path.glob("cache/*/blobs-1/*")})
        changes, begun = os.pipe()
        pid = forked(
            lambda: churn(folder, sources, seed, f"{address}/app{seed}", begun)  # noqa: B023
        )
        os.close(begun)
        done, wanted = b"", chance.randrange(1, 16 if KINDS[seed % len(KINDS)] == "pull" else 5)
        while len(done) < wanted:
            more = os.read(changes, 1)
            assert more, f"process {seed} failed after {done!r}"
            done += more
        time.sleep(chance.random() * 0.02)
        assert ended(pid) == -signal.SIGKILL
        done += os.read(changes, 1000)
        os.close(changes)
        killed[done[-1:].decode()] += 1
        if not (folder / "index.json").exists():
            continue
        garbage = check(folder)
        engine = EmbeddedEngine(Store(folder))
        assert sum(engine.garbage().values()) == garbage
        for line in engine.images():
            engine.inspect(line.id)
        found_garbage += bool(garbage)
        if garbage and chance.random() < 0.5:
            assert collect(engine) == garbage
            assert check(folder) == 0
    # Whatever a process was about to write is gone once another one writes there.
    engine = EmbeddedEngine(Store(folder))
    pull(f"{address}/last")
    collect(engine)
    assert not list(folder.glob("leases/*"))
    assert not list(folder.glob("**/*.part"))
    assert {f"sha256:{sha256(each).hexdigest()}" for each in PULLED} <= blobs(folder).keys()
    resumed, seen = 0, set()
    for path, start in map(str.split, log.read_text().splitlines()):
        attempt = re.match(r"/v2/app(\d+)/blobs/", path)
        if attempt is None or path in seen:
            continue
        seen.add(path)
        here = kept[int(attempt[1])].get(path.rpartition("/")[2].replace(":", "-"), 0)
        assert int(start) == here
        resumed += bool(here)
    assert resumed


def test_processes_at_once_lose_nothing_of_each_other(tmp_path: Path) -> None:
    sources, folder = archives(tmp_path), tmp_path / "store"

    def work(own: int) -> None:
        engine = EmbeddedEngine(Store(folder))
        for turn in range(8):
            for number, source in enumerate(sources):
                add(engine.store, source, f"app{own}:{number}")
            engine.tag_image(f"app{own}:0", f"other{own}:{turn}")
            if turn < 7:
                for number in range(len(sources)):
                    engine.remove_image(f"app{own}:{number}")
                engine.remove_image(f"other{own}:{turn}")
            collect(engine)

    processes = [forked(lambda own=own: work(own)) for own in range(3)]  # type: ignore[misc]
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in processes] == [0, 0, 0]
    engine = EmbeddedEngine(Store(folder))
    expected = {f"app{own}:{number}" for own in range(3) for number in range(len(sources))}
    assert set(names(engine)) == expected | {f"other{own}:7" for own in range(3)}
    assert check(folder) == 0


def test_builds_and_a_prune_at_once(tmp_path: Path) -> None:
    folder, done = tmp_path / "store", tmp_path / "done"

    def build(own: int) -> None:
        workshop = Workshop(tmp_path / f"context{own}", Store(folder))
        workshop.context.mkdir()
        chance = random.Random(own)
        for turn in range(4):
            built = random_build(workshop, chance, (f"built{own}:{turn}",))
            assert not built.problem, built.problem
            assert workshop.config(built.image)["history"]

    def prune() -> None:
        engine = EmbeddedEngine(Store(folder))
        while not done.exists():
            collect(engine)
            forget(engine)

    pruner = forked(prune)
    builders = [forked(lambda own=own: build(own)) for own in range(2)]  # type: ignore[misc]
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in builders]
    done.touch()
    assert [*codes, os.waitstatus_to_exitcode(os.waitpid(pruner, 0)[1])] == [0, 0, 0]
    engine = EmbeddedEngine(Store(folder))
    assert sum(engine.garbage().values()) == check(folder)
    workshop = Workshop(tmp_path, engine.store)
    assert set(names(engine)) == {f"built{own}:{turn}" for own in range(2) for turn in range(4)}
    for image in names(engine).values():
        workshop.files(image)


def test_a_build_on_a_full_disk(small_disk: Path, tmp_path: Path) -> None:
    workshop = Workshop(tmp_path / "context", Store(small_disk / "store"))
    workshop.write({"small": "x" * 1000, "large": os.urandom(1 << 18)})
    small = "FROM scratch\nCOPY small /\n"
    first = workshop.built(small, tags=("small:1",))
    assert "the disk is full" in workshop.build(f"{small}COPY large /\n", tags=("small:1",)).problem
    assert names(workshop.engine) == {"small:1": first.image}
    assert sum(workshop.engine.garbage().values()) == check(small_disk / "store")
    assert workshop.built(small).cached == [2]


def test_what_a_running_transfer_needs_is_no_garbage(tmp_path: Path) -> None:
    engine = EmbeddedEngine(Store(tmp_path / "store"))
    pieces = iter((b"layer", b""))
    with engine.store.lease() as lease:
        digest, size = lease.add(lambda _: next(pieces))
        assert engine.garbage() == {}
        assert engine.remove_cached(digest) == 0
    assert engine.garbage() == {digest: size}
    assert engine.remove_cached(digest) == size
    assert blobs(engine.store.folder) == {}


def test_an_import_that_fails_keeps_whole_layers_for_the_next_attempt(tmp_path: Path) -> None:
    sources = archives(tmp_path)
    engine = EmbeddedEngine(Store(tmp_path / "store"))
    taken: list[str] = []

    def stop_at_second(diff_id: str, state: str, _: int) -> None:
        taken.extend([diff_id] * (state == "done"))
        if len(taken) == 2:
            raise LayerscopeError("Stopped.")

    reader = open_image(f"docker-archive:{sources[1]}")
    with pytest.raises(LayerscopeError, match="Stopped"):
        import_image(engine.store, reader, None, Progress(), stop_at_second)
    assert len(blobs(engine.store.folder)) == 2
    assert len(engine.garbage()) == 2
    add(engine.store, sources[1], "app:1")
    assert len(blobs(engine.store.folder)) == len(LAYERS[1]) + 2
    assert engine.garbage() == {}
