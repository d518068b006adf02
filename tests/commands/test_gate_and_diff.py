"""ci and diff: verdicts on whole images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from layerscope.reports.diff_report import config_differences, value_text
from tests.archives import folder, layer_tar, text, whiteout, write_archive
from tests.commands.conftest import Run


def rules(document: Any) -> dict[str, Any]:
    return {rule["rule"]: rule for rule in document["rules"]}


@pytest.fixture
def wasteful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of 400 bytes, 100 are hidden in /big and 100 in /log/x, both above the base layer."""
    monkeypatch.chdir(tmp_path)
    layers = [
        [text("base", "b" * 100)],
        [text("big", "1" * 100), folder("log"), text("log/x", "l" * 100)],
        [text("big", "2" * 100), whiteout("log")],
    ]
    return write_archive(tmp_path, [layer_tar(layer) for layer in layers])


def test_the_gate_measures_what_the_design_defines(run: Run, wasteful: Path) -> None:
    answer = run("ci", wasteful, "--json")
    found = rules(answer.document)
    assert answer.code == 1
    assert answer.document["passed"] is False
    assert found["lowest-efficiency"]["value"] == pytest.approx(0.5)
    assert found["highest-wasted-bytes"]["value"] == 200
    assert found["highest-wasted-bytes"]["passed"] is None
    assert found["highest-user-wasted-percent"]["value"] == pytest.approx(200 / 300)


def test_flags_decide(run: Run, wasteful: Path) -> None:
    kept = ("--lowest-efficiency", "50%", "--highest-user-wasted-percent", "disabled")
    assert run("ci", wasteful, *kept).code == 0
    answer = run("ci", wasteful, *kept, "--highest-wasted-bytes", "199")
    assert answer.code == 1
    assert "highest-wasted-bytes" in answer.out
    assert "FAIL" in answer.out
    assert run("ci", wasteful, *kept, "--highest-wasted-bytes", "0.2kB").code == 0


def test_excluded_paths_do_not_count(run: Run, wasteful: Path) -> None:
    answer = run("ci", wasteful, "--exclude", "/log", "--json")
    assert answer.document["excluded_size"] == 100
    assert rules(answer.document)["highest-wasted-bytes"]["value"] == 100


def test_rules_of_dive_are_read(run: Run, wasteful: Path) -> None:
    Path(".dive-ci").write_text(
        "rules:\n  lowestEfficiency: 0.4\n  highestWastedBytes: 1MB\n"
        "  highestUserWastedPercent: 0.9\n"
    )
    answer = run("ci", wasteful, "--json")
    assert answer.code == 0
    assert rules(answer.document)["highest-wasted-bytes"]["threshold"] == 1_000_000


@pytest.mark.parametrize(
    ("name", "heading"),
    [("layerscope.toml", "[ci]"), ("pyproject.toml", "[tool.layerscope.ci]")],
)
def test_toml_takes_precedence_over_dive(run: Run, wasteful: Path, name: str, heading: str) -> None:
    Path(".dive-ci").write_text("rules:\n  lowestEfficiency: 0.99\n")
    Path(name).write_text(
        f'{heading}\nlowest-efficiency = 0.4\nhighest-user-wasted-percent = "70%"\n'
        'exclude = ["/big"]\n'
    )
    answer = run("ci", wasteful, "--json")
    assert answer.code == 0
    assert answer.document["excluded_size"] == 100


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[ci]\nlowest-efficiency = 2\n", "line 2: lowest-efficiency is 2"),
        ("[ci]\nnon-sense = 2\n", "line 2: there is no rule non-sense"),
        ('[x]\nhighest-size=1\n[ci]\n\nhighest-size = "3 XB"\n', "line 5: highest-size is 3 XB"),
        ('\nci = {highest-size = "3 XB"}\n', "line 2: highest-size is 3 XB"),
        ('ci.highest-size = "3 XB"\n', "line 1: highest-size is 3 XB"),
        ('[ci]\nexclude = "x"\n', "line 2: exclude is not a list of globs"),
        ("[ci\n", "is not valid TOML"),
        ('ci = "x"\n', "line 1: ci is not a table"),
    ],
)
def test_invalid_thresholds_are_an_error_not_a_verdict(
    run: Run, wasteful: Path, content: str, problem: str
) -> None:
    Path("layerscope.toml").write_text(content)
    answer = run("ci", wasteful)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"layerscope: {Path.cwd()}/layerscope.toml")
    assert problem in answer.err


def test_an_invalid_flag_is_named(run: Run, wasteful: Path) -> None:
    answer = run("ci", wasteful, "--lowest-efficiency", "lots")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("layerscope: --lowest-efficiency is lots. It must be a fraction")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("pyproject.toml", "tool = 1\n", "tool is not a table"),
        ("pyproject.toml", "[tool]\nlayerscope = 1\n", "layerscope is not a table"),
        ("layerscope.toml", f"x = {'9' * 5000}\n", "is not valid TOML"),
        ("layerscope.toml", f"x = {'[' * 5000}\n", "is not valid TOML"),
        (".dive-ci", "- lowestEfficiency: 0.99\n", "has no mapping of rules"),
        (".dive-ci", "lowestEfficiency\n", "has no mapping of rules"),
        (".dive-ci", "since: 2001-99-99\n", "is not valid YAML"),
        (".dive-ci", "rules:\n  a: [1\n b: 2\n", "line 3: this is not valid YAML"),
        (".dive-ci", "rules: {lowestEfficiency: }\n", "line 1: lowestEfficiency is empty"),
        (".dive-ci", "rules:\n  lowestEfficiency: &a [*a]\n", "line 2: lowestEfficiency is a list"),
    ],
)
def test_invalid_files_of_rules_are_an_error(
    run: Run, wasteful: Path, name: str, content: str, problem: str
) -> None:
    Path(name).write_text(content)
    answer = run("ci", wasteful)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert problem in answer.err


@pytest.mark.parametrize("name", ["x.toml", "pyproject.toml", "x.yaml"])
def test_a_named_file_without_rules_is_an_error(run: Run, wasteful: Path, name: str) -> None:
    Path(name).write_text("" if name == "x.yaml" else "[other]\n")
    answer = run("ci", wasteful, "--config", name)
    assert (answer.code, answer.out) == (2, "")
    assert f"{name} sets no threshold" in answer.err


def test_an_image_is_the_same_as_itself(run: Run, image: Path) -> None:
    answer = run("diff", image, image, "--exit-code", "--json")
    assert answer.code == 0
    assert answer.document["same"] is True
    assert answer.document["files"] == []
    assert len(answer.document["layers"]["shared"]) == 2


def test_diff_says_what_differs_in_each_file(run: Run, tmp_path: Path) -> None:
    one, two = tmp_path / "1", tmp_path / "2"
    one.mkdir()
    two.mkdir()
    base = layer_tar([text("same", "s"), text("only-one", "1")])
    first = write_archive(one, [base, layer_tar([text("f", "abc"), text("m", "x")])])
    second = write_archive(
        two, [base, layer_tar([text("f", "abd"), text("m", "x", mode=0o755), whiteout("only-one")])]
    )
    answer = run("diff", first, second, "--json", "--exit-code")
    found = {
        entry["path"]: (entry["change"], entry["changed"]) for entry in answer.document["files"]
    }
    assert found == {
        "/f": ("modified", ["content"]),
        "/m": ("modified", ["mode"]),
        "/only-one": ("removed", []),
    }
    assert answer.code == 1
    assert run("diff", first, second).code == 0
    layers = answer.document["layers"]
    assert [len(layers[key]) for key in ("shared", "only_a", "only_b")] == [1, 1, 1]
    words = run("diff", first, second).out
    assert "M /m  mode 0644→0755, content unchanged" in words


def test_diff_can_leave_out_what_differs_in_its_time_only(run: Run, tmp_path: Path) -> None:
    one, two = tmp_path / "1", tmp_path / "2"
    one.mkdir()
    two.mkdir()
    first = write_archive(one, [layer_tar([text("f", "abc", mtime=1), text("g", "a", mtime=1)])])
    second = write_archive(two, [layer_tar([text("f", "abd", mtime=2), text("g", "a", mtime=2)])])
    document = run("diff", first, second, "--ignore-time", "--json").document
    assert [each["path"] for each in document["files"]] == ["/f"]
    assert document["time_only"] == 1
    words = run("diff", first, second, "--ignore-time").out
    assert "1 path left out: only the time differs" in words
    assert run("diff", first, second, "--json").document["time_only"] == 0
    later = write_archive(two, [layer_tar([text("f", "abc", mtime=2), text("g", "a", mtime=2)])])
    answer = run("diff", first, later, "--ignore-time", "--exit-code")
    assert answer.code == 0
    assert "No differences." in answer.out
    assert run("diff", first, later, "--exit-code").code == 1
    assert run("diff", first, later, "--ignore-time", "--path", "/f").code == 2


def test_the_step_that_an_image_was_built_on_is_no_difference() -> None:
    one, other = ({"config": {"Image": f"sha256:{x}", "User": x}} for x in "ab")
    assert list(config_differences(one, other)) == [("User", "a", "b")]


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("Cmd", ["sh", "-c", "é"], '["sh", "-c", "é"]'),
        ("Cmd", [], "(none)"),
        ("Cmd", None, "(none)"),
        ("User", "", "(none)"),
        ("User", "web", "web"),
        ("Env.A", "", ""),
        ("ExposedPorts.80/tcp", {}, "80/tcp"),
        ("ExposedPorts.80/tcp", None, "(none)"),
        ("Healthcheck.Interval", 90_000_000_000, "90s"),
        ("Healthcheck.Retries", 3, "3"),
        ("ArgsEscaped", True, "true"),
    ],
)
def test_values_are_shown_as_in_a_dockerfile(key: str, value: object, shown: str) -> None:
    assert value_text(key, value) == shown
