"""The TUI in a terminal: first paint, ready, the answer to every key, idle, memory."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median, quantiles

import pytest

from tests.benchmarks.budgets import Table
from tests.benchmarks.measure import (
    ROOT,
    compare,
    environment,
    layerscope,
    output,
    tar_listing,
)
from tests.benchmarks.reference import reference_archive, reference_layers
from tests.benchmarks.synthetic import Files, million, pack, write_layer
from tests.benchmarks.terminal import Answer, Terminal, terminal_environment
from tests.engines.harness import EngineUnavailable

LAYERS = 10

#: Details follow this many seconds after the rows, and a little more.
_BEFORE_DETAILS = 0.24
BARE: list[str | Path] = [sys.executable, ROOT / "tests/benchmarks/bare_app.py"]


@pytest.fixture(scope="module")
def reference() -> Path:
    try:
        return reference_archive()
    except EngineUnavailable as error:
        pytest.skip(f"the reference image cannot be made here: {error}")


@contextmanager
def started(command: Sequence[str | Path]) -> Iterator[Terminal]:
    """A program in a terminal, with an empty cache of its own."""
    cache = tempfile.mkdtemp(prefix="lsc-tui-")
    try:
        env = terminal_environment(**{**environment(), "TERM": "xterm-256color"})
        for name in ("COLORTERM", "NO_COLOR"):
            env.pop(name, None)
        with Terminal(command, {**env, "XDG_CACHE_HOME": cache}) as terminal:
            yield terminal
    finally:
        shutil.rmtree(cache, ignore_errors=True)


def painted(text: str) -> bool:
    return bool(text.strip())


def ready(text: str, layers: int = LAYERS) -> bool:
    """Whether all layers are there: until then it says "3 of 10 layers"."""
    return bool(re.search(rf"(?<!of )\b{layers} layers", text))


def first_paint(command: Sequence[str | Path]) -> float:
    with started(command) as terminal:
        return terminal.wait_for(painted, burst=True)


def paint_to_ready(archive: Path) -> float:
    with started(layerscope(archive)) as terminal:
        paint = terminal.wait_for(painted, burst=True)
        return terminal.wait_for(ready) - paint


def test_first_paint(reference: Path, table: Table) -> None:
    ratio = compare(
        partial(first_paint, layerscope(reference)), partial(first_paint, BARE), rounds=9
    )
    table.record("paint", ratio.value, spread=ratio.spread, note=ratio.note)


def test_ready(reference: Path, table: Table) -> None:
    floor = partial(tar_listing, reference_layers())
    ratio = compare(partial(paint_to_ready, reference), floor, rounds=7)
    table.record("ready", ratio.value, spread=ratio.spread, note=ratio.note)


# Keys.


@dataclass
class Typist:
    """Types, and keeps what each kind of key was answered with."""

    terminal: Terminal
    answers: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))

    def type(self, kind: str, *keys: str, times: int = 1, quiet: float = 0.15) -> None:
        """Types keys; without longer silence, each before Details follow the one before."""
        for key in keys * times:
            answer = self.terminal.ask(key, quiet=quiet)
            if answer.bytes:  # a key at the end of a list has nothing to answer
                self.answers[kind].append(answer)

    def quietly(self, *keys: str) -> None:
        for key in keys:
            self.terminal.ask(key, quiet=0.3)

    def expect(self, pattern: str) -> None:
        assert re.search(pattern, self.terminal.text), (pattern, self.terminal.text)

    def record(self, table: Table, row: str, *kinds: str, echo: bool = False) -> None:
        answers = [answer for kind in kinds for answer in self.answers[kind]]
        assert answers, f"{row}: no key was answered"
        times = [1000 * (answer.first if echo else answer.last) for answer in answers]
        high = quantiles(times, n=20, method="inclusive")[-1] if len(times) > 1 else times[0]
        size = median(answer.bytes for answer in answers)
        note = f"p50 {median(times):.0f} ms, {len(times)} keys, {size:,.0f} bytes"
        table.record(row, high, spread=(min(times), max(times)), note=note)

    def record_bytes(self, table: Table, row: str, kind: str) -> None:
        sizes = [answer.bytes for answer in self.answers[kind]]
        table.record(row, median(sizes), spread=(min(sizes), max(sizes)), note="median of all")


def type_layers(typist: Typist, layers: int = LAYERS) -> None:
    """Moves through the layers, alone and merged, each way twice."""
    steps = layers + 1  # and what empty history entries there are
    typist.quietly("2", "home")
    typist.type("layer", *["j"] * steps, *["k"] * steps, times=2)
    typist.type("union", "t", times=7)
    typist.type("union-layer", *["j"] * steps, *["k"] * steps, times=2)
    typist.expect(f"merged view of layers 0.{layers - 1}")


def type_files(typist: Typist) -> None:
    """Moves through the files of the union at the top, all folders being open."""
    typist.quietly("3")
    typist.type("expand", "E", "C", times=4)
    typist.type("expand", "E")
    typist.quietly("home")
    typist.type("cursor", "j", "down", times=15)
    typist.type("cursor", "k", "up", times=15)
    typist.type("rest", "j", "k", times=5, quiet=0.6)
    typist.type("page", "pagedown", times=15)
    typist.type("page", "pageup", times=10)
    typist.type("end", "G", "g", "end", "home", times=4)
    typist.type("scroll", *["j"] * 60)
    typist.type("sort", "s", times=12)
    typist.type("sort", "S", times=8)
    typist.type("kinds", "a", "r", "m", "u", times=4)


def type_filters(typist: Typist, quiet: float = _BEFORE_DETAILS) -> None:
    """Types filters letter by letter, and takes them back.

    The search begins after a pause in typing, and ends within `quiet` seconds.
    """
    for word in ("python", "*.so", "node_modules"):
        typist.quietly("/")
        for key in [*word, *["backspace"] * 2]:
            typist.type("filter", key, quiet=quiet)
            typist.terminal.settle()
        typist.expect(r"\d match|Nothing matches")
        typist.quietly("escape")


PARTS: tuple[Callable[[Typist], None], ...] = (type_layers, type_files, type_filters)


def test_keys(reference: Path, table: Table) -> None:
    with started(layerscope(reference)) as terminal:
        terminal.wait_for(ready)
        terminal.settle(quiet=1.0)
        idle = terminal.listen(3.0)
        typist = Typist(terminal)
        for part in PARTS:
            part(typist)
        terminal.settle(quiet=1.0)
        idle += terminal.listen(3.0)
        peak = terminal.peak_memory() / 1e6
        assert ready(terminal.text)
    typist.record(
        table, "keys", *(kind for kind in typist.answers if kind not in ("filter", "rest"))
    )
    typist.record(table, "keys-cursor", "cursor", "scroll")
    typist.record(table, "keys-page", "page", "end")
    for kind in ("layer", "union-layer", "union", "expand", "sort", "kinds", "filter"):
        typist.record(table, f"keys-{kind}", kind)
    typist.record(table, "keys-filter-echo", "filter", echo=True)
    for kind in ("cursor", "rest", "page", "layer", "union-layer"):
        typist.record_bytes(table, f"bytes-{kind}", kind)
    table.record("tui-memory", peak)
    table.record("idle", idle, note="before and after all keys")


def type_few(terminal: Terminal, layers: Sequence[str], files: Sequence[str]) -> Typist:
    """Types the same into both programs, but for how to come to layers and to files."""
    typist = Typist(terminal)
    typist.quietly(*layers)
    typist.type("layer", *["up"] * 6, *["down"] * 6)
    typist.quietly(*files)
    typist.type("cursor", *["down"] * 8, *["up"] * 6)
    typist.type("page", *["pagedown"] * 4, *["pageup"] * 3)
    return typist


def test_bytes_of_dive(reference: Path, tmp_path: Path, table: Table) -> None:
    program = Path(sys.executable).with_name("dive")
    if not program.exists():
        pytest.skip("dive is not installed")
    layers = list(reference_layers()[:2])
    for number in range(3):
        layers.append(tmp_path / f"{number}.tar")
        write_layer(layers[-1], Files(f"opt/{number}", 0, 1_000))
    archive = tmp_path / "few.tar"
    pack(archive, layers, "layerscope.test/few:latest")
    with started([program, "--source", "docker-archive", archive]) as terminal:
        terminal.wait_for(lambda text: "Cmp" in text, limit=120)
        deadline = time.monotonic() + 60
        while not terminal.ask("down", quiet=1.0).bytes:
            assert time.monotonic() < deadline, terminal.text
        dive = type_few(terminal, ["up"] * 5 + ["down"] * 5, ["tab"])
    with started(layerscope(archive)) as terminal:
        terminal.wait_for(lambda text: bool(re.search(r"(?<!of )\b5 layers", text)))
        terminal.settle(quiet=1.0)
        # The whole tree of each layer, as dive shows it.
        ours = type_few(terminal, ["2", "t"], ["3", "E"])
    for kind in ("cursor", "page", "layer"):
        sizes = [answer.bytes for answer in dive.answers[kind]]
        own = median(answer.bytes for answer in ours.answers[kind])
        note = f"layerscope {own:,.0f} bytes"
        table.record(f"dive-{kind}", median(sizes), spread=(min(sizes), max(sizes)), note=note)


def test_keys_of_a_million(table: Table) -> None:
    archive, layers = million()
    with started(layerscope(archive)) as terminal:
        terminal.wait_for(partial(ready, layers=len(layers)), limit=180)
        terminal.settle(quiet=2.0)
        typist = Typist(terminal)
        type_layers(typist, len(layers))
        type_files(typist)
        type_filters(typist, quiet=1.0)
    typist.record(table, "million-move", "cursor", "scroll", "page", "end")
    typist.record(table, "million-layer", "layer", "union-layer", "union")
    for kind in ("expand", "sort", "kinds", "filter"):
        typist.record(table, f"million-{kind}", kind)
    typist.record(table, "million-echo", "filter", echo=True)


def test_all_this_is_the_real_thing(reference: Path) -> None:
    # What is measured above is this checkout, not another one that is installed.
    where = output([sys.executable, "-c", "import layerscope; print(layerscope.__file__)"])
    assert Path(where.strip()).is_relative_to(ROOT)
