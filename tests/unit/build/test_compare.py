"""What changed since the last build, and at which step it broke the cache."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from layerscope.build.compare import compare, previous
from layerscope.build.inputs import Inputs, base_names, changed_files, gather, keep, kept
from layerscope.build.state import BuildState
from layerscope.dockerfile.context.context import read_context
from layerscope.dockerfile.syntax.parser import parse
from layerscope.errors import Cancelled
from layerscope.jobs.job import Job, read_job

DOCKERFILE = """\
ARG VERSION=1
FROM base:${VERSION} AS one
COPY src/*.py lib /app/
FROM one
COPY --from=one /app /copied
COPY . /all
ADD https://example.com/x <<EOF /downloads/
text
EOF
"""


def nothing() -> None:
    """Never stops."""


def look(root: Path, before: Inputs | None = None, text: str = DOCKERFILE) -> Inputs:
    return gather(read_context(root), parse(text), {}, before, nothing)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    context = tmp_path / "context"
    for name in ("src/a.py", "src/b.txt", "lib/deep/c", "other"):
        path = context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}\n")
    (context / "link").symlink_to("other")
    return context


def test_the_inputs_of_each_step(root: Path) -> None:
    inputs = look(root)
    assert inputs.sources == {3: ("src/*.py", "lib"), 6: (".",)}
    assert inputs.stages == {5: ("one",)}
    folders = {"src", "lib", "lib/deep"}
    assert set(inputs.files) == {"src/a.py", "src/b.txt", "lib/deep/c", "other", "link"} | folders
    assert inputs.below == {3: 2, 4: 3, 5: 4, 6: 5, 7: 6}
    assert inputs.names == dict.fromkeys(range(1, 8), ()) | {
        2: ("VERSION",),
        4: ("VERSION",),
    }
    assert base_names(parse(DOCKERFILE), {}) == {2: "base:1"}
    assert base_names(parse(DOCKERFILE), {"VERSION": "7"}) == {2: "base:7"}


def test_files_are_compared_by_content(root: Path) -> None:
    old = look(root)
    (root / "src/a.py").touch()
    assert changed_files(old, look(root, old), (".",)) == []
    (root / "src/a.py").write_text("other\n")
    (root / "src/new.py").write_text("")
    (root / "lib/deep/c").unlink()
    (root / "link").unlink()
    (root / "link").symlink_to("elsewhere")
    (root / "other").chmod(0o755)
    new = look(root, old)
    everything = ["lib/deep/c", "link", "other", "src/a.py", "src/new.py"]
    assert changed_files(old, new, (".",)) == everything
    assert changed_files(old, new, ("src/*.py", "lib")) == ["lib/deep/c", "src/a.py", "src/new.py"]
    assert changed_files(old, new, ("src/[b-z]*", "oth?r")) == ["other", "src/new.py"]
    assert changed_files(old, new, ("src/*.txt", "ot")) == []


def test_unchanged_files_are_not_read_again(root: Path) -> None:
    old = look(root)
    forged = {path: (*facts[:4], "forged") for path, facts in old.files.items()}
    again = look(root, Inputs(forged, old.sources, old.stages, old.arguments))
    assert {facts[4] for facts in again.files.values() if facts[1]} == {"forged"}


def test_inputs_are_kept_and_read_again(root: Path, tmp_path: Path) -> None:
    (root / "odd\udcff name").write_text("x")
    inputs = look(root)
    keep(tmp_path, inputs)
    assert kept(tmp_path) == inputs
    (tmp_path / "inputs.json").write_text('{"files": 3}')
    assert kept(tmp_path) is None


def test_collecting_inputs_can_be_stopped(root: Path) -> None:
    def stop() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        gather(read_context(root), parse(DOCKERFILE), {}, None, stop)


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = tmp_path / "layerscope" / "jobs"
    folder.mkdir(parents=True)
    return folder


def built(jobs: Path, *steps: tuple[str, str], end: str = "finished", **spec: Any) -> Job:
    """A finished build; each step has its instruction and its outcome."""
    folder = jobs / str(len(list(jobs.iterdir())) + 1)
    folder.mkdir()
    spec = {"dockerfile": "/x/Dockerfile", "context": "/x", "target": "", "platform": "", **spec}
    job = {"kind": "build", "title": "x", "started": 1.0, "directory": "/", "spec": spec}
    (folder / "job.json").write_text(json.dumps(job))
    (folder / "result.json").write_text('{"exit_code": 0, "ended": 2.0}')
    events: list[dict[str, Any]] = []
    for number, (instruction, became) in enumerate(steps, start=1):
        begun = {"event": "step_started", "step": number, "steps": len(steps)}
        events += [begun | {"instruction": instruction}]
        events += [{"event": f"step_{became}", "step": number, "seconds": 1.0}] if became else []
    events.append({"event": end})
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    found = read_job(folder)
    assert found is not None
    return found


def why(job: Job) -> tuple[int, str] | None:
    state = BuildState(job.journal)
    state.read()
    found = compare(job, state)
    if found is None or found.broken is None:
        return None
    return found.broken.key[0], found.broken.why


FIRST = (("FROM base", "committed"), ("COPY . /app", "committed"), ("RUN make", "committed"))


def inputs(
    files: dict[str, str],
    *,
    arguments: dict[str, str] | None = None,
    base: str = "sha256:aaaa",
    modes: dict[str, int] | None = None,
    ignored: str = "",
) -> Inputs:
    """The inputs of a build: digests of files; a folder ends with a slash."""
    modes = modes or {}
    return Inputs(
        {
            path.rstrip("/"): (modes.get(path, 0o644), 1, 1, 1, "/" if path[-1] == "/" else digest)
            for path, digest in files.items()
        },
        {2: (".",)},
        {},
        arguments or {},
        {1: base},
        {2: 1, 3: 2},
        {3: ("V", "X")},
        ignored,
    )


def test_a_changed_file_broke_the_cache(jobs: Path) -> None:
    old, new = built(jobs, *FIRST), built(jobs, *FIRST)
    keep(old.folder, inputs({"a": "1", "b": "1"}))
    keep(new.folder, inputs({"a": "2", "b": "1"}))
    assert why(new) == (2, "a changed.")
    keep(new.folder, inputs({str(n): "" for n in range(9)}))
    assert why(new) == (2, "0, 1, 2 and 6 more are new. a, b were removed.")


@pytest.mark.parametrize(
    ("files", "more", "said"),
    [
        ({"c": "1", "b": "2"}, {}, "a became c."),
        ({"c": "3", "b": "2"}, {}, "c is new. a was removed."),
        ({"a": "1", "b": "2"}, {"modes": {"b": 0o755}}, "The mode of b changed."),
        ({"a": "1", "b": "2"}, {"modes": {"a": 1, "b": 1}}, "The modes of a, b changed."),
        ({"a": "1", "b": "3", "d/": ""}, {}, "b changed."),
        ({"a": "1", "b": "2", "d/": ""}, {}, "d is new."),
        (
            {"a": "1"},
            {"ignored": "another"},
            "b was removed. The rules in .dockerignore changed.",
        ),
    ],
)
def test_changes_of_files_are_described(
    jobs: Path, files: dict[str, str], more: dict[str, Any], said: str
) -> None:
    old, new = built(jobs, *FIRST), built(jobs, *FIRST)
    keep(old.folder, inputs({"a": "1", "b": "2"}))
    keep(new.folder, inputs(files, **more))
    assert why(new) == (2, said)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("ENV A=1", "ENV A=2", "ENV A=1 above it became ENV A=2."),
        ("", "ENV A=2", "ENV A=2 above it is new."),
        ("RUN x", "", "RUN x above it was removed."),
        ("LABEL a=1", "LABEL a=2", "LABEL a=1 above it was removed."),
        ("LABEL a=1", "", "LABEL a=1 above it was removed."),
        ("", "LABEL a=1", "The builder no longer has its result: RUN make"),
    ],
)
def test_changes_above_a_step_are_described(jobs: Path, old: str, new: str, said: str) -> None:
    found = []
    for text in (old, new):
        # BuildKit does not execute configuration.
        above = ((text, "cached"),) if text else ()
        steps = (FIRST[0], *above, ("RUN make", "committed"))
        found.append(built(jobs, *steps))
        below = {n: n - 1 for n in range(2, len(steps) + 1)}
        keep(found[-1].folder, Inputs({}, {}, {}, {}, below=below))
    assert why(found[1]) == (3 if new else 2, said)


def test_mounts_use_files_of_the_context_and_of_stages(root: Path) -> None:
    text = (
        "FROM base AS one\nFROM base\nRUN --mount=type=bind,source=lib,target=/x make\n"
        "RUN --mount=type=bind,target=/x --mount=from=one,target=/y make\n"
        "RUN --mount=type=cache,target=/z make\nCOPY --from=image:1 /a /b\n"
    )
    found = look(root, text=text)
    assert found.sources == {3: ("lib",), 4: (".",)}
    assert found.stages == {4: ("one",)}
    assert base_names(parse(text), {}) == {1: "base", 2: "base", 6: "image:1"}


def test_a_changed_base_broke_the_cache(jobs: Path) -> None:
    old, new = built(jobs, *FIRST), built(jobs, *FIRST)
    keep(old.folder, inputs({"a": "1"}))
    keep(new.folder, inputs({"a": "2"}, base="sha256:bbbb"))
    assert why(new) == (2, "The base image changed: aaaa became bbbb.")


def test_a_changed_argument_broke_the_cache(jobs: Path) -> None:
    cached = (("FROM base", "committed"), ("COPY . /app", "cached"), ("RUN make", "committed"))
    old, new = built(jobs, *FIRST), built(jobs, *cached)
    keep(old.folder, inputs({"a": "1"}, arguments={"V": "1", "W": "1"}))
    # The step knows nothing of W.
    keep(new.folder, inputs({"a": "1"}, arguments={"V": "2", "X": "1"}))
    assert why(new) == (3, "Build arguments changed: V, X.")


def test_a_changed_instruction_broke_the_cache(jobs: Path) -> None:
    built(jobs, *FIRST)
    changed = (("FROM base", "committed"), ("COPY . /app", "cached"), ("RUN make -j", "committed"))
    assert why(built(jobs, *changed)) == (
        3,
        "The instruction changed; it was RUN make.",
    )
    more = (*changed, ("RUN make install", "committed"))
    assert why(built(jobs, *more[:2], *more[3:])) == (
        3,
        "The instruction changed; it was RUN make -j.",
    )
    assert why(built(jobs, *more[:2], ("COPY a b", "committed"), more[3])) == (
        3,
        "The instruction is new.",
    )


def test_no_cache_is_the_reason(jobs: Path) -> None:
    built(jobs, *FIRST)
    assert why(built(jobs, *FIRST, no_cache=True)) == (
        2,
        "The build did not use the cache (--no-cache).",
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("host", "none", "The network changed from host to none."),
        ("", "host", "The network changed from the engine's choice to host."),
        ("host", "host", "The builder no longer has its result: RUN make"),
    ],
)
def test_a_changed_network_broke_the_cache(jobs: Path, old: str, new: str, said: str) -> None:
    built(jobs, *FIRST, network=old)
    cached = (FIRST[0], ("COPY . /app", "cached"), FIRST[2])
    assert why(built(jobs, *cached, network=new)) == (3, said)


def test_no_reason_if_the_cache_did_not_break(jobs: Path) -> None:
    assert why(built(jobs, *FIRST)) is None
    cached = tuple((instruction, "cached") for instruction, _ in FIRST)
    assert why(built(jobs, *cached)) is None
    # The step that failed last time had nothing that could be hit.
    built(jobs, *FIRST[:2], ("RUN make", "failed"), end="failed")
    assert why(built(jobs, FIRST[0], ("COPY . /app", "cached"), FIRST[2])) is None


def test_only_builds_of_the_same_dockerfile_are_compared(jobs: Path) -> None:
    other = built(jobs, *FIRST, dockerfile="/y/Dockerfile")
    first = built(jobs, *FIRST)
    second = built(jobs, *FIRST)
    assert previous(second) == first
    assert previous(first) is None
    assert previous(other) is None


def test_steps_are_aligned_by_their_instructions(jobs: Path) -> None:
    built(jobs, *FIRST)
    new = built(jobs, FIRST[0], ("ENV A=1", "committed"), *FIRST[1:])
    state = BuildState(new.journal)
    state.read()
    found = compare(new, state)
    assert found is not None
    assert {number: step.number for number, step in found.before.items()} == {
        (1, 0): 1,
        (3, 0): 2,
        (4, 0): 3,
    }


def test_before_is_the_last_time_that_a_step_ran_to_its_end(jobs: Path) -> None:
    built(jobs, *FIRST)
    cached = tuple((instruction, "cached") for instruction, _ in FIRST)
    built(jobs, *cached)
    built(jobs, *cached[:2], ("RUN make", "failed"), end="failed")
    # One that failed before its first step has nothing to say.
    built(jobs, end="failed")
    new = built(jobs, *cached[:2], FIRST[2], ("RUN more", "committed"))
    state = BuildState(new.journal)
    state.read()
    found = compare(new, state)
    assert found is not None
    states = {key[0]: step.state.value for key, step in found.before.items()}
    assert states == {1: "committed", 2: "committed", 3: "committed"}


def test_a_step_that_never_ran_to_its_end_was_cached_or_failed(jobs: Path) -> None:
    cached = tuple((instruction, "cached") for instruction, _ in FIRST)
    built(jobs, *cached[:2], ("RUN make", "failed"), end="failed")
    new = built(jobs, *cached[:2], FIRST[2])
    state = BuildState(new.journal)
    state.read()
    found = compare(new, state)
    assert found is not None
    states = {key[0]: step.state.value for key, step in found.before.items()}
    assert states == {1: "cached", 2: "cached", 3: "failed"}


@pytest.mark.parametrize("attempts", [0, 1, 3])
@pytest.mark.parametrize("failing", ["nothing", "above", "itself", "below"])
def test_failed_attempts_do_not_hide_what_broke_the_cache(
    jobs: Path, failing: str, attempts: int
) -> None:
    old = built(jobs, *FIRST)
    keep(old.folder, inputs({"a": "1"}))
    for _ in range(attempts):
        steps = {
            "nothing": (),
            "above": (("FROM base", "failed"),),
            "itself": (FIRST[0], ("COPY . /app", "failed")),
            "below": (FIRST[0], ("COPY . /app", "cached"), ("RUN make", "failed")),
        }[failing]
        failed = built(jobs, *steps, end="failed")
        keep(failed.folder, inputs({"a": "1" if failing == "below" else "2"}))
    new = built(jobs, *FIRST)
    keep(new.folder, inputs({"a": "2"}))
    assert why(new) == (2, "a changed.")


def test_an_instruction_that_was_mended_is_compared_with_what_it_was(jobs: Path) -> None:
    built(jobs, *FIRST)
    cached = (FIRST[0], ("COPY . /app", "cached"))
    built(jobs, *cached, ("RUN mkae", "failed"), end="failed")
    found = why(built(jobs, *cached, ("RUN make all", "committed")))
    assert found == (3, "The instruction changed; it was RUN make.")
