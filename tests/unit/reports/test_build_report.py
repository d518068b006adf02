"""A build as text."""

from __future__ import annotations

import pytest

from layerscope.build.events import BuildEvent
from layerscope.reports.build_report import BuildText
from layerscope.status_line import StatusLine

IMAGE = f"sha256:{'c0ffee' * 10}beef"
PLAN = BuildEvent(
    "plan",
    steps=10,
    plan=((1, 1, "FROM base"), (2, 2, "ENV A=1"), (3, 3, "RUN make"), (4, 4, "RUN test")),
    chain=(2, 3),
)


def started(step: int, instruction: str) -> BuildEvent:
    return BuildEvent("step_started", step, 10, instruction=instruction, time=100.0)


def committed(step: int, size: int, *, cached: bool = False, wasted: int = 0) -> BuildEvent:
    return BuildEvent(
        "step_cached" if cached else "step_committed",
        step,
        image=IMAGE,
        diff_id=f"sha256:{step}",
        size=size,
        added=2,
        modified=0,
        removed=1,
        wasted=wasted,
        seconds=12.34,
    )


def text_of(*events: BuildEvent) -> list[str]:
    text = BuildText(lambda: 103.5)
    return [line for event in events for line in text.lines(event)]


def test_steps_are_aligned_and_show_their_layers() -> None:
    assert text_of(
        PLAN,
        started(3, "RUN make all"),
        BuildEvent("log", 3, text="\x1b[32mone\x1b[0m\tand \x1b]0;evil\x07"),
        BuildEvent("log", 10, text="10%\r20%\rdone\r"),
        BuildEvent("log", text="of none"),
        committed(3, 1_500_000, wasted=300),
        committed(10, 7, cached=True),
    ) == [
        "[ 3/10] RUN make all",
        "  3 | one        and \\e]0;evil\\x07",
        " 10 | done",
        "    | of none",
        "[ 3/10] committed   12.3s    1.5MB  2 added, 1 removed, 300B of layers below wasted",
        "[10/10] cached                  7B  2 added, 1 removed",
    ]


def test_steps_without_a_layer_show_no_end() -> None:
    events = [started(2, "env A=1"), BuildEvent("step_committed", 2, seconds=0.1)]
    assert text_of(PLAN, *events) == ["[ 2/10] env A=1"]
    # But a RUN that changed nothing is.
    events = [started(3, "RUN true"), BuildEvent("step_committed", 3, seconds=0.1)]
    assert text_of(PLAN, *events)[-1] == "[ 3/10] committed    0.1s"


def test_the_summary_has_what_counts() -> None:
    lines = text_of(
        PLAN,
        started(1, "FROM base"),
        BuildEvent("step_committed", 1, seconds=0.0),
        started(3, "RUN make " + "x" * 100),
        committed(3, 2_000_000),
        started(4, "RUN of another stage"),
        committed(4, 9_000_000, cached=True),
        BuildEvent(
            "finished", image=IMAGE, tags=("x:1",), seconds=61.25, size=5_000_000, wasted=1_000
        ),
    )
    assert lines[lines.index("") :] == [
        "",
        "Built    c0ffeec0ffee (x:1) after 1m 01s",
        "Size     5MB, of which 1kB wasted",
        "Steps    1 run, 1 cached",
        "Largest      2MB  [ 3/10] RUN make " + "x" * 50 + "…",
    ]


def test_a_failure_is_shown_once_with_its_reason() -> None:
    failed = BuildEvent("step_failed", 3, text="No.", exit_code=7, seconds=1.0)
    end = BuildEvent("failed", text="The build failed: No.", image=IMAGE, seconds=2.0)
    text = BuildText()
    assert [
        line for event in (PLAN, started(3, "RUN x"), failed, end) for line in text.lines(event)
    ] == [
        "[ 3/10] RUN x",
        "[ 3/10] failed with exit code 7 after 1.0s: No.",
        "The last good layer is in c0ffeec0ffee.",
    ]
    assert text.failure(end) == "The build failed at step 3 of 10 after 2.0s."
    assert BuildText().failure(BuildEvent("failed", text="No engine.")) == "No engine."


def test_the_status_shows_what_runs_and_for_how_long() -> None:
    text = BuildText(lambda: 103.5)

    def feed(*events: BuildEvent) -> str:
        for event in events:
            list(text.lines(event))
        return text.status()

    assert feed() == "Reading the build context…"
    assert feed(BuildEvent("context", size=1, files=1)) == "Sending the build context…"
    assert feed(PLAN, started(3, "RUN make")) == "[ 3/10] 3s RUN make"
    assert feed(started(4, "RUN test")) == "[ 3/10] and 1 more 3s RUN make"
    assert feed(BuildEvent("step_done", 3), BuildEvent("step_done", 4)) == ""
    assert feed(committed(3, 1)) == "Reading layers…"
    assert feed(BuildEvent("finished", image=IMAGE)) == ""


def test_the_status_line_is_painted_twice_a_second_and_cleared(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "12")
    now = [0.0]
    with StatusLine(lambda: now[0]) as line:
        line.show("0123456789abcdef")
        line.show("another")
        now[0] = 0.4
        line.show("another")
        assert capsys.readouterr().err == "\r\x1b[K012345678"
        now[0] = 0.6
        line.show("another")
        assert capsys.readouterr().err == "\r\x1b[Kanother"
        line.clear()
        line.clear()
        assert capsys.readouterr().err == "\r\x1b[K"
        now[0] = 9.0
        line.show("again")
    assert capsys.readouterr().err == "\r\x1b[Kagain\r\x1b[K"


def test_there_is_a_status_line_only_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with StatusLine() as line:
        line.show("text")
    assert capsys.readouterr().err == ""
