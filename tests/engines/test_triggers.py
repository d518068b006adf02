"""What base images have for those that build on them (ONBUILD), as steps of the FROM."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from layerscope.dockerfile.meaning.match_history import match_layers
from layerscope.dockerfile.syntax.parser import parse
from layerscope.engines.resolve import open_image
from tests.engines.builds import BUILDERS, MATRIX, Built, Site
from tests.engines.dockerfiles import (
    ON_TRIGGERS,
    OWN_TRIGGERS,
    TRIGGERS,
    WITH_TRIGGERS,
    filled,
)
from tests.engines.fixtures import running_engine
from tests.engines.images import build, busybox_base
from tests.engines.listings import use

pytestmark = pytest.mark.usefixtures("engines")


@pytest.fixture(params=MATRIX, ids="-".join)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    """A build context for each builder on each engine."""
    name, builder = request.param
    return Site(running_engine(name), builder, tmp_path)


@pytest.fixture
def base(site: Site) -> str:
    """An image with triggers, another one in each test."""
    tag = f"layerscope.test/triggers:{time.time_ns()}"
    build(site.engine, filled(WITH_TRIGGERS, busybox_base(site.engine)), tag=tag)
    return tag


def figures(built: Built, *keys: tuple[int, int | None]) -> list[dict[str, Any]]:
    """What steps, and triggers of steps, became, in their order."""
    kinds = ("step_committed", "step_cached")
    ended = {(e["step"], e.get("trigger")): e for e in built.of(*kinds)}
    assert len(ended) == len(built.of(*kinds))
    names = ("diff_id", "size", "added", "modified", "removed")
    return [{n: ended[key][n] for n in names} for key in keys if "diff_id" in ended[key]]


def layers(site: Site, image: str, base: str) -> list[dict[str, Any]]:
    """What `inspect` says of the layers above a base."""
    names = ("diff_id", "size", "added", "modified", "removed")
    own = site.inspect(image)["layers"][len(site.inspect(base)["layers"]) :]
    return [{n: layer[n] for n in names} for layer in own]


def test_triggers_are_steps_of_the_from(
    site: Site, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.write(filled(ON_TRIGGERS, base), **{"a.txt": "hello\n"})
    built = site.build("-t", "layerscope.test/triggered:1")
    assert built.code == 0, built.errors
    begun = {(e["step"], e.get("trigger")): e for e in built.of("step_started")}
    for number, text in enumerate(TRIGGERS, 1):
        for step, line in ((1, 2), (3, 5)):
            assert begun[step, number]["instruction"] == text
            assert begun[step, number]["line"] == line
    said = [e for e in built.of("log") if e["text"] == "said"]
    assert [(e["step"], e["trigger"]) for e in said] == [(1, 2)]
    keys = [(3, None), *((3, n) for n in range(1, 5)), *((n, None) for n in range(4, 8))]
    found = figures(built, *keys)
    assert found == layers(site, "layerscope.test/triggered:1", base)
    assert found[0]["size"] == len("hello\n")
    use(monkeypatch, site.engine)
    with closing(open_image("docker-daemon:layerscope.test/triggered:1")) as reader:
        document = parse((site.context / "Dockerfile").read_text())
        height = len(site.inspect(base)["layers"])
        matched = match_layers(document, reader.image)
        # ENV has no layer.
        assert matched[2] == list(range(height, height + 3))
        assert matched[6] == [len(reader.image.layers) - 1]
    people = site.run("jobs", "attach", "1")
    assert people.returncode == 0, people.stderr
    assert "[3.2/7] ONBUILD RUN echo trigger" in people.stdout
    lint = site.run("lint", "--no-hadolint", "--no-buildkit", str(site.context)).stdout
    wasted = [line for line in lint.splitlines() if "WastedBytes" in line]
    assert len(wasted) == 1
    assert "Dockerfile:5:1 " in wasted[0]
    text = "In the last build (job 1) ONBUILD RUN rm /app/a.txt && exit $FAIL removed 6B"
    assert text in wasted[0]
    again = site.build("-t", "layerscope.test/triggered:1")
    ended = {(e["step"], e.get("trigger")): e["event"] for e in again.of("step_cached")}
    assert {(3, 1), (3, 2), (3, 4), (5, None), (6, None)} <= set(ended)
    assert figures(again, *keys) == found


@pytest.mark.parametrize("site", BUILDERS, indirect=True, ids=["classic", "buildkit", "podman"])
def test_triggers_of_an_own_stage(site: Site) -> None:
    base = busybox_base(site.engine)
    site.write(filled(OWN_TRIGGERS, base))
    built = site.build("-t", "layerscope.test/own:1")
    assert built.code == 0, built.errors
    keys = [(4, None), (5, 1), (5, 2), (6, None), (9, None)]
    assert figures(built, *keys) == layers(site, "layerscope.test/own:1", base)
    assert [f["size"] for f in figures(built, *keys)] == [2, 28, 3, 4]
    assert {e["text"]: (e["step"], e.get("trigger")) for e in built.of("log")} == {
        "said": (5, 1),
        "three": (9, None),
    }


@pytest.mark.parametrize("site", BUILDERS, indirect=True, ids=["classic", "buildkit", "podman"])
def test_a_from_and_nothing_else(site: Site, base: str) -> None:
    site.write(f"FROM {base}\n", **{"a.txt": "hello\n"})
    built = site.build("-t", "layerscope.test/alone:1")
    assert built.code == 0, built.errors
    keys = [(1, n) for n in range(1, 5)]
    assert figures(built, *keys) == layers(site, "layerscope.test/alone:1", base)


@pytest.mark.parametrize("site", BUILDERS, indirect=True, ids=["classic", "buildkit", "podman"])
def test_a_trigger_that_fails(site: Site, base: str) -> None:
    other = f"{base}-failing"
    build(site.engine, f"FROM scratch\nCOPY x /\n{TRIGGERS[0]}\n", {"x": b""}, tag=other)
    site.write(f"FROM {other}\nENV A=1\n")
    built = site.build()
    assert built.code == 1
    (failed,) = built.of("step_failed")
    assert (failed["step"], failed["trigger"]) == (1, 1)
    assert "a.txt" in failed["text"]
    people = site.run("jobs", "attach", "1").stdout
    assert "[1.1/2] failed" in people


@pytest.mark.parametrize("site", BUILDERS, indirect=True, ids=["classic", "buildkit", "podman"])
def test_a_build_that_is_cancelled_in_a_trigger_leaves_nothing(site: Site) -> None:
    base = f"layerscope.test/slow:{time.time_ns()}"
    dockerfile = f"FROM {busybox_base(site.engine)}\nENV NOW={time.time_ns()}\n"
    waits = "ONBUILD RUN echo 1 > /1\nONBUILD RUN echo begun; sleep 600\n"
    build(site.engine, dockerfile + waits, tag=base)
    site.write(f"FROM {base}\n")
    before = site.left()
    with site.begun("begun") as process:
        assert site.run("jobs", "cancel", "1").returncode == 0
        assert process.wait(60) == 130
    assert site.left() == before


@pytest.mark.parametrize("site", BUILDERS, indirect=True, ids=["classic", "buildkit", "podman"])
def test_a_file_that_a_trigger_copies_breaks_the_cache(site: Site, base: str) -> None:
    site.write(f"FROM {base}\nRUN echo 1\n", **{"a.txt": "hello\n"})
    assert site.build("-t", "layerscope.test/broken:1").code == 0
    (site.context / "a.txt").write_text("another\n")
    assert site.build("-t", "layerscope.test/broken:1").code == 0
    people = site.run("jobs", "attach", "2").stdout
    assert "broke at step 1.1: a.txt changed." in people
    listed = json.loads(site.run("jobs", "list", "--json").stdout)["jobs"]
    assert [job["state"] for job in listed] == ["finished"] * 2
