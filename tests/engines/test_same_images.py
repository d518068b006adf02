"""The embedded builder makes of all Dockerfiles of these tests what Docker's builders make.

That is the classic builder, and BuildKit for what that cannot do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from layerscope.dockerfile.checks.lint import lint
from layerscope.dockerfile.checks.support import Builder, unsupported
from layerscope.dockerfile.meaning.reverse import steps
from layerscope.dockerfile.syntax.parser import parse
from layerscope.engines.embedded.importing import import_image
from layerscope.engines.resolve import open_image
from layerscope.images.progress import Progress
from layerscope.oci.reference import parse_reference
from tests.engines import dockerfiles
from tests.engines.builds import Site
from tests.engines.docker_daemon import program_path
from tests.engines.harness import Engine
from tests.engines.images import BUSYBOX, busybox_base
from tests.engines.listings import use
from tests.engines.test_build_context import RULES, fill
from tests.engines.test_dockerfiles import AGREED
from tests.engines.test_dockerfiles import STEPS as REVERSED
from tests.engines.test_embedded_builds import configuration_of, merged_of
from tests.engines.test_step_layers import SEEDS, random_dockerfile
from tests.engines.test_support import TEXTS, WHOLE, F, Q
from tests.unit.build.embedded.building import Workshop

_FILES = ("a", "b.md", "dir/x", "f", "a.txt", "b.txt", "d/one", "data.txt", "left.log")
#: What mounts leave in BuildKit's layers.
_MOUNT_POINTS = {b"dev", b"proc", b"sys"}
_WAYS = "embedded", "docker-daemon"


@dataclass(frozen=True)
class Case:
    text: str
    context: Path
    tag: str = "layerscope.test/same:1"
    kit: bool = False  # Whether the classic builder does it differently.


def small_context(folder: Path) -> Path:
    for name in _FILES:
        (path := folder / name).parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (folder / ".dockerignore").write_text(".dockerignore\nDockerfile\n*.log\n")
    return folder


def of_builds(engine: Engine, folder: Path) -> Iterator[Case]:
    d = dockerfiles
    texts = [d.STEPS, *d.WITHOUT_LAYERS, d.CACHED, d.STAGES, d.IGNORING, d.OWN_TRIGGERS]
    texts += [f"FROM {BUSYBOX}\n{REVERSED}", d.CHANGED_FILES, d.CHANGED_ARGUMENTS, d.CHANGED_STAGE]
    texts += [d.CHANGED_MOUNTS, d.CHANGED_FIRST]
    texts += [d.CHANGED_START + text for text, _ in d.CHANGED_TEXTS[1::4]]
    context, base = small_context(folder), BUSYBOX
    for text in texts:
        yield Case(d.filled(text, base, unique=1), context)
    for text in (d.WITH_TRIGGERS, d.ON_TRIGGERS, "FROM {base}\n"):
        tag = f"layerscope.test/same:{len(text)}"
        yield Case(d.filled(text, base, unique=1), context, tag)
        base = base if text == d.ON_TRIGGERS else tag


def of_support(engine: Engine, folder: Path) -> Iterator[Case]:
    context = small_context(folder)
    for text in (*(Q + F + text for text in TEXTS), *WHOLE):
        yield Case(text, context)


def of_checks(engine: Engine, folder: Path) -> Iterator[Case]:
    context = small_context(folder)
    for text in AGREED:
        if not any(problem.certain for problem in lint(parse(text))):
            yield Case(text, context)


def of_layers(engine: Engine, folder: Path) -> Iterator[Case]:
    for (_, builder), seed in SEEDS[:6]:
        (place := folder / f"{builder}-{seed}").mkdir()
        site = Site(engine, builder, place)
        yield Case(random_dockerfile(site, BUSYBOX, seed)[0], site.context)


def of_contexts(engine: Engine, folder: Path) -> Iterator[Case]:
    for number, rules in enumerate(RULES.values()):
        (place := folder / str(number)).mkdir()
        fill(place, rules)
        # Docker's command sends the classic builder less for some rules.
        yield Case((place / "Dockerfile").read_text(), place, kit=True)


Cases = Callable[[Engine, Path], Iterator[Case]]


@pytest.mark.parametrize("cases", [of_builds, of_support, of_checks, of_layers, of_contexts])
def test_an_image_is_what_docker_makes(
    cases: Cases, docker_28: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, docker_28)
    monkeypatch.setenv("LAYERSCOPE_STORE", str(tmp_path / "store"))
    shop = Workshop.at(tmp_path)
    busybox_base(docker_28)
    with closing(open_image(f"docker-daemon:{BUSYBOX}")) as base:
        import_image(shop.store, base, parse_reference(BUSYBOX), Progress())
    other: dict[str, Any] = {}
    (tmp_path / "cases").mkdir()
    for case in cases(docker_28, tmp_path / "cases"):
        shop.context = case.context
        mine = shop.build(case.text, tags=(case.tag,))
        kit = case.kit or bool(unsupported(parse(case.text), Builder("classic", "")))
        theirs = built(docker_28, case, kit=kit)
        if theirs and not mine.problem and not kit:
            theirs, kit = built(docker_28, case, kit=True), True
        if theirs or mine.problem:
            # The engine's own frontend may be older than the table of what builders can do.
            if not (theirs and (mine.problem or "unknown flag" in theirs)):
                other[case.text] = theirs, mine.problem
            continue
        ours, truth = (facts(f"{way}:{case.tag}", kit=kit) for way in _WAYS)
        if differences := {key: (ours[key], truth[key]) for key in ours if ours[key] != truth[key]}:
            other[case.text] = differences
    assert other == {}


def built(engine: Engine, case: Case, *, kit: bool) -> str:
    """Builds with Docker; returns why that failed, or nothing."""
    command = ["buildx", "build", "--load", "--provenance=false"] if kit else ["build"]
    done = engine.docker(
        *(*command, "--network", "host", "-t", case.tag, str(case.context)),
        check=False,
        env={"DOCKER_BUILDKIT": str(int(kit)), "PATH": program_path(engine.name)},
    )
    return done.stderr.decode()[-300:] if done.returncode else ""


def facts(source: str, *, kit: bool) -> dict[str, Any]:
    """What an image is, but for times."""
    with closing(open_image(source)) as reader:
        found = configuration_of(reader)
        entries = merged_of(reader, times=False)
        made = list(steps(reader.image.history))
    found["files"] = sorted(each for each in entries if not (kit and each[0] in _MOUNT_POINTS))
    if kit:
        found["WorkingDir"] = found["WorkingDir"] or "/"  # As BuildKit writes it.
    # BuildKit's history has no ONBUILD; it makes a layer of each RUN.
    texts = [each.text for each in made if not (kit and each.text.startswith("ONBUILD "))]
    found["history"] = texts if kit else [_as_classic(text) for text in texts]
    found["layers"] = None if kit else [step.layer for step in made]
    return found


def _as_classic(text: str) -> str:
    """A step as far as the classic builder's history has it."""
    words = text.removeprefix("# ").split()
    if words[0] in ("COPY", "ADD"):  # Of what was copied, it has a digest.
        return f"{words[0]} {words[-1]}"
    if words[0] in ("EXPOSE", "HEALTHCHECK"):  # As written, and as Go prints a structure.
        return words[0]
    return " ".join(words).removeprefix("RUN ")
