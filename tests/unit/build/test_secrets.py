"""Build secrets: their forms, what a job keeps, and that values are hidden."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from layerscope.build.events import BuildEvent
from layerscope.build.recorder import Recorder
from layerscope.build.secrets import LARGEST, Mask, Secret, parse_secret, parse_secrets
from layerscope.errors import UsageError
from layerscope.jobs.folder import all_jobs
from tests.command import one_line_error, run

VALUE = "hush-hush"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("id=token,src=/a/b", Secret("token", file="/a/b")),
        ("id=token,source=b", Secret("token", file="/here/b")),
        ("src=../b,id=token", Secret("token", file="/b")),
        ("type=file,id=token,src=b", Secret("token", file="/here/b")),
        ("id=token,env=TOKEN", Secret("token", variable="TOKEN")),
        ("type=env,id=token,src=TOKEN", Secret("token", variable="TOKEN")),
        ("id=SET_HERE", Secret("SET_HERE", variable="SET_HERE")),
        ("type=file,id=SET_HERE", Secret("SET_HERE", file="/here/SET_HERE")),
        ("id=token", Secret("token", file="/here/token")),
        ('id=token,"src=/a,b"', Secret("token", file="/a,b")),
        ("id=a.b/c:d,src=/x", Secret("a.b/c:d", file="/x")),
    ],
)
def test_the_forms_of_secrets(text: str, secret: Secret, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SET_HERE", VALUE)
    assert parse_secret(text, Path("/here")) == secret
    assert parse_secret(str(secret), Path("/elsewhere")) == secret


@pytest.mark.parametrize(
    "text",
    [
        "",
        VALUE,
        f"id=token,{VALUE}",
        f"id=token,value={VALUE}",
        f"token={VALUE}",
        f"id=,src={VALUE}",
        f"id={VALUE} x,src=/a",
        f"id=token,env={VALUE}",
        f"id=token,env=A,src={VALUE}",
        f"id=token,type={VALUE},src=/a",
        f'id=token,"src={VALUE}',
        f"id=token,src={VALUE}\0",
        f"id=a,id={VALUE},src=/a",
        f"id=token,src={VALUE}\nid=x",
    ],
)
def test_an_invalid_secret_is_reported_without_repeating_it(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_secret(text)
    assert VALUE not in str(caught.value)
    assert "id=NAME,src=FILE or id=NAME,env=VARIABLE" in caught.value.hint


def test_unreadable_values_are_reported_before_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOKEN", raising=False)
    (tmp_path / "large").write_bytes(bytes(LARGEST + 1))
    (tmp_path / "small").write_bytes(b"x")
    for text, said in (
        ("id=a,src=none", f"There is no file {tmp_path}/none."),
        ("id=a,src=.", f"{tmp_path} is not a file."),
        ("id=a,src=large", "larger than 500 KiB"),
        ("id=a,env=TOKEN", "The variable TOKEN is not set."),
    ):
        with pytest.raises(UsageError, match="read from there") as caught:
            parse_secrets([text], tmp_path)
        assert said in str(caught.value)
    with pytest.raises(UsageError, match="a is given twice"):
        parse_secrets(["id=a,src=small", "id=a,src=small"], tmp_path)
    monkeypatch.setenv("TOKEN", VALUE)
    (secret,) = parse_secrets(["id=a,env=TOKEN"])
    assert secret.value() == VALUE.encode()
    assert VALUE not in repr(secret) + str(secret)


def test_a_job_keeps_ids_and_places_but_never_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    monkeypatch.setenv("TOKEN", VALUE)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "file").write_text(VALUE)
    flags = ("--secret", "id=a,src=file", "--secret", "id=b,env=TOKEN")
    outcome = run(capsys, "build", *flags, ".")
    assert outcome.code == 2
    assert "No engine listens" in outcome.out + outcome.err
    (job,) = all_jobs()
    assert job.spec["secrets"] == [f"id=a,src={tmp_path}/file", "id=b,env=TOKEN"]
    for file in job.folder.iterdir():
        assert VALUE.encode() not in file.read_bytes()


def test_an_invalid_secret_never_starts_a_job(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    error = one_line_error(run(capsys, "build", "--secret", f"id=a,{VALUE}", str(tmp_path)))
    assert VALUE not in error
    assert "Write id=NAME,src=FILE" in error
    assert all_jobs() == []


def test_a_mask_hides_each_line_of_each_value() -> None:
    mask = Mask([b"hush-hush\n", b"-----BEGIN\nabcdef\n----\n", b"\xff\xfe\xfd\xfc", b"abc", b""])
    assert mask.hide("+ curl -H hush-hush http://x") == "+ curl -H *** http://x"
    assert mask.hide("abcdefg -----BEGIN") == "***g ***"
    # Too short: masking it would make the log unreadable.
    assert mask.hide("abc") == "abc"
    assert Mask([b"pass", b"password"]).hide("password pass") == "*** ***"
    assert Mask().hide("anything") == "anything"


def test_printed_secrets_do_not_reach_the_journal() -> None:
    reported: list[dict[str, Any]] = []
    recorder = Recorder(lambda event: reported.append(dict(event)), None)  # type: ignore[arg-type]
    recorder.mask = Mask([VALUE.encode()])
    recorder.log(2, f"+ echo {VALUE}\n{VALUE[:4]}")
    recorder.log(2, f"{VALUE[4:]}\n\x1b[31m{VALUE}")
    recorder.end_log(2)
    recorder.warning(f"{VALUE} is in the log")
    recorder.write(BuildEvent("step_failed", 2, text=f"{VALUE}: not found"))
    recorder.failed_with(f"The build failed: {VALUE}: not found")
    assert len(reported) == 6
    assert VALUE not in json.dumps(reported)
    assert [event["text"] for event in reported[:2]] == ["+ echo ***", "***"]
