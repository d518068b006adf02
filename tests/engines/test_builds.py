"""Real builds, by each builder on each engine that has it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.engines.builds import BUILDERS, MATRIX, Site
from tests.engines.dockerfiles import CACHED, IGNORING, STAGES, STEPS, WITHOUT_LAYERS, filled
from tests.engines.fixtures import new_engine, running_engine
from tests.engines.images import busybox_base

pytestmark = pytest.mark.usefixtures("engines")


@pytest.fixture(params=MATRIX, ids="-".join)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    """A build context for each builder on each engine."""
    name, builder = request.param
    return Site(running_engine(name), builder, tmp_path)


#: One engine for each builder, for what is the builder's business and not the engine's.
once_a_builder = pytest.mark.parametrize(
    "site", BUILDERS, indirect=True, ids=["classic", "buildkit", "podman"]
)


@pytest.fixture
def base(site: Site) -> str:
    """An image to build on, with a shell."""
    return busybox_base(site.engine)


def unique(text: str) -> str:
    """Return an instruction that no cache has."""
    return f"RUN echo {time.time_ns()} > /unique && {text}\n"


def test_each_step_is_told_and_equals_what_inspect_says(site: Site, base: str) -> None:
    site.write(filled(STEPS, base), **{"data.txt": "some data\n"})
    built = site.build("-t", "layerscope.test/steps:1")
    assert built.code == 0, built.errors
    assert {e["step"]: e["line"] for e in built.of("step_started")}[5] == 5
    assert all(event["steps"] == 6 for event in built.of("step_started"))
    assert built.log(5) == ["hello"]
    (finished,) = built.of("finished")
    assert built.events[-1] == finished
    assert finished["tags"] == ["layerscope.test/steps:1"]
    assert finished["seconds"] > 0
    document = site.inspect("layerscope.test/steps:1")
    reported = {
        e["diff_id"]: e for e in built.of("step_committed", "step_cached") if "diff_id" in e
    }
    own = document["layers"][len(site.inspect(base)["layers"]) :]
    assert {layer["diff_id"] for layer in own} == set(reported)
    for layer in own:
        event = reported[layer["diff_id"]]
        assert {k: event[k] for k in ("size", "added", "modified", "removed")} == {
            k: layer[k] for k in ("size", "added", "modified", "removed")
        }
    assert reported[own[-1]["diff_id"]]["step"] == 5
    assert reported[own[-1]["diff_id"]]["removed"] == 1
    assert reported[own[-1]["diff_id"]]["wasted"] == len("some data\n")
    assert site.inspect(finished["image"])["image"]["id"] == document["image"]["id"]


@once_a_builder
def test_a_dockerfile_without_a_stage_is_said_to_be_one(site: Site, base: str) -> None:
    site.write("ARG A=1\n")
    built = site.build()
    assert built.code == 1, built.errors
    assert re.fullmatch(r"layerscope: The build failed: .*(no FROM|no stages).*\n", built.errors), (
        built.errors
    )


@pytest.mark.parametrize("dockerfile", WITHOUT_LAYERS)
def test_what_was_built_has_a_size_though_no_step_made_a_layer(
    site: Site, base: str, dockerfile: str
) -> None:
    site.write(filled(dockerfile, base))
    # Docker's containerd store does not keep an image that has neither a layer nor a name.
    built = site.build("-t", "layerscope.test/no-layer:1")
    assert built.code == 0, built.errors
    (finished,) = built.of("finished")
    image = site.inspect("layerscope.test/no-layer:1")["image"]
    assert (finished["size"], finished["wasted"]) == (image["size"], image["wasted_size"])


@pytest.mark.parametrize(
    "site", [*BUILDERS, MATRIX[4]], indirect=True, ids=["classic", "buildkit", "podman", "store"]
)
def test_what_is_unchanged_is_a_cache_hit(site: Site, base: str) -> None:
    text = filled(CACHED, base)
    site.write(text)
    assert site.build("-t", "layerscope.test/cached:1").code == 0
    site.write(text.replace("one", "two"))
    built = site.build("-t", "layerscope.test/cached:1")
    assert built.code == 0
    assert built.step(2)["event"] == "step_cached"
    assert built.step(2)["size"] > 0
    assert built.step(3)["event"] == "step_committed"
    again = site.build("-t", "layerscope.test/cached:1")
    assert [again.step(n)["event"] for n in (2, 3)] == ["step_cached"] * 2
    fresh = site.build("-t", "layerscope.test/cached:1", "--no-cache")
    assert [fresh.step(n)["event"] for n in (2, 3)] == ["step_committed"] * 2


def test_stages_arguments_and_a_target(site: Site, base: str) -> None:
    site.write(filled(STAGES, base))
    built = site.build("-t", "layerscope.test/stages:1", "--build-arg", "WHO=me")
    assert built.code == 0, built.errors
    assert built.log(8) == ["me"]
    assert built.step(6)["size"] == 3
    target = site.build("-t", "layerscope.test/stages:first", "--target", "first")
    assert target.code == 0, target.errors
    assert {e["step"] for e in target.of("step_started")} <= {1, 2, 3, 4}


@once_a_builder
def test_a_step_that_fails(site: Site, base: str) -> None:
    site.write(f"FROM {base}\n" + unique("true") + "RUN echo before; exit 3\nRUN true\n")
    built = site.build("-t", "layerscope.test/failing:1")
    assert built.code == 1
    failed = built.step(3)
    assert (failed["event"], failed["exit_code"]) == ("step_failed", 3)
    assert built.log(3) == ["before"]
    assert built.events[-1]["event"] == "failed"
    assert not any(e["step"] == 4 for e in built.of("step_started"))
    people = site.run("jobs", "attach", "1")
    assert people.returncode == 1
    assert "[3/4] failed with exit code 3" in people.stdout


@once_a_builder
def test_a_log_of_many_lines_is_whole(site: Site, base: str) -> None:
    lines = 100_000 if site.builder != "buildkit" else 10_000
    site.write(f"FROM {base}\n" + unique(f"seq 1 {lines}"))
    built = site.build(timeout=400)
    assert built.code == 0, built.errors
    assert built.log(2) == [str(number) for number in range(1, lines + 1)]


@once_a_builder
def test_escape_sequences_in_logs_are_shown_and_not_obeyed(site: Site, base: str) -> None:
    site.write(
        f"FROM {base}\n" + unique(r"printf '\033[31mred\033[0m \033]0;title\007 \033[2Jend\n'")
    )
    built = site.build()
    assert built.code == 0, built.errors
    assert built.log(2) == ["\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b[2Jend"]
    people = site.run("jobs", "attach", "1")
    assert " 2 | red \\e]0;title\\x07 \\e[2Jend\n" in people.stdout
    assert "\x1b" not in people.stdout


@once_a_builder
def test_a_build_that_is_interrupted_leaves_nothing(site: Site, base: str) -> None:
    cancelled(site, base, "interrupt")


def test_a_build_that_is_cancelled_leaves_nothing(site: Site, base: str) -> None:
    cancelled(site, base, "command")


@pytest.mark.parametrize("site", BUILDERS[:2], indirect=True, ids=["classic", "buildkit"])
def test_a_pipeline_that_is_ended_leaves_nothing(site: Site, base: str) -> None:
    cancelled(site, base, "terminate")


def cancelled(site: Site, base: str, how: str) -> None:
    site.write(f"FROM {base}\n" + unique("true") + "RUN echo begun; sleep 600\n")
    before = site.left()
    with site.begun("begun", "-t", "layerscope.test/cancelled:1") as process:
        if how == "command":
            assert site.run("jobs", "cancel", "1").returncode == 0
        else:
            process.send_signal(signal.SIGTERM if how == "terminate" else signal.SIGINT)
        assert process.wait(60) == 130
    listed = json.loads(site.run("jobs", "list", "--json").stdout)["jobs"]
    assert [(job["state"], job["exit_code"]) for job in listed] == [("cancelled", 130)]
    assert site.left() == before


@pytest.mark.parametrize("site", BUILDERS[:2], indirect=True, ids=["classic", "buildkit"])
def test_a_build_outlives_its_terminal_and_is_attached_to_again(site: Site, base: str) -> None:
    site.write(f"FROM {base}\n" + unique("echo begun; sleep 3; echo over"))
    with site.begun("begun") as process:
        os.killpg(process.pid, signal.SIGHUP)
        assert process.wait(30) == -signal.SIGHUP
    attached = site.run("jobs", "attach", "1", "--json-lines")
    assert attached.returncode == 0, attached.stderr
    events = [json.loads(line) for line in attached.stdout.splitlines()]
    assert events[0]["event"] == "step_started"
    assert [e["text"] for e in events if e["event"] == "log"][-2:] == ["begun", "over"]
    assert events[-1]["event"] == "finished"


@pytest.mark.parametrize("site", BUILDERS[:2], indirect=True, ids=["classic", "buildkit"])
def test_a_worker_that_is_killed_takes_the_build_with_it(site: Site, base: str) -> None:
    site.write(f"FROM {base}\nRUN echo begun; sleep 600\n")
    with site.begun("begun") as process:
        assert site.runs("sleep 600")
        lock = site.folder / "state/layerscope/jobs/1/lock"
        os.kill(int(lock.read_text()), signal.SIGKILL)
        assert process.wait(30) == 2
    listed = json.loads(site.run("jobs", "list", "--json").stdout)["jobs"]
    assert [job["state"] for job in listed] == ["died"]
    until = time.monotonic() + 20
    while site.runs("sleep 600") and time.monotonic() < until:
        time.sleep(0.2)
    assert not site.runs("sleep 600")
    assert not site.runs(str(site.context))


@pytest.mark.parametrize(("name", "builder"), MATRIX, ids=map("-".join, MATRIX))
def test_an_engine_that_is_killed_in_the_middle(name: str, builder: str, tmp_path: Path) -> None:
    with new_engine(name) as engine:
        site = Site(engine, builder, tmp_path)
        site.write(f"FROM {busybox_base(engine)}\nRUN echo begun; sleep 600\n")
        with site.begun("begun") as process:
            engine.kill()
            assert process.wait(60) == 2
        attached = site.run("jobs", "attach", "1", "--json-lines")
        last = json.loads(attached.stdout.splitlines()[-1])
        assert last["event"] == "failed"
        assert f"The connection to the engine at {engine.host} was lost" in last["text"]
        assert "Traceback" not in attached.stderr + last["text"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--builder", "podman"), "does not have Podman's builder. Choose classic or"),
        (
            ("--secret", "id=x,src=/etc/hostname", "--builder", "classic"),
            "The classic builder does not support",
        ),
    ],
)
def test_what_a_builder_does_not_have_is_said(
    arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    site = Site(running_engine("docker-28"), "classic", tmp_path)
    site.write("FROM scratch\n")
    built = site.build(*arguments)
    assert built.code == 2
    assert said in built.events[-1]["text"]


@pytest.mark.parametrize("site", BUILDERS[1:], indirect=True, ids=["buildkit", "podman"])
def test_secrets_reach_the_command_and_nothing_else(site: Site, base: str) -> None:
    values = {"file": "hush-hush", "env": "psst-psst"}
    (site.folder / "secret").write_text(values["file"])
    mounts = "--mount=type=secret,id=one,required=true --mount=type=secret,id=two,mode=0444"
    site.write(
        f"FROM {base}\nCOPY . /context/\n"
        f"RUN {mounts} cd /run/secrets && wc -c one && cat one two && echo && "
        f"echo {time.time_ns()}\n"
        "RUN find / -xdev > /listing; cat /run/secrets/one 2>/dev/null || echo gone\n",
        **{"data.txt": "some data\n"},
    )
    flags = ("--secret", f"id=one,src={site.folder / 'secret'}", "--secret", "id=two,env=TOKEN")
    built = site.build(*flags, "-t", "layerscope.test/secrets:1", TOKEN=values["env"])
    assert built.code == 0, built.errors
    # What a step prints of them is hidden.
    assert built.log(3)[:2] == ["9 one", "******"]
    assert built.log(4)[-1] == "gone"
    run = site.run("files", "layerscope.test/secrets:1", "--json-lines")
    paths = [json.loads(line)["path"] for line in run.stdout.splitlines()]
    assert "/context/data.txt" in paths
    assert not [path for path in paths if "layerscope" in path]
    with site.engine.api() as api:
        image = b"".join(api.get_image("layerscope.test/secrets:1"))
        history = json.dumps(api.history("layerscope.test/secrets:1"))
    for value in values.values():
        # Layers are stored as they are by both, so the bytes would be there.
        assert value.encode() not in image
        assert value not in history
        # Neither does Podman keep it elsewhere, once the build is over. BuildKit does keep the log
        # of a step that prints it, in its own history of builds.
        kept = ["grep", "-rlF", "--exclude-dir=proc", value, str(site.engine.folder.path)]
        if site.builder == "podman":
            assert subprocess.run(kept, capture_output=True, check=False).stdout == b""
        for file in (site.folder / "state").rglob("*"):
            assert not file.is_file() or value.encode() not in file.read_bytes()


def test_an_old_podman_is_not_given_what_it_crashes_at(tmp_path: Path) -> None:
    engine = running_engine("podman")
    site = Site(engine, "podman", tmp_path)
    mount = "--mount=type=secret,id=one,required"
    site.write(f"FROM {busybox_base(engine)}\n{unique('true')}RUN {mount} true\n")
    built = site.build("--secret", "id=one,env=HOME")
    with engine.api() as api:
        version = tuple(map(int, api.version()["Version"].split(".")[:2]))
    if version >= (4, 6):
        assert built.code == 0, built.errors
    else:
        assert built.code == 2
        assert "Write required=true." in built.events[-1]["text"]
    assert site.run("images").returncode == 0


@once_a_builder
def test_what_dockerignore_leaves_out_is_not_sent(site: Site, base: str) -> None:
    site.write(
        filled(IGNORING, base),
        **{".dockerignore": "*.log\n", "kept.txt": "x" * 100, "left.log": "x" * 5000},
    )
    built = site.build()
    assert built.code == 0, built.errors
    assert "kept.txt" in built.log(3)
    assert "left.log" not in built.log(3)
    people = site.run("jobs", "attach", "1").stdout
    assert people.startswith("Build context: ")
    assert "kept.txt" in people
    assert "left.log" not in people.split("[1/3]")[0]


@once_a_builder
def test_a_dockerfile_from_elsewhere(site: Site, base: str, tmp_path: Path) -> None:
    site.write("FROM nothing-that-there-is\n")
    other = tmp_path / "Other.dockerfile"
    other.write_text(f"FROM {base}\nCOPY . /all/\n" + unique("ls -a /all; echo other"))
    built = site.build("-f", str(other))
    assert built.code == 0, built.errors
    assert built.log(3)[-1] == "other"
