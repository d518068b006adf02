"""Which step broke the cache, and what made it so, by each builder."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engines.builds import BUILDERS, Site
from tests.engines.dockerfiles import (
    CHANGED_ARGUMENTS,
    CHANGED_FILES,
    CHANGED_FIRST,
    CHANGED_MOUNTS,
    CHANGED_STAGE,
    CHANGED_START,
    CHANGED_TEXTS,
    filled,
)
from tests.engines.fixtures import running_engine
from tests.engines.images import build, busybox_base

pytestmark = pytest.mark.usefixtures("engines")


#: What is compared is the same for all builders; only what they call a cache hit differs.
by_docker = pytest.mark.parametrize("site", BUILDERS[:2], indirect=True, ids="-".join)
by_buildkit = pytest.mark.parametrize("site", BUILDERS[1:2], indirect=True, ids="-".join)


@pytest.fixture(params=BUILDERS, ids=("classic", "buildkit", "podman"))
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    """A build context for each builder, with a few files."""
    name, builder = request.param
    found = Site(running_engine(name), builder, tmp_path)
    for path in ("a.txt", "b.txt", "d/one"):
        file = found.context / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"{path} {time.time_ns()}\n")
    return found


def broke(site: Site, *arguments: str) -> str:
    """Build, and return what is said of the cache; empty if it did not break."""
    built = site.build("-t", "layerscope.test/causes:1", *arguments)
    assert built.code == 0, (built.errors, built.events[-1:])
    jobs = (site.folder / "state/layerscope/jobs").glob("[0-9]*")
    newest = str(max(int(job.name) for job in jobs))
    said = site.run("jobs", "attach", newest).stdout.splitlines()
    found = [line.removeprefix("Cache    broke at step ") for line in said if "Cache " in line[:6]]
    return found[0] if found else ""


Change = Callable[[Site], object]


def write(site: Site, path: str) -> None:
    (site.context / path).write_text(f"another {time.time_ns()}\n")


def unchanged(site: Site) -> None:
    """Changes what no builder looks at."""
    os.utime(site.context / "b.txt", (1, 1))
    write(site, "left.log")


#: One after another: a change to the files of the context, and what is said.
FILES: tuple[tuple[Change, str], ...] = (
    (lambda s: write(s, "b.txt"), "3: b.txt changed."),
    (lambda s: (s.context / "b.txt").chmod(0o755), "3: The mode of b.txt changed."),
    (lambda s: (s.context / "d/one").rename(s.context / "d/two"), "3: d/one became d/two."),
    (unchanged, ""),
    (lambda s: (s.context / "e").mkdir(), "3: e is new."),
    (
        lambda s: (s.context / ".dockerignore").write_text(f"{IGNORED}a.txt\n"),
        "3: a.txt was removed. The rules in .dockerignore changed.",
    ),
)
IGNORED = ".dockerignore\nDockerfile\n*.log\n"


def test_files(site: Site) -> None:
    (site.context / ".dockerignore").write_text(IGNORED)
    site.write(filled(CHANGED_FILES, busybox_base(site.engine)))
    assert broke(site) == ""
    for change, said in FILES if site.builder == "buildkit" else FILES[::3]:
        change(site)
        assert broke(site) == said


@by_buildkit
def test_instructions(site: Site) -> None:
    start = filled(CHANGED_START, busybox_base(site.engine))
    for instructions, said in CHANGED_TEXTS:
        site.write(start + instructions)
        assert broke(site) == said


def test_variables(site: Site) -> None:
    start = filled(CHANGED_START, busybox_base(site.engine))
    site.write(f"{start}ENV V=1\nRUN echo $V\n")
    assert broke(site) == ""
    site.write(f"{start}ENV V=2\nRUN echo $V\n")
    # The classic builder and Podman make an image of each ENV; BuildKit makes none.
    other = "3: The instruction changed; it was ENV V=1."
    own = "4: ENV V=1 above it became ENV V=2."
    assert broke(site) == (own if site.builder == "buildkit" else other)


@by_docker
def test_arguments(site: Site) -> None:
    text = filled(CHANGED_ARGUMENTS, busybox_base(site.engine))
    site.write(text)
    given = ("--build-arg", "V=1", "--build-arg", "W=1")
    assert broke(site, *given) == ""
    # Of two that are other ones, the step knows one.
    assert (
        broke(site, "--build-arg", "V=2", "--build-arg", "W=2") == "4: Build arguments changed: V."
    )
    assert (
        broke(site, "--build-arg", "V=2", "--build-arg", "W=3") == "6: Build arguments changed: W."
    )
    # It need not be used, as RUN has it in its environment.
    site.write(text.partition("RUN echo $V")[0] + "RUN echo not used\n")
    assert broke(site, "--build-arg", "V=1").startswith("4: ")
    assert broke(site, "--build-arg", "V=2") == "4: Build arguments changed: V."


@by_docker
def test_another_base(site: Site) -> None:
    name = f"layerscope.test/causes-base:{time.time_ns()}"
    for said in ("", "2: The base image changed: "):
        dockerfile = f"FROM {busybox_base(site.engine)}\nENV NOW={time.time_ns()}\n"
        build(site.engine, dockerfile, tag=name)
        site.write(f"FROM {name}\nRUN echo 1\n")
        found = broke(site)
        assert found.startswith(said)
        assert bool(found) == bool(said)


def test_no_cache_and_a_cache_that_is_gone(site: Site) -> None:
    run = f"RUN echo {time.time_ns()}"
    site.write(f"FROM {busybox_base(site.engine)}\n{run}\n")
    assert broke(site) == ""
    assert broke(site, "--no-cache") == "2: The build did not use the cache (--no-cache)."
    with site.engine.api() as api:
        api.remove_image("layerscope.test/causes:1", force=True)
        if site.builder == "buildkit":
            api._result(api._post(api._url("/build/prune"), params={"all": "1"}))
        else:
            api.prune_images(filters={"dangling": True})
    assert broke(site) == f"2: The builder no longer has its result: {run}"


@by_docker
def test_another_stage(site: Site) -> None:
    site.write(filled(CHANGED_STAGE, busybox_base(site.engine)))
    broke(site)
    assert broke(site) == ""
    write(site, "a.txt")
    assert broke(site) == "3: a.txt changed."


def test_what_buildkit_alone_has(tmp_path: Path) -> None:
    site = Site(running_engine("docker-28"), "buildkit", tmp_path)
    (site.context / "d").mkdir()
    for path in ("a.txt", "b.txt", "d/one"):
        write(site, path)
    secret = tmp_path / "secret"
    secret.write_text("1")
    site.write(filled(CHANGED_MOUNTS, busybox_base(site.engine)))
    given = ("--secret", f"id=t,src={secret}")
    assert broke(site, *given) == ""
    # A secret is no part of what a step is made of.
    secret.write_text("2")
    assert broke(site, *given) == ""
    write(site, "b.txt")
    assert broke(site, *given) == "5: b.txt changed."
    write(site, "d/one")
    assert broke(site, *given) == "3: d/one changed."


def test_a_first_step_that_buildkit_does_not_call_a_hit(tmp_path: Path) -> None:
    site = Site(running_engine("docker-28"), "buildkit", tmp_path)
    write(site, "a.txt")
    site.write(CHANGED_FIRST)
    assert broke(site) == ""
    assert broke(site) == ""
    write(site, "a.txt")
    assert broke(site) == "3: a.txt changed."
