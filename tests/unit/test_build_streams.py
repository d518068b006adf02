"""What builders say, read as steps; and what steps print is never taken for what builders say."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.build.classic_stream import ClassicParser, TriggersOf
from layerscope.build.layer_facts import LayerFacts
from layerscope.build.plan import Plan, plan_of
from layerscope.build.podman_stream import PodmanParser
from layerscope.build.recorder import LONGEST_LINE, Recorder
from layerscope.build.vertices import Vertices, reason
from layerscope.dockerfile.parser import parse
from layerscope.errors import EngineError
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader

BASE, FIRST, SECOND = "ba5e" * 3, "f1" * 6, "5ec0" * 3
CONTAINER = "c0ffee" * 2
DOCKERFILE = """\
FROM base:1
RUN echo one
CMD ["sh"]
"""


class NoImages:
    """Images that cannot be looked at, as those of an engine that has gone."""

    def height(self, image: str) -> int:
        raise EngineError("gone")

    def open(self, image: str) -> ImageReader:
        raise EngineError("gone")


class Told:
    """A recorder, and what it told."""

    def __init__(self, text: str = DOCKERFILE) -> None:
        self.events: list[dict[str, Any]] = []
        self.recorder = Recorder(lambda event: self.events.append(dict(event)), NoImages())
        self.plan = plan_of(parse(text))

    def classic(self, gone: bool = True, triggers: tuple[str, ...] = ()) -> ClassicParser:
        return ClassicParser(
            self.recorder,
            self.plan,
            lambda _: gone,
            lambda short: f"sha256:{short}",
            lambda image: TriggersOf(f"sha256:{BASE}", triggers) if triggers else None,
            lambda image, count: [*(f"sha256:{n}" for n in range(1, count)), image],
            lambda container: None,
        )

    def podman(self, known: tuple[str, ...] = (BASE,)) -> PodmanParser:
        images = {"base:1": BASE, BASE: BASE, FIRST: FIRST, SECOND: SECOND}

        def full_id(name: str) -> str | None:
            return f"sha256:{images[name]}" if name in images else None

        return PodmanParser(self.recorder, self.plan, full_id, lambda image: image[7:] not in known)

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


def test_the_classic_builder_is_read_as_steps() -> None:
    told = Told()
    parser = told.classic()
    for message in CLASSIC:
        parser.feed(message)
    parser.end()
    events = told.found("event", "step", "line", "text", "image")
    assert [e for e in events if e[0] in ("step_committed", "step_cached")] == [
        ("step_committed", 1, None, None, f"sha256:{BASE}"),
        ("step_committed", 2, None, None, f"sha256:{FIRST}"),
        ("step_cached", 3, None, None, f"sha256:{SECOND}"),
    ]
    assert [e[1:3] for e in events if e[0] == "step_started"] == [(1, 1), (2, 2), (3, 3)]
    assert [e for e in events if e[0] == "log"] == [("log", 2, None, "one", None)]
    assert parser.image == f"sha256:{SECOND}"
    assert told.recorder.last_image == f"sha256:{SECOND}"


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
    told = Told()
    parser = told.classic(gone=False)
    for message in [*CLASSIC[:6], {"stream": said}]:
        parser.feed(message)
    told.recorder.end_log(2)
    events = told.found("event", "step", "text")
    assert ("log", 2, said.rstrip("\n")) in events
    assert [e[:2] for e in events if e[0] != "log"].count(("step_started", 3)) == 0
    assert ("step_committed", 2, None) not in events
    assert parser.image is None


def test_a_failed_step_of_the_classic_builder() -> None:
    told = Told()
    parser = told.classic()
    text = "The command '/bin/sh -c exit 3' returned a non-zero code: 3"
    for message in [*CLASSIC[:8], {"errorDetail": {"code": 3, "message": text}, "error": text}]:
        parser.feed(message)
    assert told.found("event", "step", "exit_code", "text")[-1] == ("step_failed", 2, 3, text)
    assert parser.problem == text
    assert told.recorder.failed


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


def test_podman_is_read_as_steps() -> None:
    told = Told()
    parser = told.podman()
    for message in PODMAN:
        parser.feed(message)
    parser.end()
    events = told.found("event", "step", "text", "image")
    assert [e for e in events if e[0] in ("step_committed", "step_cached")] == [
        ("step_committed", 1, None, f"sha256:{BASE}"),
        ("step_committed", 2, None, f"sha256:{FIRST}"),
        ("step_cached", 3, None, f"sha256:{SECOND}"),
    ]
    assert [e[2] for e in events if e[0] == "log"] == ["one, without an end"]
    assert parser.image == f"sha256:{SECOND}"


@pytest.mark.parametrize("said", [f"--> {BASE}\n", "STEP 2/3: RUN again\n", "STEP 1/3: FROM x\n"])
def test_a_command_cannot_pretend_to_be_podman(said: str) -> None:
    told = Told()
    parser = told.podman()
    for message in [*PODMAN[:2], {"stream": said}]:
        parser.feed(message)
    events = told.found("event", "step", "text")
    assert events.count(("log", 2, said.rstrip("\n"))) == 1
    assert ("step_committed", 2, None) not in events


def test_what_a_command_prints_as_podman_ends_is_its_log() -> None:
    told = Told()
    parser = told.podman()
    for message in [*PODMAN[:2], {"stream": "Successfully built deadbeef\n"}]:
        parser.feed(message)
    assert ("log", 2, "Successfully built deadbeef") in told.found("event", "step", "text")


def test_a_log_without_end_fills_no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layerscope.build.recorder.LONGEST_LOG", 2_000)
    monkeypatch.setattr("layerscope.build.recorder.LAST_LINES", 3)
    told = Told()
    for number in range(1000):
        told.recorder.log(2, f"line {number}\n")
    told.recorder.log(2, "the end")
    told.recorder.end_log(2)
    told.recorder.log(3, "short\n")
    told.recorder.failed_with("The engine has gone.")
    events = told.found("event", "step", "text")
    kept = [text for kind, step, text in events if (kind, step) == ("log", 2)]
    assert kept[:2] == ["line 0", "line 1"]
    assert len(kept) < 40
    assert kept[-3:] == ["line 998", "line 999", "the end"]
    assert ("log", 3, "short") in events
    (warning,) = [text for kind, _, text in events if kind == "warning"]
    assert warning.startswith("The log takes 2kB;")


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
def test_numbers_that_are_none_are_text(said: str) -> None:
    told = Told()
    for parser in (told.classic(gone=False), told.podman()):
        for message in [*PODMAN[:2], {"stream": f"{said}\n"}]:
            parser.feed(message)
    assert ("log", said) in told.found("event", "text")
    ended = Told()
    failing = ended.podman()
    for message in [*PODMAN[:2], {"error": f"exit status {NINES}"}]:
        failing.feed(message)
    failing.end()
    assert ended.found("event", "step")[-1] == ("step_failed", 2)


def test_a_failed_step_of_podman() -> None:
    told = Told()
    parser = told.podman()
    text = 'building at STEP "RUN exit 3": while running runtime: exit status 3\n'
    for message in [*PODMAN[:2], {"error": text, "errorDetail": {"message": text}}]:
        parser.feed(message)
    parser.end()
    assert told.found("event", "step", "exit_code")[-1] == ("step_failed", 2, 3)


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
    told = Told(STAGES)
    run, copy = "[one 2/2] RUN echo one", "[stage-1 3/3] COPY --from=one /file /app/"
    log = {"vertex": f"sha256:{run}", "data": base64.b64encode(b"hi\nthere").decode()}
    Vertices(told.plan, told.recorder).read(
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
    assert told.found("event", "step", "line", "text", "seconds") == [
        # ENV is configuration: it is done when what follows begins.
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


def test_the_step_that_failed_is_told_and_not_those_it_stopped() -> None:
    told = Told(STAGES)
    vertices = Vertices(told.plan, told.recorder)
    text = 'process "/bin/sh -c exit 7" did not complete successfully: exit code: 7'
    tail = vertices.read(
        rawjson(
            vertex("[stage-1 2/3] WORKDIR /app", started=BEGUN, error="context canceled"),
            vertex("[one 2/2] RUN echo one", started=BEGUN, completed=ENDED, error=text),
        )
    )
    assert [e for e in told.found("event", "step", "exit_code") if e[0] == "step_failed"] == [
        ("step_failed", 4, 7)
    ]
    assert vertices.problem == text
    assert not tail


def test_lines_between_the_objects_are_kept_for_the_reason() -> None:
    told = Told()
    stream = io.BytesIO(b'{"vertexes":[]}\nERROR: failed to solve: no such host\n\n{broken}\n')
    assert Vertices(told.plan, told.recorder).read(stream)[0].startswith("ERROR: failed")


def test_warnings_are_told_once_with_their_line() -> None:
    told = Told()
    warning = {
        "short": base64.b64encode(b"Legacy: use \x1b[31mkey=value").decode(),
        "range": [{"start": {"line": 2}, "end": {"line": 2}}],
    }
    document = {"warnings": [warning]}
    Vertices(told.plan, told.recorder).read(rawjson(document, document))
    assert told.found("event", "line", "text") == [
        ("warning", 2, "Legacy: use \\e[31mkey=value"),
    ]


@given(st.lists(st.binary(max_size=80)))
def test_nothing_that_a_builder_prints_is_too_much(pieces: list[bytes]) -> None:
    told = Told()
    Vertices(told.plan, told.recorder).read(io.BytesIO(b"\n".join(pieces)))
    parser, podman = told.classic(), told.podman()
    for piece in pieces:
        parser.feed({"stream": piece.decode("latin-1")})
        podman.feed({"stream": piece.decode("latin-1"), "aux": piece.decode("latin-1")})
        parser.feed({"status": piece.decode("latin-1"), "error": 3} if piece else {"stream": 1})
    told.recorder.drain()


def test_lines_without_end_come_in_pieces_and_lose_nothing() -> None:
    told = Told()
    for _ in range(50):
        told.recorder.log(1, "x" * 10_000)
    told.recorder.end_log(1)
    texts = [text for (text,) in told.found("text")]
    assert max(map(len, texts)) <= LONGEST_LINE
    assert sum(map(len, texts)) == 500_000


def test_logs_of_steps_side_by_side_are_kept_apart() -> None:
    told = Told()
    for step, text in ((1, "a"), (2, "b"), (1, "A\n"), (2, "B\n")):
        told.recorder.log(step, text)
    assert told.found("step", "text") == [(1, "aA"), (2, "bB")]


def test_the_steps_of_a_dockerfile_are_counted_as_builders_do() -> None:
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
    # The last stage begins with the first one, so its image has both's steps.
    assert numbers(plan) == [3, 4, 10]
    assert numbers(plan_of(parse(STAGES), "ONE")) == [3, 4]
    assert numbers(plan_of(parse(STAGES), "1")) == [6, 7, 8]


def numbers(plan: Plan) -> list[int]:
    return [step.number for step in plan.chain]


def test_what_a_stage_has_for_those_that_build_on_it_is_in_their_history() -> None:
    text = "FROM base:1 AS one\nONBUILD RUN a\nONBUILD ENV B=1\nRUN c\nFROM one\nRUN d\n"
    plan = plan_of(parse(text))
    assert [step.key for step in plan.chain] == [(4, 0), (5, 1), (5, 2), (6, 0)]
    assert [(s.text, s.line, s.keyword) for s in plan.chain[1:3]] == [
        ("ONBUILD RUN a", 5, "RUN"),
        ("ONBUILD ENV B=1", 5, "ENV"),
    ]


def test_labels_of_the_command_line_are_a_step_of_builders_without_buildkit() -> None:
    plan = plan_of(parse(DOCKERFILE), labels={"a": "b", "c": ""})
    assert [(s.number, s.line, s.text) for s in plan.steps][-1] == (4, None, "LABEL a=b c=")
    assert numbers(plan) == [2, 3, 4]


TRIGGERS = "FROM base:1 AS one\nONBUILD RUN a\nFROM one\nRUN b\n"


def test_what_podman_runs_for_onbuild_is_a_step_of_the_from() -> None:
    told = Told(TRIGGERS)
    parser = told.podman()
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
    events = told.found("event", "step", "trigger", "line", "instruction", "text")
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
) -> Told:
    """What the classic builder is read as, of a base with triggers."""
    told = Told("FROM base:1\nRUN z\n")
    parser = told.classic(triggers=of)
    begin = stream(
        "Step 1/2 : FROM base:1", "\n", f"# Executing {len(of)} build trigger", "s", "\n"
    )
    for message in [*begin, *said]:
        parser.feed(message)
    return told


def test_what_the_classic_builder_runs_for_onbuild_is_steps_of_the_from() -> None:
    # Nothing is said of a COPY.
    told = triggered(
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
    events = told.found("event", "step", "trigger", "image", "text")
    assert [e[:4] for e in events if e[0] in ("step_committed", "step_cached")] == [
        ("step_committed", 1, None, f"sha256:{BASE}"),
        ("step_committed", 1, 1, "sha256:1"),
        ("step_committed", 1, 2, "sha256:2"),
        ("step_committed", 1, 3, f"sha256:{FIRST}"),
        ("step_cached", 2, None, f"sha256:{SECOND}"),
    ]
    assert [e[1:] for e in events if e[0] == "log"] == [(1, 2, None, "said")]
    begun = told.found("event", "trigger", "line", "instruction")
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
def test_the_trigger_that_fails_is_told(said: dict[str, str], failed: tuple[Any, ...]) -> None:
    before = stream(f" ---> Running in {CONTAINER}\n") if failed[1] == 2 else []
    told = triggered(*before, said)
    (event,) = [e for e in told.found("event", "step", "trigger", "exit_code") if "failed" in e[0]]
    assert event[1:] == failed


def test_some_triggers_are_cache_hits() -> None:
    hits = stream(" ---> Using cache\n", " ---> Using cache\n", f" ---> {FIRST}\n")
    told = triggered(*hits)
    events = told.found("event", "step", "trigger")
    assert [e for e in events if e[0] in ("step_committed", "step_cached")] == [
        ("step_committed", 1, None),
        ("step_cached", 1, 1),
        ("step_cached", 1, 2),
        ("step_committed", 1, 3),
    ]


def test_a_stage_that_begins_with_another_one_has_no_vertex_for_its_from() -> None:
    told = Told(
        "FROM base:1 AS a\nRUN x\nFROM a AS b\nENV X=1\nRUN y\nRUN z\nFROM scratch\nCOPY . /\n"
    )
    watch = Vertices(told.plan, told.recorder)
    names = ["[a 1/2] FROM base:1", "[a 2/2] RUN x", "[b 1/2] RUN y", "[b 2/2] RUN z"]
    watch.read(
        rawjson(
            *(vertex(n, started=BEGUN, completed=BEGUN) for n in [*names, "[stage-2 1/1] COPY . /"])
        )
    )
    events = told.found("event", "step", "seconds")
    assert [e[1:] for e in events if e[0] == "step_done" and e[2] is not None] == [
        (number, 0.0) for number in (1, 2, 5, 6, 8)
    ]
    assert {e[1] for e in events if e[0] == "step_started"} == set(range(1, 9))


def test_stages_that_begin_alike_share_vertices_as_long_as_they_do() -> None:
    told = Told(
        "FROM base:1 AS a\nRUN x\nRUN y\nFROM base:1 AS b\nRUN x\nRUN z\n"
        "FROM --platform=linux/arm64 base:1\nRUN x\nCOPY --from=a / /\nCOPY --from=b / /\n"
    )
    Vertices(told.plan, told.recorder).read(
        rawjson(vertex("[a 2/3] RUN x", started=BEGUN, completed=BEGUN, cached=True))
    )
    events = told.found("event", "step", "text")
    assert [e for e in events if e[0] == "step_done"] == [
        ("step_done", 2, "cached"),
        ("step_done", 5, "cached"),
    ]


def test_what_a_cache_hit_is_made_of_is_one_too() -> None:
    told = Told(
        "FROM scratch AS a\nCOPY x /\nFROM a\nWORKDIR /\nWORKDIR /w\nCOPY y /\nCOPY --link z /\n"
    )
    watch = Vertices(told.plan, told.recorder)
    names = ["[a 1/1] COPY x /", "[stage-1 1/4] WORKDIR /w", "[stage-1 2/4] COPY y /"]
    link = vertex("[stage-1 3/4] COPY --link z /", started=BEGUN, completed=BEGUN, cached=True)
    plain = [vertex(name, started=BEGUN, completed=BEGUN) for name in names]
    watch.read(rawjson(*plain, link))

    def hits() -> set[int]:
        done = [e for e in told.found("event", "step", "text") if e[0] == "step_done"]
        return {step for _, step, text in done if text == "cached"}

    # It is a hit whatever it is put on.
    assert hits() == {7}
    watch.read(rawjson(vertex(names[-1], started=BEGUN, completed=BEGUN, cached=True)))
    assert hits() == {2, 5, 6, 7}


@pytest.mark.parametrize("known", [True, False])
def test_vertices_of_triggers_are_steps_of_the_from(known: bool) -> None:
    told = Told("FROM base:1\nRUN z\nENV A=1\nCOPY b /\n")
    texts = ["ENV T=1", "COPY a /", "RUN b"]
    watch = Vertices(told.plan, told.recorder, lambda name: texts if known else ())
    names = [
        "[1/3] FROM base:1",
        "[2/6] ONBUILD COPY a /",
        "[3/6] ONBUILD RUN b",
        "[4/6] RUN z",
        "[5/6] COPY b /",
    ]
    watch.read(rawjson(*(vertex(n, started=BEGUN, completed=BEGUN) for n in names)))
    events = told.found("event", "step", "trigger", "instruction")
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
    told = Told(above + "FROM base:1\nCOPY --from=one b /\n")
    name = "[stage-2 1/2] FROM docker.io/library/base:1"
    Vertices(told.plan, told.recorder).read(
        rawjson(vertex(name, started=BEGUN, completed=BEGUN, cached=True))
    )
    assert [e for e in told.found("event", "step", "text") if e[0] == "step_done"] == [
        ("step_done", 1, None),
        ("step_done", 2, "cached"),
        ("step_done", 5, "cached"),
    ]


def test_a_base_that_is_not_there_fails_its_from() -> None:
    told = Told(STAGES)
    vertices = Vertices(told.plan, told.recorder)
    name = "[internal] load metadata for docker.io/library/base:1"
    vertices.read(rawjson(vertex(name, started=BEGUN, completed=BEGUN, error="no such host")))
    events = told.found("event", "step", "text")
    assert events[-1] == ("step_failed", 2, "no such host")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("ERROR: failed to build: failed to solve: no such stage", "no such stage"),
        ('failed to calculate checksum of ref a::b: "/x": not found', '"/x": not found'),
        ("", ""),
    ],
)
def test_a_reason_is_what_is_for_the_one_who_builds(said: str, why: str) -> None:
    assert reason(said) == why


class Exports(NoImages):
    """An engine that has to export images; every image has one layer more than the last."""

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


def test_steps_wait_for_their_figures_where_an_export_would_hold_up_the_build(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = Exports(0.3)

    def facts(reader: ImageReader, first: int, progress: object) -> Any:
        time.sleep(images.seconds)
        return {n: LayerFacts(f"sha256:{n}", n, 1, 0, 0, 0) for n in range(first, 9)}, (36, 0)

    monkeypatch.setattr("layerscope.build.layer_facts.layer_facts", facts)
    events: list[dict[str, Any]] = []
    recorder = Recorder(lambda event: events.append(dict(event)), images)
    recorder.committed(1, "1", base=True)
    for step in range(2, 7):
        recorder.committed(step, str(step))
        time.sleep(0.1)
    recorder.drain()
    # The first cost more than its share, so the others came in one, and lost nothing.
    assert len(images.opened) == 2
    told = [e for e in events if e["event"] == "step_committed"]
    assert [(e["step"], e.get("diff_id")) for e in told] == [
        (1, None),
        *((step, f"sha256:{step - 1}") for step in range(2, 7)),
    ]
    assert [e["step"] for e in events if e["event"] == "step_done"] == [1, 2, 3, 4, 5, 6]
    assert recorder.totals == (36, 0)


@pytest.mark.parametrize("stopped", [False, True])
def test_an_image_whose_steps_made_no_layer_has_a_size_too(
    stopped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[int] = []

    def facts(reader: ImageReader, first: int, progress: object) -> Any:
        measured.append(first)
        return {}, (36, 4)

    monkeypatch.setattr("layerscope.build.layer_facts.layer_facts", facts)
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


def test_nobody_waits_for_figures_of_a_build_that_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def facts(reader: ImageReader, first: int, progress: Progress) -> Any:
        for number in range(600):
            progress.advance(number)
            time.sleep(0.05)
        raise AssertionError("measured to the end")

    monkeypatch.setattr("layerscope.build.layer_facts.layer_facts", facts)
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
