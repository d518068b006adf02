"""What engines say while they pull and push, and what is made of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.engines.transfers import refusal
from layerscope.errors import EngineError
from layerscope.images.archives.writing import Blob, PackedImage
from layerscope.images.progress import Progress
from layerscope.oci.distribution import RateLimit, pull_limit
from layerscope.oci.manifest import describe
from layerscope.oci.reference import parse_reference
from layerscope.records import convert
from layerscope.reports.transfer_report import TransferText
from layerscope.transfer.engine_stream import StreamParser
from layerscope.transfer.events import TransferEvent
from layerscope.transfer.layer_rows import writing
from layerscope.transfer.recorder import Recorder, row_of
from layerscope.transfer.state import TransferState

REFERENCE = parse_reference("registry.example.com/app:1")
A, B = "a" * 12, "b" * 12
DIGEST = f"sha256:{'1' * 64}"

Message = dict[str, Any]


def row(
    identifier: str, status: str, current: int | None = None, total: int | None = None
) -> Message:
    detail = {} if current is None else {"current": current, "total": total}
    return {"status": status, "progressDetail": detail, "id": identifier}


PULL = [
    {"status": "Pulling from app", "id": "1"},
    row(A, "Already exists"),
    row(B, "Pulling fs layer"),
    row(B, "Waiting"),
    row(B, "Downloading", 100, 1000),
    row(B, "Downloading", 1000, 1000),
    row(B, "Verifying Checksum"),
    row(B, "Download complete"),
    row(B, "Extracting", 500, 1000),
    row(B, "Pull complete"),
    {"status": f"Digest: {DIGEST}"},
    {"status": "Status: Downloaded newer image for registry.example.com/app:1"},
]
CONTAINERD = [
    {"status": "Pulling from app", "id": "1"},
    row(B, "Pulling fs layer"),
    row(B, "Downloading", 100, 1000),
    row(B, "Download complete"),
    {"status": "Extracting", "progressDetail": {"current": 1, "units": "s"}, "id": B},
    row(B, "Pull complete"),
    {"status": f"Digest: {DIGEST}"},
]
PODMAN = [
    row(A, "Already exists"),
    row(B, "Pulling fs layer"),
    row(B, "Download complete"),
    row("c" * 12, "Download complete"),
]
PUSH = [
    {"status": "The push refers to repository [registry.example.com/app]"},
    row(A, "Preparing"),
    row(B, "Preparing"),
    row(A, "Layer already exists"),
    row(B, "Pushing", 512, 3000),
    row(B, "Retrying in 5 seconds"),
    row(B, "Pushing", 3000, 3000),
    row(B, "Pushed"),
    {"status": f"1: digest: {DIGEST} size: 1052"},
    {"progressDetail": {}, "aux": {"Tag": "1", "Digest": DIGEST, "Size": 1052}},
]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def recorded(
    messages: Iterable[Message], sizes: dict[str, int] | None = None, *, only: bool = False
) -> list[TransferEvent]:
    written: list[TransferEvent] = []
    recorder = Recorder(
        lambda event: written.append(convert(dict(event), TransferEvent)), clock=Clock()
    )
    recorder.expect(sizes or {}, only=only)
    recorder.started("registry.example.com/app:1")
    parser = StreamParser(recorder, REFERENCE)
    for message in messages:
        parser.feed(message)
    recorder.finished("sha256:image")
    return written


def states(events: Iterable[TransferEvent], identifier: str) -> list[tuple[object, ...]]:
    return [(e.state, e.current, e.total) for e in events if e.id == identifier]


def test_a_pull_by_docker() -> None:
    events = recorded(PULL)
    assert states(events, A) == [("exists", None, None)]
    assert states(events, B) == [
        ("waiting", None, None),
        ("downloading", 100, 1000),
        ("downloading", 1000, 1000),
        ("verifying", None, None),
        ("extracting", 500, 1000),
        ("done", None, None),
    ]
    end = events[-1]
    assert (end.event, end.image, end.digest) == ("finished", "sha256:image", DIGEST)


def test_containerd_counts_seconds_of_an_extraction() -> None:
    events = recorded(CONTAINERD, {B: 1000})
    assert ("extracting", None, None) in states(events, B)
    # The last bytes were not reported.
    assert ("downloading", 1000, 1000) in states(events, B)


def test_a_warning_is_called_one_once() -> None:
    said = [{"status": "WARNING: the platform does not match"}, {"status": "Something new"}]
    warnings = [event.text for event in recorded(said) if event.event == "warning"]
    assert warnings == ["the platform does not match", "Something new"]


def test_podman_reports_no_bytes_and_a_row_for_the_image() -> None:
    events = recorded(PODMAN, {A: 10, B: 1000}, only=True)
    assert states(events, A) == [("exists", None, None)]
    assert states(events, B)[-1] == ("done", None, None)
    assert ("downloading", 1000, 1000) in states(events, B)
    assert states(events, "c" * 12) == []


def test_a_push() -> None:
    events = recorded(PUSH)
    assert states(events, A) == [("waiting", None, None), ("exists", None, None)]
    retried = next(event for event in events if event.state == "retrying")
    assert retried.text == "Retrying in 5 seconds"
    assert states(events, B)[-2:] == [("pushing", 3000, 3000), ("done", None, None)]
    assert events[-1].digest == DIGEST
    assert not [event for event in events if event.event == "warning"]


def test_after_a_retry_the_total_stays_that_of_the_layer() -> None:
    messages = [row(B, "Downloading", 600, 1000), row(B, "Downloading", 10, 400)]
    assert states(recorded(messages, {B: 1000}), B)[:2] == [
        ("downloading", 600, 1000),
        ("downloading", 10, 1000),
    ]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("unauthorized: authentication required", "layerscope login registry.example.com"),
        ("pull access denied for app, repository does not exist", "layerscope login"),
        (
            "manifest for app:1 not found: manifest unknown",
            "layerscope tags registry.example.com/app",
        ),
        ("toomanyrequests: You have reached your pull rate limit", "Try again later"),
        ("write /var/lib/docker/x: no space left on device", "Make room"),
        ("something else\x1b[31m", ""),
    ],
)
def test_errors_in_the_stream(text: str, hint: str) -> None:
    with pytest.raises(EngineError) as caught:
        recorded([row(B, "Downloading", 1, 2), {"errorDetail": {"message": text}, "error": text}])
    assert hint in caught.value.hint
    assert "\x1b" not in str(caught.value)
    assert refusal(text, REFERENCE).message == caught.value.message


SOME = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.sampled_from([A, B, "Downloading", "Pull complete", "Pushing", "Digest: x", "Status: y"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["current", "total", "units", "message", "Digest"]), inner, max_size=3
        )
    ),
    max_leaves=5,
)
KEYS = st.sampled_from(["status", "id", "progressDetail", "error", "errorDetail", "aux", "x"])


@given(st.lists(st.dictionaries(KEYS, SOME, max_size=4), max_size=8))
def test_any_messages_are_events_or_an_error(messages: list[Message]) -> None:
    try:
        events = recorded(messages)
    except EngineError:
        return
    text, state = TransferText(Clock()), TransferState()
    for number, event in enumerate(events):
        state.take(event, float(number))
        lines = [*text.lines(event), text.status()]
        assert all("\x1b" not in line and "\n" not in line for line in lines)
        json.dumps(event.document())
    assert state.current <= max(state.total, state.current)
    assert all(r.ended for r in state.rows.values())


def test_bytes_are_not_written_more_often_than_people_see() -> None:
    written: list[object] = []
    recorder = Recorder(written.append, clock=lambda: 0.0)
    for current in range(1000):
        recorder.layer(B, "downloading", current, 1000)
    recorder.layer(B, "downloading", 1000, 1000)
    assert len(written) == 2


def test_one_total_with_speed_and_time_left() -> None:
    state = TransferState()
    for second, current in enumerate((0, 100, 200, 300)):
        state.take(TransferEvent("layer", B, "downloading", current, 1000), float(second))
    state.take(TransferEvent("layer", A, "exists"), 3.0)
    assert (state.done, state.current, state.total) == (1, 300, 1000)
    assert state.speed(3.0) == 100
    assert state.seconds_left(3.0) == 7
    assert state.seconds_left(100.0) is None
    text = TransferText(lambda: 3.0)
    list(text.lines(TransferEvent("layer", B, "downloading", 300, 1000)))
    assert text.status() == "0 of 1 layer · 300B of 1kB"


def test_what_is_read_and_then_written_counts_twice_and_has_one_row() -> None:
    state = TransferState()
    state.take(TransferEvent("layer", B, "reading", 10, 10), 0.0)
    state.take(TransferEvent("layer", B, "writing", 10, 10), 1.0)
    assert (state.current, state.total) == (10, 10)
    assert state.speed(1.0) == 10


@given(st.lists(st.binary(min_size=1, max_size=5000), min_size=1, max_size=6), st.integers(1, 3000))
def test_bytes_of_an_archive_are_those_of_its_layers(layers: list[bytes], step: int) -> None:
    blobs = [describe(data, f"layer {number}") for number, data in enumerate(layers)]
    pairs = zip(blobs, layers, strict=True)
    image = PackedImage(
        blobs[0], tuple(Blob.of(blob, data) for blob, data in pairs), blobs[0], tuple(blobs)
    )
    written: list[TransferEvent] = []
    recorder = Recorder(lambda event: written.append(convert(dict(event), TransferEvent)))
    advance = writing(recorder, Progress(), image, "writing")
    for at in range(0, image.size, step):
        advance(at)
    advance(image.size)
    last = {event.id: (event.current, event.total) for event in written}
    assert last == {row_of(b.digest): (b.size, b.size) for b in blobs}


def test_what_was_loaded_is_named() -> None:
    text = TransferText(lambda: 0.0)
    event = TransferEvent("loaded", image=DIGEST, name="a\x1b:1", replaced=f"sha256:{'2' * 64}")
    assert list(text.lines(event)) == [f"Loaded   a\\e:1  {'1' * 12}, in place of {'2' * 12}"]


def test_the_limit_of_pulls() -> None:
    headers = {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600"}
    assert pull_limit(headers) == RateLimit(100, 76, 21600)
    assert pull_limit({"ratelimit-limit": "many"}) is None
    assert pull_limit({}) is None
