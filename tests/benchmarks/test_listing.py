"""Commands on the reference image, and on others."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from layerscope.engines.resolve import open_image
from layerscope.filesystem.stack import Stack
from layerscope.images.progress import Progress
from tests.benchmarks.budgets import Table
from tests.benchmarks.measure import (
    Stopped,
    compare,
    environment,
    layerscope,
    output,
    peak_memory,
    run,
    tar_listing,
)
from tests.benchmarks.reference import (
    WHITEOUTS,
    reference_archive,
    reference_figures,
    reference_layers,
)
from tests.benchmarks.synthetic import (
    IMAGES,
    MASS_DELETE,
    MILLION,
    fifty,
    gzipped,
    million,
    without_mass_delete,
)
from tests.engines.harness import EngineUnavailable

NUMPY = [sys.executable, "-c", "import numpy"]


@pytest.fixture(scope="module", autouse=True)
def reference() -> Path:
    try:
        return reference_archive()
    except EngineUnavailable as error:
        pytest.skip(f"the reference image cannot be made here: {error}")


def inspect(archive: Path) -> list[str]:
    return layerscope("inspect", "--json", "--no-cache", archive)


def inspected(command: Sequence[str], env: dict[str, str] | None = None) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(output(command, env))
    return document


def entries(document: dict[str, Any]) -> int:
    return sum(layer["entries"] for layer in document["layers"])


def test_inspect(reference: Path, table: Table) -> None:
    document, figures = inspected(inspect(reference)), reference_figures()
    layers = document["layers"]
    assert document["image"]["size"] == figures.bytes
    assert len(layers) == figures.layers
    assert layers[MASS_DELETE]["removed"] == WHITEOUTS
    # Tars name the folders above what they hold once more.
    assert figures.entries <= entries(document) <= 1.02 * figures.entries
    ratio = compare(
        partial(run, inspect(reference)), partial(tar_listing, reference_layers()), rounds=9
    )
    table.record("inspect", ratio.value, spread=ratio.spread, note=ratio.note)


def test_inspect_memory(reference: Path, table: Table) -> None:
    peaks = [peak_memory(inspect(reference)[3:]) for _ in range(3)]
    table.record("inspect-memory", max(peaks), spread=(min(peaks), max(peaks)))


def inspect_from_cache(
    name: str, archive: Path, folder: Path, table: Table, *, rounds: int
) -> None:
    env = environment(XDG_CACHE_HOME=str(folder))
    command = layerscope("inspect", "--json", archive)
    for _ in range(2):
        assert inspected(command, env) == inspected(inspect(archive))
    ratio = compare(partial(run, command, env), partial(run, NUMPY), rounds=rounds)
    table.record(name, ratio.value, spread=ratio.spread, note=ratio.note)


def test_inspect_from_the_cache(reference: Path, tmp_path: Path, table: Table) -> None:
    inspect_from_cache("cached", reference, tmp_path, table, rounds=15)


def test_files(reference: Path, table: Table) -> None:
    command = layerscope("files", "--json-lines", "--no-cache", reference)
    floor = partial(tar_listing, reference_layers())
    ratio = compare(partial(run, command), floor, rounds=3, warm=False)
    table.record("files", ratio.value, spread=ratio.spread, note=ratio.note)


def dive(archive: Path, folder: Path) -> list[str | Path]:
    rules = folder / "dive-ci"
    rules.write_text(
        "rules:\n  lowestEfficiency: 0.01\n"
        "  highestWastedBytes: disabled\n  highestUserWastedPercent: disabled\n"
    )
    program = Path(sys.executable).with_name("dive")
    if not program.exists():
        pytest.skip("dive is not installed")
    return [program, "--ci", "--ci-config", rules, "--source", "docker-archive", archive]


def test_dive_without_the_mass_delete(tmp_path: Path, table: Table) -> None:
    archive, _ = without_mass_delete()
    command = dive(archive, tmp_path)
    ratio = compare(
        partial(run, command, limit=300), partial(run, inspect(archive)), rounds=2, warm=False
    )
    table.record("dive-without", ratio.value, spread=ratio.spread, note=ratio.note)


def test_dive(reference: Path, tmp_path: Path, table: Table, pytestconfig: pytest.Config) -> None:
    limit = pytestconfig.getoption("--dive-limit")
    before = run(inspect(reference))
    stopped = False
    try:
        seconds = run(dive(reference, tmp_path), limit=limit)
    except Stopped:
        seconds, stopped = limit, True
    own = median([before, run(inspect(reference)), run(inspect(reference))])
    note = f"stopped after {seconds:.0f} s" if stopped else f"{seconds:.0f} s against {own:.2f} s"
    table.record("dive", seconds / own, note=note, more=stopped)


def test_stack_with_whiteouts(reference: Path, table: Table) -> None:
    reader = open_image(str(reference), Progress())
    try:
        found = dict(reader.changesets(Progress(), frozenset()))
    finally:
        reader.close()
    layers = [found[number] for number in range(len(found))]
    without = [layer for number, layer in enumerate(layers) if number != MASS_DELETE]

    def stack(of: list[Any]) -> float:
        start = time.perf_counter()
        Stack(of)
        return time.perf_counter() - start

    ratio = compare(partial(stack, layers), partial(stack, without), rounds=9)
    table.record("whiteouts", ratio.value, spread=ratio.spread, note=ratio.note)


def test_gzip(table: Table) -> None:
    archive, layer = gzipped()
    assert entries(inspected(inspect(archive))) > 0
    floor: list[str | Path] = ["sh", "-c", 'gunzip -c "$0" | tar tvf -', layer]
    ratio = compare(partial(run, inspect(archive)), partial(run, floor), rounds=5)
    table.record("gzip", ratio.value, spread=ratio.spread, note=ratio.note)


def test_million_entries(table: Table) -> None:
    archive, layers = million()
    document = inspected(inspect(archive))
    assert entries(document) == MILLION
    assert [layer["removed"] for layer in document["layers"]] == [0, 0, 0, 16_000, 0]
    assert document["layers"][2]["modified"] == 200_000
    ratio = compare(partial(run, inspect(archive)), partial(tar_listing, layers), rounds=5)
    table.record("million", ratio.value, spread=ratio.spread, note=ratio.note)
    table.record("million-memory", peak_memory(inspect(archive)[3:]))


def test_million_entries_from_the_cache(tmp_path: Path, table: Table) -> None:
    inspect_from_cache("million-cached", million()[0], tmp_path, table, rounds=7)


def test_find_in_fifty_images(tmp_path: Path, table: Table) -> None:
    env = environment(XDG_CACHE_HOME=str(tmp_path))
    command = layerscope("find", "--regex", r"application-\d+/.*module-0000007", *fifty())
    assert len(output(command, env).splitlines()) == IMAGES
    assert len(output(command, env).splitlines()) == IMAGES
    ratio = compare(partial(run, command, env), partial(run, NUMPY), rounds=7)
    each = f"{1000 * ratio.own / IMAGES:.0f} ms an image"
    table.record("find", ratio.value, spread=ratio.spread, note=f"{ratio.note}, {each}")
