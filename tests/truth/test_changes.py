"""What a layer did is the difference between the exports of two neighbouring layers' images."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.engines.exports import (
    INJECTED,
    INJECTED_PARENTS,
    Entry,
    comparable,
    listing_of_export,
)
from tests.engines.harness import Engine
from tests.engines.images import classic_example
from tests.engines.kitchen_sink import kitchen_sink
from tests.truth.command import Line, command, layerscope, output, parse_lines
from tests.truth.cuts import cuts

IMAGES: dict[str, Callable[[Engine], str]] = {
    "classic": classic_example,
    "kitchen-sink": kitchen_sink,
}
COUNTED = ("added", "modified", "removed")


def parents(path: str) -> Iterator[str]:
    """Yield the folders above a path, the root not among them."""
    while (path := path.rpartition("/")[0]) != "":
        yield path


def gone_at(path: str, lower: dict[str, Entry], upper: dict[str, Entry], *, inside: bool) -> bool:
    """Tell whether something at or (inside: only) below a path is in lower and not in upper."""
    missing = lower.keys() - upper.keys()
    return (path in missing and not inside) or any(
        gone.startswith("/" if path == "/" else f"{path}/") for gone in missing
    )


def expected_change(line: Line, lower: dict[str, Entry], upper: dict[str, Entry]) -> str:
    """Return what the exports say of a layer's entry."""
    if line.type in ("whiteout", "opaque"):
        gone = gone_at(line.path, lower, upper, inside=line.type == "opaque")
        return "removed" if gone else "unchanged"
    if line.path not in lower:
        return "added"
    return "unchanged" if lower[line.path] == upper[line.path] else "modified"


def problems(
    lines: list[Line], lower: dict[str, Entry], upper: dict[str, Entry], left_out: frozenset[str]
) -> Iterator[str]:
    """Yield in what a layer's changes are not what the exports say."""
    entries = {line.path: line for line in lines if line.type not in ("whiteout", "opaque")}
    marks = {line.path for line in lines if line.change == "removed"}
    solid = {path for path, line in entries.items() if line.type != "dir"}
    for line in lines:
        if line.path in left_out:
            continue
        if line.path in entries and line.path not in upper:
            yield f"{line.path!r} is not in the upper export"
        elif line.change != (wanted := expected_change(line, lower, upper)):
            now = upper.get(line.path)
            yield f"{line} should be {wanted}: {lower.get(line.path)} -> {now}"
    for path in lower.keys() - upper.keys():
        above = set(parents(path))
        if not ({path, "/", *above} & marks or above & solid):
            yield f"{path!r} is gone, and no entry of the layer says so"
    for path in upper.keys() - lower.keys() - entries.keys():
        yield f"{path!r} is new, and the layer does not list it"
    for path in upper.keys() & lower.keys() - entries.keys():
        if upper[path] != lower[path]:
            yield f"{path!r} differs, and the layer does not list it: {lower[path]} {upper[path]}"


@pytest.mark.parametrize("name", IMAGES)
def test_changes_follow_from_the_exports_of_neighbours(
    engine: Engine, name: str, tmp_path: Path
) -> None:
    image = IMAGES[name](engine)
    saved = tmp_path / "saved.tar"
    engine.docker("save", "-o", saved, image)
    left_out = INJECTED[engine.kind] | INJECTED_PARENTS[engine.kind]
    inspected = json.loads(command("inspect", "--json", saved))["layers"]
    lower: dict[str, Entry] = {}
    found: list[str] = []
    images = cuts(engine, image, saved)
    assert len(images) == len(inspected)
    with ThreadPoolExecutor(2) as pool:  # the engine packs one while another one is read
        exports = list(pool.map(lambda cut: listing_of_export(engine, cut, content=True), images))
    for layer, exported in enumerate(exports):
        full = comparable(engine, exported)
        upper = {path: each for path, each in full.items() if path not in left_out | {"/"}}
        lines = parse_lines(command("files", "--json-lines", "--layer", str(layer), saved))
        assert {line.layer for line in lines} <= {layer}
        found += [f"layer {layer}: {each}" for each in problems(lines, lower, upper, left_out)]
        counts = Counter(line.change for line in lines)
        counted = {change: inspected[layer][change] for change in COUNTED}
        assert counted == {change: counts[change] for change in COUNTED}
        assert inspected[layer]["entries"] == sum(counts.values())
        lower = upper
    assert not found, "\n".join(found[:20])


def test_changes_are_the_same_from_the_engine_and_from_an_archive(
    engine: Engine, tmp_path: Path
) -> None:
    image = kitchen_sink(engine)
    saved = tmp_path / "saved.tar"
    engine.docker("save", "-o", saved, image)
    for layer in ("0", "12"):
        arguments = ("files", "--json-lines", "--layer", layer)
        said = output(*arguments, image, engine=engine)
        assert said == output(*arguments, saved) == command(*arguments, saved)


def last_layer(engine: Engine) -> tuple[int, list[Line], dict[str, Any]]:
    """Return the number and the changes of the classic example's last layer, and its inspect."""
    image = classic_example(engine)
    document = json.loads(output("inspect", "--json", image, engine=engine))
    top = len(document["layers"]) - 1
    said = output("files", "--json-lines", "--layer", str(top), image, engine=engine)
    return top, parse_lines(said), document


def test_the_echo_adds_one_file_and_touches_its_parents(engine: Engine) -> None:
    top, lines, document = last_layer(engine)
    assert [line.path for line in lines if line.change == "added"] == ["/var/www/html/index.html"]
    page = next(line for line in lines if line.change == "added")
    assert (page.type, page.size, page.mode, page.layer) == ("file", 20, 0o644, top)
    # Podman makes a mount point in /run for each step, and leaves the folder in the layer.
    strange = {"/run"} if engine.kind == "podman" else set()
    others = {line.path for line in lines} - {page.path}
    assert others - strange <= {"/var", "/var/www", "/var/www/html"}
    assert all(line.type == "dir" for line in lines if line is not page)
    assert not [line for line in lines if line.change == "removed"]
    layer = document["layers"][top]
    assert (layer["added"], layer["removed"], layer["size"]) == (1, 0, 20)
    assert "Hi, I am in Docker!" in layer["instruction"]


def test_instructions_without_files_are_empty_history(engine: Engine) -> None:
    top, _, document = last_layer(engine)
    history = document["history"]
    for word in ("MAINTAINER", "EXPOSE", "ENV", "CMD"):
        entries = [entry for entry in history if word in entry["created_by"]]
        assert entries, word
        assert all(entry["empty_layer"] and entry["layer"] is None for entry in entries), word
    made = [entry["layer"] for entry in history if not entry["empty_layer"]]
    assert made == list(range(top + 1))
    assert "EXPOSE" in history[-1]["created_by"]
    assert "echo" in history[-2]["created_by"]
    assert history[-2]["layer"] == top


def test_a_layer_out_of_range_is_refused(engine: Engine) -> None:
    image = classic_example(engine)
    for number in ("-1", "7", "1000"):
        run = layerscope("files", f"--layer={number}", image, engine=engine)
        assert (run.returncode, run.stdout) == (2, "")
        assert run.stderr.count("\n") == 1
        assert f"no layer {number}" in run.stderr
