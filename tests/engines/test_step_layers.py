"""Each layer is reported at the instruction that made it, whatever the Dockerfile looks like.

Every instruction that makes files makes one that is named after its line, so that the layer itself
shows where it comes from.
"""

from __future__ import annotations

import json
import random
import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests.engines.builds import BUILDERS, MATRIX, Built, Site
from tests.engines.fixtures import running_engine
from tests.engines.images import busybox_base

pytestmark = pytest.mark.usefixtures("engines")

CASES = (*BUILDERS, MATRIX[4])
#: Among them those that showed something: bases that are stages or nothing, WORKDIR /, first steps
#: that BuildKit does not call hits. Podman takes a second for each step, so it gets one.
SEEDS = (
    *((case, seed) for case in BUILDERS[:2] for seed in (2, 3, 14)),
    (BUILDERS[2], 3),
    (MATRIX[4], 14),
)
IDS = ("classic", "buildkit", "podman", "store")


@pytest.fixture(params=CASES, ids=IDS)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    """A build context for each builder."""
    name, builder = request.param
    return Site(running_engine(name), builder, tmp_path)


class Writer:
    """Writes Dockerfiles: `N` becomes the number of the line on which an instruction begins."""

    def __init__(self, site: Site, unique: str) -> None:
        self.lines: list[str] = []
        self.site = site
        self.unique = unique

    def add(self, text: str) -> None:
        number = str(len(self.lines) + 1)
        self.lines += re.sub(r"\bN\b", number, text).split("\n")
        if "ctx-N" in text:
            (self.site.context / f"ctx-{number}").write_text(f"{self.unique} {number}\n")

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


def made_by(site: Site, image: str, diff_ids: set[str]) -> dict[str, int | None]:
    """For layers, the line that their files name; None if they have no such file."""
    found: dict[str, int | None] = {}
    for layer in site.inspect(image)["layers"]:
        if layer["diff_id"] in diff_ids:
            index = str(layer["index"])
            files = site.run("files", f"docker-daemon:{image}", "--layer", index, "--json-lines")
            entries = [json.loads(line) for line in files.stdout.splitlines()]
            paths = [e["path"] for e in entries if e["type"] == "file"]
            # What is copied from another stage has its names.
            named = re.compile(r"(?!/from-).*/m-(\d+)")
            marks = {int(m[1]) for path in paths if (m := named.fullmatch(path))}
            assert len(marks) <= 1
            found[layer["diff_id"]] = marks.pop() if marks else None
    return found


def check(site: Site, built: Built, base: str | None, text: str) -> None:
    """Compare the reported layers with those of the image."""
    assert built.code == 0, (built.errors, built.events[-3:], text)
    image = "layerscope.test/lines:1"
    lines = {(e["step"], e.get("trigger")): e["line"] for e in built.of("step_started")}
    document = site.inspect(image)
    below = set()
    if base is not None:
        below = {layer["diff_id"] for layer in site.inspect(base)["layers"]}
    reported: dict[str, list[dict[str, Any]]] = {}
    for event in built.of("step_committed", "step_cached"):
        if "diff_id" in event:
            reported.setdefault(event["diff_id"], []).append(event)
    own = {layer["diff_id"] for layer in document["layers"]} - below
    assert own <= set(reported), text
    for diff_id, line in made_by(site, image, own).items():
        if line is not None:
            at = {lines[e["step"], e.get("trigger")] for e in reported[diff_id]}
            # Stages that begin alike have the same layers.
            assert line in at, (text, line, at)
        figures = next(layer for layer in document["layers"] if layer["diff_id"] == diff_id)
        for event in reported[diff_id]:
            assert event["size"] == figures["size"], text
    for event in built.of("log"):
        if (found := re.fullmatch(r"log (\d+)", event["text"])) is not None:
            assert event.get("step") is not None, (text, event)
            assert lines[event["step"], event.get("trigger")] == int(found[1]), (text, event)


def random_dockerfile(site: Site, base: str, seed: int) -> tuple[str, str | None]:
    """A Dockerfile, and the base image that its last stage is on."""
    pick = random.Random(seed)
    writer = Writer(site, f"{seed} {time.time_ns()}")
    kit = site.builder == "buildkit"
    steps = [
        "RUN echo $U > /m-N; echo log N",
        "RUN echo $U > /m-N && \\\n\n  echo log N",
        "RUN true",
        "RUN rm -f /m-*; echo $U > /m-N",
        "COPY ctx-N /d/m-N",
        "COPY ctx-N /x/y/../m-N",
        "ADD ctx-N /m-N",
        "WORKDIR /work-N",
        "WORKDIR /",
        "ENV A=N B=$A",
        "LABEL l=N",
        "ARG V=N",
        'CMD ["x"]',
        "RUN echo ${A:-none} $V > /m-N; echo log N",
        "USER 0",
        "EXPOSE 80",
    ]
    if kit:
        steps += [
            "RUN <<EOF\necho $U > /m-N\necho log N\nEOF",
            "COPY --link ctx-N /m-N",
            "COPY --link ctx-N /link/m-N",
            "COPY <<EOF /m-N\n$U N\nEOF",
            "RUN --mount=type=bind,target=/ctx cat /ctx/ctx-N > /m-N; echo log N",
            "COPY --chmod=700 ctx-N /m-N",
        ]
    writer.add(f"ARG BASE={base}")
    stages = pick.randint(1, 4)
    bases: list[str | None] = []
    for stage in range(stages):
        choices = ["image", "image", "scratch", *(["stage"] * 2 if stage else [])]
        kind = pick.choice(choices)
        name = f" AS s{stage}" if pick.random() < 0.7 or stage < stages - 1 else ""
        if kind == "image":
            writer.add(f"FROM {pick.choice([base, '$BASE', '${BASE}'])}{name}")
            bases.append(base)
        elif kind == "scratch":
            writer.add(f"FROM scratch{name}")
            bases.append(None)
        else:
            other = pick.randrange(stage)
            writer.add(f"FROM s{other}{name}")
            bases.append(bases[other])
        writer.add(f'ENV U="{writer.unique} {stage}"')
        for _ in range(pick.randint(1, 5)):
            step = pick.choice(steps)
            if bases[-1] is None and step.startswith("RUN"):
                step = "COPY ctx-N /m-N"
            writer.add(step)
        if stage and pick.random() < 0.5:
            other = pick.randrange(stage)
            writer.add("# a comment")
            writer.add(f"COPY --from=s{other} / /from-N/")
        if bases[-1] is None:
            # An image without layers is nothing to look at.
            writer.add("COPY ctx-N /m-N")
    return writer.text, bases[-1]


@pytest.mark.parametrize(("site", "seed"), SEEDS, indirect=["site"])
def test_layers_of_any_dockerfile(site: Site, seed: int) -> None:
    base = busybox_base(site.engine)
    text, below = random_dockerfile(site, base, seed)
    site.write(text)
    check(site, site.build("-t", "layerscope.test/lines:1"), below, text)
    again = site.build("-t", "layerscope.test/lines:1")
    check(site, again, below, text)
    assert not [e for e in again.of("step_committed") if "diff_id" in e], text
