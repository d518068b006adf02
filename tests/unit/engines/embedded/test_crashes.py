"""Processes that are killed, and several at once: the store always opens, and nothing is lost."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from layerscope.engines.embedded.engine import EmbeddedEngine
from layerscope.engines.embedded.importing import import_image
from layerscope.engines.embedded.store import Store
from layerscope.engines.resolve import open_image
from layerscope.errors import LayerscopeError
from layerscope.images.progress import Progress
from tests.unit.build.embedded.building import Built, Workshop
from tests.unit.engines.embedded.images import LAYERS, add, archives, blobs, check, names

#: How often a process is killed: for a long run, set it to hundreds.
_KILLS = int(os.environ.get("LAYERSCOPE_TEST_KILLS", "40"))


def forked(work: Callable[[], object]) -> int:
    """Runs a function in a process of its own, and returns its id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


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


def churn(folder: Path, sources: list[Path], seed: int, changed: int) -> None:
    """Changes a store without an end, and writes a byte for each change."""
    context = folder.with_name("context")
    context.mkdir(exist_ok=True)
    workshop = Workshop(context, Store(folder))
    chance = random.Random(seed)
    engine = EmbeddedEngine(Store(folder))
    while True:
        kind = chance.random()
        held = names(engine)
        if kind < 0.3:
            random_build(workshop, chance, (f"built:{chance.randrange(3)}",))
        elif kind < 0.6 or not held:
            name = f"app:{chance.randrange(4)}" if chance.random() < 0.8 else ""
            add(engine.store, chance.choice(sources), name)
        elif kind < 0.9:
            engine.remove_image(chance.choice(list(held)))
        elif kind < 0.95:
            collect(engine)
        else:
            forget(engine)
        os.write(changed, b".")


def test_a_process_that_is_killed_leaves_a_whole_store(tmp_path: Path) -> None:
    sources, folder = archives(tmp_path), tmp_path / "store"
    chance = random.Random(1)
    found_garbage = 0
    for seed in count():
        if seed >= _KILLS and found_garbage:
            break
        changes, changed = os.pipe()
        pid = forked(lambda: churn(folder, sources, seed, changed))  # noqa: B023 - in a copy
        os.close(changed)
        assert os.read(changes, 1)
        time.sleep(chance.random() * 0.03)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(changes)
        if not (folder / "index.json").exists():
            continue
        garbage = check(folder)
        engine = EmbeddedEngine(Store(folder))
        assert sum(engine.garbage().values()) == garbage
        for line in engine.images():
            engine.inspect(line.id)
        if garbage and seed % 3 == 0:
            found_garbage += 1
            assert collect(engine) == garbage
            assert check(folder) == 0
    # Whatever a process was about to write is gone once another one writes there.
    engine = EmbeddedEngine(Store(folder))
    add(engine.store, sources[0], "app:1")
    collect(engine)
    assert not list(folder.glob("leases/*"))
    assert not list(folder.glob("**/*.part"))


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
