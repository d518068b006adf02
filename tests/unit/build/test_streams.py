"""Parsing the output of builders, which must not be confused with the output of commands."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.build.classic_stream import ClassicParser, StreamParser
from layerscope.build.events import LayerFacts
from layerscope.build.plan import Plan, plan_of
from layerscope.build.podman_stream import PodmanParser
from layerscope.build.recorder import LONGEST_LINE, Recorder
from layerscope.build.vertices import Vertices, reason
from layerscope.dockerfile.syntax.parser import parse
from layerscope.errors import EngineError
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader
from layerscope.records import parse as parse_record
from tests.fuzz.junk import damaged

BASE, FIRST, SECOND = "ba5e" * 3, "f1" * 6, "5ec0" * 3
CONTAINER = "c0ffee" * 2
DOCKERFILE = """\
FROM base:1
RUN echo one
CMD ["sh"]
"""


class NoImages:
    """Images that cannot be opened, as if the engine had stopped."""

    def height(self, image: str) -> int:
        raise EngineError("gone")

    def open(self, image: str) -> ImageReader:
        raise EngineError("gone")


class View:
    """An engine that has some images, or any; `known` are those that are not new."""

    def __init__(
        self,
        images: Mapping[str, str] | None = None,
        known: tuple[str, ...] = (),
        gone: bool = True,
        onbuild: tuple[str, ...] = (),
    ) -> None:
        self._images = images
        self._known = known
        self._gone = gone
        self._onbuild = onbuild

    def full_id(self, name: str) -> str | None:
        image = name if self._images is None else self._images.get(name)
        return image and f"sha256:{image}"

    def is_new(self, image: str) -> bool:
        return image[7:] not in self._known

    def is_gone(self, container: str) -> bool:
        return self._gone

    def triggers(self, image: str) -> tuple[str, tuple[str, ...]] | None:
        return (f"sha256:{BASE}", self._onbuild) if self._onbuild else None

    def chain(self, image: str, count: int) -> list[str]:
        return [*(f"sha256:{n}" for n in range(1, count)), image]

    def container_runs(self, container: str) -> None: ...


class Reported:
    """A recorder, and its events."""

    def __init__(self, text: str = DOCKERFILE) -> None:
        self.events: list[dict[str, Any]] = []
        self.recorder = Recorder(lambda event: self.events.append(dict(event)), NoImages())
        self.plan = plan_of(parse(text))

    def classic(self, gone: bool = True, triggers: tuple[str, ...] = ()) -> ClassicParser:
        return ClassicParser(self.recorder, self.plan, View(gone=gone, onbuild=triggers))

    def podman(self, known: tuple[str, ...] = (BASE,)) -> PodmanParser:
        images = {"base:1": BASE, BASE: BASE, FIRST: FIRST, SECOND: SECOND}
        return PodmanParser(self.recorder, self.plan, View(images, known))

    def found(self, *names: str) -> list[tuple[Any, ...]]:
        self.recorder.drain()
        return [tuple(event.get(name) for name in names) for event in self.events]


def stream(*texts: str) -> list[dict[str, str]]:
    return [{"stream": text} for text in texts]


_CLASSIC = stream(
    "Step 1/3 : FROM base:1",
    "\n",
    f" ---> {BASE}\n",
    "Step 2/3 : RUN echo one",
    "\n",
    f" ---> Running in {CONTAINER}\n",
    "one\n",
    f" ---> Removed intermediate container {CONTAINER}\n",
    f" ---> {FIRST}\n",
    'Step 3/3 : CMD ["sh"]',
    "\n",
    " ---> Using cache\n",
    f" ---> {SECOND}\n",
)
CLASSIC: list[dict[str, Any]] = [
    *_CLASSIC,
    {"aux": {"ID": f"sha256:{SECOND}"}},
    *stream(f"Successfully built {SECOND}\n"),
]


def test_the_classic_builder_is_parsed_into_steps() -> None:
    reported = Reported()
    parser = reported.classic()
    for message in CLASSIC:
        parser.feed(message)
    parser.end()
    events = reported.found("event", "step", "line", "text", "image")
    assert [e for e in events if e[0] in ("step_committed", "step_cached")] == [
        ("step_committed", 1, None, None, f"sha256:{BASE}"),
        ("step_committed", 2, None, None, f"sha256:{FIRST}"),
        ("step_cached", 3, None, None, f"sha256:{SECOND}"),
    ]
    assert [e[1:3] for e in events if e[0] == "step_started"] == [(1, 1), (2, 2), (3, 3)]
    assert [e for e in events if e[0] == "log"] == [("log", 2, None, "one", None)]
    assert parser.image == f"sha256:{SECOND}"
    assert reported.recorder.last_image == f"sha256:{SECOND}"


@pytest.mark.parametrize(
    "said",
    [
        f" ---> {SECOND}\n",
        "Step 3/3 : RUN evil",
        " ---> Using cache\n",
        f" ---> Removed intermediate container {CONTAINER}\n",
        f"Removing intermediate container {CONTAINER}\n",
        f"Successfully built {SECOND}\n",
        f" ---> Running in {'ab' * 6}\n",
    ],
)
def test_a_command_cannot_pretend_to_be_the_classic_builder(said: str) -> None:
    reported = Reported()
    parser = reported.classic(gone=False)
    for message in [*CLASSIC[:6], {"stream": said}]:
        parser.feed(message)
    reported.recorder.end_log(2)
    events = reported.found("event", "step", "text")
    assert ("log", 2, said.rstrip("\n")) in events
    assert [e[:2] for e in events if e[0] != "log"].count(("step_started", 3)) == 0
    assert ("step_committed", 2, None) not in events
    assert parser.image is None


def test_a_failed_step_of_the_classic_builder() -> None:
    reported = Reported()
    parser = reported.classic()
    text = "The command '/bin/sh -c exit 3' returned a non-zero code: 3"
    for message in [*CLASSIC[:8], {"errorDetail": {"code": 3, "message": text}, "error": text}]:
        parser.feed(message)
    assert reported.found("event", "step", "exit_code", "text")[-1] == ("step_failed", 2, 3, text)
    assert parser.problem == text
    assert reported.recorder.failed


_PODMAN = stream(
    "STEP 1/3: FROM base:1\n",
    "STEP 2/3: RUN echo one\n",
    "one, without an end",
    f"--> {FIRST}\n",
    'STEP 3/3: CMD ["sh"]\n',
    f"--> Using cache {SECOND}\n",
    "COMMIT x:1\n",
    f"--> {SECOND}\n",
    f"{SECOND * 5}5ec0\n",
)
PODMAN: list[dict[str, Any]] = [*_PODMAN, {"aux": {"ID": f"sha256:{SECOND}"}}]


def test_podman_is_parsed_into_steps() -> None:
    reported = Reported()
    parser = reported.podman()
    for message in PODMAN:
        parser.feed(message)
    parser.end()
    events = reported.found("event", "step", "text", "image")
    assert [e for e in events if e[0] in ("step_committed", "step_cached")] == [
        ("step_committed", 1, None, f"sha256:{BASE}"),
        ("step_committed", 2, None, f"sha256:{FIRST}"),
        ("step_cached", 3, None, f"sha256:{SECOND}"),
    ]
    assert [e[2] for e in events if e[0] == "log"] == ["one, without an end"]
    assert parser.image == f"sha256:{SECOND}"


@pytest.mark.parametrize("said", [f"--> {BASE}\n", "STEP 2/3: RUN again\n", "STEP 1/3: FROM x\n"])
def test_a_command_cannot_pretend_to_be_podman(said: str) -> None:
    reported = Reported()
    parser = reported.podman()
    for message in [*PODMAN[:2], {"stream": said}]:
        parser.feed(message)
    events = reported.found("event", "step", "text")
    assert events.count(("log", 2, said.rstrip("\n"))) == 1
    assert ("step_committed", 2, None) not in events


def test_a_command_that_prints_like_the_end_of_podman() -> None:
    reported = Reported()
    parser = reported.podman()
    for message in [*PODMAN[:2], {"stream": "Successfully built deadbeef\n"}]:
        parser.feed(message)
    assert ("log", 2, "Successfully built deadbeef") in reported.found("event", "step", "text")


def test_an_endless_log_does_not_fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layerscope.build.recorder.LONGEST_LOG", 2_000)
    monkeypatch.setattr("layerscope.build.recorder.LAST_LINES", 3)
    reported = Reported()
    for number in range(1000):
        reported.recorder.log(2, f"line {number}\n")
    reported.recorder.log(2, "the end")
    reported.recorder.end_log(2)
    reported.recorder.log(3, "short\n")
    reported.recorder.failed_with("The engine has gone.")
    events = reported.found("event", "step", "text")
    kept = [text for kind, step, text in events if (kind, step) == ("log", 2)]
    assert kept[:2] == ["line 0", "line 1"]
    assert len(kept) < 40
    assert kept[-3:] == ["line 998", "line 999", "the end"]
    assert ("log", 3, "short") in events
    (warning,) = [text for kind, _, text in events if kind == "warning"]
    assert warning.startswith("The log has reached 2kB:")


NINES = "9" * 5000


@pytest.mark.parametrize(
    "said",
    [
        f"STEP {NINES}/3: RUN x",
        f"[1/2] STEP 1/{NINES}: RUN x",
        f"Step {NINES}/3 : RUN x",
        f"# Executing {NINES} build triggers",
    ],
)
def test_numbers_that_are_too_long_are_text(said: str) -> None:
    reported = Reported()
    for parser in (reported.classic(gone=False), reported.podman()):
        for message in [*PODMAN[:2], {"stream": f"{said}\n"}]:
            parser.feed(message)
    assert ("log", said) in reported.found("event", "text")
    ended = Reported()
    failing = ended.podman()
    for message in [*PODMAN[:2], {"error": f"exit status {NINES}"}]:
        failing.feed(message)
    failing.end()
    assert ended.found("event", "step")[-1] == ("step_failed", 2)


def test_a_failed_step_of_podman() -> None:
    reported = Reported()
    parser = reported.podman()
    text = 'building at STEP "RUN exit 3": while running runtime: exit status 3\n'
    for message in [*PODMAN[:2], {"error": text, "errorDetail": {"message": text}}]:
        parser.feed(message)
    parser.end()
    assert reported.found("event", "step", "exit_code")[-1] == ("step_failed", 2, 3)


STAGES = """\
ARG X=1
FROM base:1 AS one
ENV A=1
RUN echo one
FROM base:1
WORKDIR /app
COPY --from=one /file /app/
CMD ["sh"]
"""


def vertex(name: str, **facts: Any) -> dict[str, Any]:
    return {"vertexes": [{"digest": f"sha256:{name}", "name": name, **facts}]}


def rawjson(*documents: Mapping[str, Any], indent: int | None = None) -> io.BytesIO:
    text = "\n".join(json.dumps(document, indent=indent) for document in documents)
    return io.BytesIO(text.encode() + b"\n")


BEGUN = "2026-01-01T10:00:00.5Z"
ENDED = "2026-01-01T10:00:02.75Z"


@pytest.mark.parametrize("indent", [None, 2])
def test_vertices_are_found_in_the_dockerfile(indent: int | None) -> None:
    reported = Reported(STAGES)
    run, copy = "[one 2/2] RUN echo one", "[stage-1 3/3] COPY --from=one /file /app/"
    log = {"vertex": f"sha256:{run}", "data": base64.b64encode(b"hi\nthere").decode()}
    Vertices(reported.plan, reported.recorder).read(
        rawjson(
            vertex("[internal] load build definition from Dockerfile", started=BEGUN),
            vertex(run),
            vertex(run, started=BEGUN),
            {"logs": [log]},
            vertex(run, started=BEGUN, completed=ENDED),
            vertex("[stage-1 2/3] WORKDIR /app", started=BEGUN, completed=BEGUN, cached=True),
            vertex(copy, started=BEGUN, completed=ENDED),
            vertex("exporting to image", started=BEGUN, completed=ENDED),
            indent=indent,
        )
    )
    assert reported.found("event", "step", "line", "text", "seconds") == [
        # ENV is configuration: it is done when the next step starts.
        ("step_started", 1, 1, None, None),
        ("step_done", 1, None, None, None),
        ("step_started", 3, 3, None, None),
        ("step_done", 3, None, None, None),
        ("step_started", 4, 4, None, None),
        ("log", 4, None, "hi", None),
        ("log", 4, None, "there", None),
        ("step_done", 4, None, None, 2.25),
        ("step_started", 6, 6, None, None),
        ("step_done", 6, None, "cached", 0.0),
        ("step_started", 7, 7, None, None),
        ("step_done", 7, None, None, 2.25),
    ]


def test_only_the_step_that_failed_is_reported() -> None:
    reported = Reported(STAGES)
    vertices = Vertices(reported.plan, reported.recorder)
    text = 'process "/bin/sh -c exit 7" did not complete successfully: exit code: 7'
    tail = vertices.read(
        rawjson(
            vertex("[stage-1 2/3] WORKDIR /app", started=BEGUN, error="context canceled"),
            vertex("[one 2/2] RUN echo one", started=BEGUN, completed=ENDED, error=text),
        )
    )
    assert [e for e in reported.found("event", "step", "exit_code") if e[0] == "step_failed"] == [
        ("step_failed", 4, 7)
    ]
    assert vertices.problem == text
    assert not tail


def test_lines_between_objects_are_kept_for_the_error() -> None:
    reported = Reported()
    stream = io.BytesIO(b'{"vertexes":[]}\nERROR: failed to solve: no such host\n\n{broken}\n')
    assert Vertices(reported.plan, reported.recorder).read(stream)[0].startswith("ERROR: failed")


def test_warnings_are_reported_once_with_their_line() -> None:
    reported = Reported()
    warning = {
        "short": base64.b64encode(b"Legacy: use \x1b[31mkey=value").decode(),
        "range": [{"start": {"line": 2}, "end": {"line": 2}}],
    }
    document = {"warnings": [warning]}
    Vertices(reported.plan, reported.recorder).read(rawjson(document, document))
    assert reported.found("event", "line", "text") == [
        ("warning", 2, "Legacy: use \\e[31mkey=value"),
    ]


@given(st.lists(st.binary(max_size=80)))
def test_hostile_output_of_a_builder_is_survived(pieces: list[bytes]) -> None:
    reported = Reported()
    Vertices(reported.plan, reported.recorder).read(io.BytesIO(b"\n".join(pieces)))
    parser, podman = reported.classic(), reported.podman()
    for piece in pieces:
        parser.feed({"stream": piece.decode("latin-1")})
        podman.feed({"stream": piece.decode("latin-1"), "aux": piece.decode("latin-1")})
        parser.feed({"status": piece.decode("latin-1"), "error": 3} if piece else {"stream": 1})
    reported.recorder.drain()


@given(st.data())
def test_messages_of_any_shape_are_survived(data: st.DataObject) -> None:
    reported = Reported()
    parsers: list[StreamParser] = [reported.classic(), reported.podman()]
    for parser, usual in zip(parsers, (CLASSIC, PODMAN), strict=True):
        for message in data.draw(st.lists(st.sampled_from(usual), max_size=8)):
            with suppress(ValueError):
                parser.feed(parse_record(data.draw(damaged(message)), dict[str, Any]))
        parser.end()
    status = {
        "vertexes": [{"digest": "a", "name": "[2/3] RUN x", "started": BEGUN, "completed": ENDED}],
        "logs": [{"vertex": "a", "data": "eA=="}],
        "statuses": [{"current": 1, "total": 2}],
        "warnings": [{"short": "eA==", "range": [{"start": {"line": 1}}]}],
    }
    lines = data.draw(st.lists(damaged(status), max_size=4))
    Vertices(reported.plan, reported.recorder).read(io.BytesIO(b"\n".join(lines)))
    reported.recorder.drain()
    json.dumps(reported.events)


@pytest.mark.parametrize("end", ["\n", "x\n", ""])
def test_a_line_of_podman_without_an_end_is_passed_on_in_pieces(end: str) -> None:
    reported = Reported()
    parser = reported.podman()
    for message in PODMAN[:2]:
        parser.feed(message)
    before = len(reported.events)
    for _ in range(100):
        parser.feed({"stream": "x" * 5_000})
    parser.feed({"stream": end})
    parser.feed({"stream": f"--> {FIRST}\n"})
    texts = [text for (text,) in reported.found("text")[before:] if text]
    assert max(map(len, texts)) <= LONGEST_LINE
    assert sum(text.count("x") for text in texts) >= 500_000
    assert ("step_committed", 2) in reported.found("event", "step")


def test_endless_lines_are_split_and_lose_nothing() -> None:
    reported = Reported()
    for _ in range(50):
        reported.recorder.log(1, "x" * 10_000)
    reported.recorder.end_log(1)
    texts = [text for (text,) in reported.found("text")]
    assert max(map(len, texts)) <= LONGEST_LINE
    assert sum(map(len, texts)) == 500_000


def test_logs_of_parallel_steps_are_kept_apart() -> None:
    reported = Reported()
    for step, text in ((1, "a"), (2, "b"), (1, "A\n"), (2, "B\n")):
        reported.recorder.log(step, text)
    assert reported.found("step", "text") == [(1, "aA"), (2, "bB")]


def test_steps_are_counted_as_builders_count_them() -> None:
    plan = plan_of(parse(STAGES + "FROM one\nRUN two\n"))
    assert [(s.number, s.stage, s.place, s.keyword) for s in plan.steps] == [
        (1, 0, 1, "ARG"),
        (2, 1, 1, "FROM"),
        (3, 1, 2, "ENV"),
        (4, 1, 3, "RUN"),
        (5, 2, 1, "FROM"),
        (6, 2, 2, "WORKDIR"),
        (7, 2, 3, "COPY"),
        (8, 2, 4, "CMD"),
        (9, 3, 1, "FROM"),
        (10, 3, 2, "RUN"),
    ]
    # The last stage begins with the first one, so its image has the steps of both.
    assert numbers(plan) == [3, 4, 10]
    assert numbers(plan_of(parse(STAGES), "ONE")) == [3, 4]
    assert numbers(plan_of(parse(STAGES), "1")) == [6, 7, 8]


def numbers(plan: Plan) -> list[int]:
    return [step.number for step in plan.chain]


def test_onbuild_of_a_stage_is_in_the_history() -> None:
    text = "FROM base:1 AS one\nONBUILD RUN a\nONBUILD ENV B=1\nRUN c\nFROM one\nRUN d\n"
    plan = plan_of(parse(text))
    assert [step.key for step in plan.chain] == [(4, 0), (5, 1), (5, 2), (6, 0)]
    assert [(s.text, s.line, s.keyword) for s in plan.chain[1:3]] == [
        ("ONBUILD RUN a", 5, "RUN"),
        ("ONBUILD ENV B=1", 5, "ENV"),
    ]


def test_labels_are_a_step_without_buildkit() -> None:
    plan = plan_of(parse(DOCKERFILE), labels={"a": "b", "c": ""})
    assert [(s.number, s.line, s.text) for s in plan.steps][-1] == (4, None, "LABEL a=b c=")
    assert numbers(plan) == [2, 3, 4]


TRIGGERS = "FROM base:1 AS one\nONBUILD RUN a\nFROM one\nRUN b\n"


def test_triggers_in_podman_are_steps_of_the_from() -> None:
    reported = Reported(TRIGGERS)
    parser = reported.podman()
    for message in stream(
        "[1/2] STEP 1/2: FROM base:1 AS one\n",
        "[1/2] STEP 2/2: ONBUILD RUN a\n",
        f"--> {FIRST}\n",
        f"[2/2] STEP 1/3: FROM {FIRST}\n",
        "[2/2] STEP 2/3: RUN a\n",
        "said\n",
        "[2/2] STEP 3/3: RUN b\n",
        "hello\n",
    ):
        parser.feed(message)
    events = reported.found("event", "step", "trigger", "line", "instruction", "text")
    assert [e[1:5] for e in events if e[0] == "step_started"] == [
        (1, None, 1, "FROM base:1 AS one"),
        (2, None, 2, "ONBUILD RUN a"),
        (3, None, 3, "FROM one"),
        (3, 1, 3, "ONBUILD RUN a"),
        (4, None, 4, "RUN b"),
    ]
    assert ("log", 3, 1, None, None, "said") in events
    assert ("log", 4, None, None, None, "hello") in events


def triggered(
    *said: dict[str, str], of: tuple[str, ...] = ("COPY a /", "RUN b", "ENV C=1")
) -> Reported:
    """Parses the classic builder with a base image that has triggers."""
    reported = Reported("FROM base:1\nRUN z\n")
    parser = reported.classic(triggers=of)
    begin = stream(
        "Step 1/2 : FROM base:1", "\n", f"# Executing {len(of)} build trigger", "s", "\n"
    )
    for message in [*begin, *said]:
        parser.feed(message)
    return reported


def test_triggers_in_the_classic_builder_are_steps_of_the_from() -> None:
    # The builder prints nothing for COPY.
    reported = triggered(
        *stream(
            f" ---> Running in {CONTAINER}\n",
            "said\n",
            f" ---> Removed intermediate container {CONTAINER}\n",
            f" ---> Running in {CONTAINER}\n",
            f" ---> Removed intermediate container {CONTAINER}\n",
            f" ---> {FIRST}\n",
            "Step 2/2 : RUN z",
            " ---> Using cache\n",
            f" ---> {SECOND}\n",
        )
    )
    events = reported.found("event", "step", "trigger", "image", "text")
    assert [e[:4] for e in events if e[0] in ("step_committed", "step_cached")] == [
        ("step_committed", 1, None, f"sha256:{BASE}"),
        ("step_committed", 1, 1, "sha256:1"),
        ("step_committed", 1, 2, "sha256:2"),
        ("step_committed", 1, 3, f"sha256:{FIRST}"),
        ("step_cached", 2, None, f"sha256:{SECOND}"),
    ]
    assert [e[1:] for e in events if e[0] == "log"] == [(1, 2, None, "said")]
    begun = reported.found("event", "trigger", "line", "instruction")
    assert [e[1:] for e in begun if e[0] == "step_started"] == [
        (None, 1, "FROM base:1"),
        (1, 1, "ONBUILD COPY a /"),
        (2, 1, "ONBUILD RUN b"),
        (3, 1, "ONBUILD ENV C=1"),
        (None, 2, "RUN z"),
    ]


@pytest.mark.parametrize(
    ("said", "failed"),
    [
        ({"error": "COPY failed: no a"}, (1, 1, None)),
        ({"error": "The command returned a non-zero code: 3"}, (1, 2, 3)),
    ],
)
def test_a_failed_trigger_is_reported(said: dict[str, str], failed: tuple[Any, ...]) -> None:
    before = stream(f" ---> Running in {CONTAINER}\n") if failed[1] == 2 else []
    reported = triggered(*before, said)
    (event,) = [
        e for e in reported.found("event", "step", "trigger", "exit_code") if "failed" in e[0]
    ]
    assert event[1:] == failed


def test_some_triggers_are_cache_hits() -> None:
    hits = stream(" ---> Using cache\n", " ---> Using cache\n", f" ---> {FIRST}\n")
    reported = triggered(*hits)
    events = reported.found("event", "step", "trigger")
    assert [e for e in events if e[0] in ("step_committed", "step_cached")] == [
        ("step_committed", 1, None),
        ("step_cached", 1, 1),
        ("step_cached", 1, 2),
        ("step_committed", 1, 3),
    ]


def test_a_stage_that_begins_with_another_one_has_no_vertex_for_its_from() -> None:
    reported = Reported(
        "FROM base:1 AS a\nRUN x\nFROM a AS b\nENV X=1\nRUN y\nRUN z\nFROM scratch\nCOPY . /\n"
    )
    watch = Vertices(reported.plan, reported.recorder)
    names = ["[a 1/2] FROM base:1", "[a 2/2] RUN x", "[b 1/2] RUN y", "[b 2/2] RUN z"]
    watch.read(
        rawjson(
            *(vertex(n, started=BEGUN, completed=BEGUN) for n in [*names, "[stage-2 1/1] COPY . /"])
        )
    )
    events = reported.found("event", "step", "seconds")
    assert [e[1:] for e in events if e[0] == "step_done" and e[2] is not None] == [
        (number, 0.0) for number in (1, 2, 5, 6, 8)
    ]
    assert {e[1] for e in events if e[0] == "step_started"} == set(range(1, 9))


def test_stages_share_vertices_up_to_the_first_difference() -> None:
    reported = Reported(
        "FROM base:1 AS a\nRUN x\nRUN y\nFROM base:1 AS b\nRUN x\nRUN z\n"
        "FROM --platform=linux/arm64 base:1\nRUN x\nCOPY --from=a / /\nCOPY --from=b / /\n"
    )
    Vertices(reported.plan, reported.recorder).read(
        rawjson(vertex("[a 2/3] RUN x", started=BEGUN, completed=BEGUN, cached=True))
    )
    events = reported.found("event", "step", "text")
    assert [e for e in events if e[0] == "step_done"] == [
        ("step_done", 2, "cached"),
        ("step_done", 5, "cached"),
    ]


def test_steps_below_a_cache_hit_are_hits_too() -> None:
    reported = Reported(
        "FROM scratch AS a\nCOPY x /\nFROM a\nWORKDIR /\nWORKDIR /w\nCOPY y /\nCOPY --link z /\n"
    )
    watch = Vertices(reported.plan, reported.recorder)
    names = ["[a 1/1] COPY x /", "[stage-1 1/4] WORKDIR /w", "[stage-1 2/4] COPY y /"]
    link = vertex("[stage-1 3/4] COPY --link z /", started=BEGUN, completed=BEGUN, cached=True)
    plain = [vertex(name, started=BEGUN, completed=BEGUN) for name in names]
    watch.read(rawjson(*plain, link))

    def hits() -> set[int]:
        done = [e for e in reported.found("event", "step", "text") if e[0] == "step_done"]
        return {step for _, step, text in done if text == "cached"}

    # It is a hit on top of anything.
    assert hits() == {7}
    watch.read(rawjson(vertex(names[-1], started=BEGUN, completed=BEGUN, cached=True)))
    assert hits() == {2, 5, 6, 7}


@pytest.mark.parametrize("known", [True, False])
def test_vertices_of_triggers_are_steps_of_the_from(known: bool) -> None:
    reported = Reported("FROM base:1\nRUN z\nENV A=1\nCOPY b /\n")
    texts = ["ENV T=1", "COPY a /", "RUN b"]
    watch = Vertices(reported.plan, reported.recorder, lambda name: texts if known else ())
    names = [
        "[1/3] FROM base:1",
        "[2/6] ONBUILD COPY a /",
        "[3/6] ONBUILD RUN b",
        "[4/6] RUN z",
        "[5/6] COPY b /",
    ]
    watch.read(rawjson(*(vertex(n, started=BEGUN, completed=BEGUN) for n in names)))
    events = reported.found("event", "step", "trigger", "instruction")
    first = [(1, 1, "ONBUILD ENV T=1")] if known else []
    assert [e[1:] for e in events if e[0] == "step_started"] == [
        (1, None, "FROM base:1"),
        *first,
        (1, 1 + known, "ONBUILD COPY a /"),
        (1, 2 + known, "ONBUILD RUN b"),
        (2, None, "RUN z"),
        (3, None, "ENV A=1"),
        (4, None, "COPY b /"),
    ]


def test_stages_that_begin_with_the_same_image_share_its_vertex() -> None:
    above = "ARG B=base:1\nFROM $B AS one\nRUN a\nFROM base:1 AS unused\n"
    reported = Reported(above + "FROM base:1\nCOPY --from=one b /\n")
    name = "[stage-2 1/2] FROM docker.io/library/base:1"
    Vertices(reported.plan, reported.recorder).read(
        rawjson(vertex(name, started=BEGUN, completed=BEGUN, cached=True))
    )
    assert [e for e in reported.found("event", "step", "text") if e[0] == "step_done"] == [
        ("step_done", 1, None),
        ("step_done", 2, "cached"),
        ("step_done", 5, "cached"),
    ]


def test_a_missing_base_fails_its_from() -> None:
    reported = Reported(STAGES)
    vertices = Vertices(reported.plan, reported.recorder)
    name = "[internal] load metadata for docker.io/library/base:1"
    vertices.read(rawjson(vertex(name, started=BEGUN, completed=BEGUN, error="no such host")))
    events = reported.found("event", "step", "text")
    assert events[-1] == ("step_failed", 2, "no such host")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("ERROR: failed to build: failed to solve: no such stage", "no such stage"),
        ('failed to calculate checksum of ref a::b: "/x": not found', '"/x": not found'),
        ("", ""),
    ],
)
def test_error_messages_lose_their_prefixes(said: str, why: str) -> None:
    assert reason(said) == why


class Exports(NoImages):
    """An engine that exports images; every image has one layer more than the last."""

    way = "engine export"

    def __init__(self, seconds: float) -> None:
        self.opened: list[str] = []
        self.seconds = seconds

    def height(self, image: str) -> int:
        return int(image)

    def open(self, image: str) -> ImageReader:
        self.opened.append(image)
        reader = SimpleNamespace(way=self.way, close=lambda: None, image=image)
        return cast("ImageReader", reader)


def test_figures_wait_if_exports_would_slow_the_build_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = Exports(0.3)

    def facts(reader: ImageReader, first: int, progress: object) -> Any:
        time.sleep(images.seconds)
        return {n: LayerFacts(f"sha256:{n}", n, 1, 0, 0, 0) for n in range(first, 9)}, (36, 0)

    monkeypatch.setattr("layerscope.build.figures.figures", facts)
    events: list[dict[str, Any]] = []
    recorder = Recorder(lambda event: events.append(dict(event)), images)
    recorder.committed(1, "1", base=True)
    for step in range(2, 7):
        recorder.committed(step, str(step))
        time.sleep(0.1)
    recorder.drain()
    # The first export took more than its share, so one export measured the others.
    assert len(images.opened) == 2
    reported = [e for e in events if e["event"] == "step_committed"]
    assert [(e["step"], e.get("diff_id")) for e in reported] == [
        (1, None),
        *((step, f"sha256:{step - 1}") for step in range(2, 7)),
    ]
    assert [e["step"] for e in events if e["event"] == "step_done"] == [1, 2, 3, 4, 5, 6]
    assert recorder.totals == (36, 0)


@pytest.mark.parametrize("stopped", [False, True])
def test_an_image_without_new_layers_has_a_size(
    stopped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[int] = []

    def facts(reader: ImageReader, first: int, progress: object) -> Any:
        measured.append(first)
        return {}, (36, 4)

    monkeypatch.setattr("layerscope.build.figures.figures", facts)
    events: list[dict[str, Any]] = []
    recorder = Recorder(lambda event: events.append(dict(event)), Exports(0))
    recorder.committed(1, "3", base=True)
    recorder.committed(2, "3")
    if stopped:
        recorder.hurry()
    recorder.finished("3", [])
    assert measured == ([] if stopped else [3])
    assert (events[-1].get("size"), events[-1].get("wasted")) == (
        (None, None) if stopped else (36, 4)
    )


def test_a_stopped_build_does_not_wait_for_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def facts(reader: ImageReader, first: int, progress: Progress) -> Any:
        for number in range(600):
            progress.advance(number)
            time.sleep(0.05)
        raise AssertionError("measured to the end")

    monkeypatch.setattr("layerscope.build.figures.figures", facts)
    events: list[dict[str, Any]] = []
    recorder = Recorder(lambda event: events.append(dict(event)), Exports(0))
    recorder.committed(1, "1", base=True)
    recorder.committed(2, "2")
    time.sleep(0.2)
    recorder.hurry()
    recorder.drain()
    assert [(e["step"], e.get("size")) for e in events if e["event"] == "step_committed"] == [
        (1, None),
        (2, None),
    ]
