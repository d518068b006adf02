"""What the last build wasted, reported at its instructions by `lint` and in the editor."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from layerscope.build.known_builds import finished_build
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.editor.opening import Start
from layerscope.tui.editor.screen import EditorScreen
from tests.engines.builds import BUILDERS, Site
from tests.engines.fixtures import running_engine
from tests.engines.images import busybox_base
from tests.tui import fakes
from tests.tui.conftest import Driven

pytestmark = pytest.mark.usefixtures("engines")


@pytest.fixture(params=BUILDERS, ids="-".join)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    """A build context for each builder."""
    name, builder = request.param
    return Site(running_engine(name), builder, tmp_path)


def wasted(site: Site) -> list[tuple[int, str]]:
    """Lines and messages of what `lint` says that steps wasted."""
    run = site.run("lint", "--no-hadolint", "--no-buildkit", "--json", str(site.context))
    document: dict[str, Any] = json.loads(run.stdout)
    problems = [p for p in document["problems"] if p["code"] == "WastedBytes"]
    return [(p["start"]["line"], p["message"]) for p in problems]


def test_steps_that_wasted_bytes_are_told(site: Site) -> None:
    make = "i=0; while [ $i -lt 40 ]; do head -c 50000 /dev/urandom > /tree/$i; i=$((i+1)); done"
    # In the order of their severity and their lines.
    lines = [
        f"FROM {busybox_base(site.engine)}",
        f"RUN echo {time.time_ns()}; mkdir /tree; {make}",
        "RUN chown -R 33 /tree",
        "RUN head -c 3000000 /dev/urandom > /big",
        "ENV A=1",
        "RUN rm /big",
    ]
    site.write("\n".join(lines) + "\n")
    assert wasted(site) == []
    assert site.build("-t", "layerscope.test/wasted:1").code == 0
    copied = "In the last build (job 1) this step copied 2MB without changing it, mostly in"
    removed = "In the last build (job 1) this step removed 3MB that lower layers still contain"
    found = wasted(site)
    assert [line for line, _ in found] == [3, 6]
    assert found[0][1].startswith(f"{copied} /tree/")
    assert found[1][1] == f"{removed}, mostly in /big."
    # Lines above move it; what was changed itself is not known any more, whatever its heredocs.
    site.write("\n".join(["# comment", lines[0], "LABEL a=b", "", *lines[1:]]) + "\n")
    assert [line for line, _ in wasted(site)] == [6, 9]
    site.write("\n".join([*lines[:2], "RUN chown -R 33 /tree && true", *lines[3:]]) + "\n")
    assert wasted(site) == [(6, f"{removed}, mostly in /big.")]
    # A build that fails has nothing to say of it; another one that is made has.
    site.write("\n".join([*lines, "RUN false"]) + "\n")
    assert site.build("-t", "layerscope.test/wasted:1").code == 1
    assert [line for line, _ in wasted(site)] == [3, 6]
    site.write("\n".join(lines[:5]) + "\n")
    assert site.build("-t", "layerscope.test/wasted:1").code == 0
    assert [(line, text.split(" this")[0]) for line, text in wasted(site)] == [
        (3, "In the last build (job 3)")
    ]
    run = site.run("lint", "--no-hadolint", "--no-buildkit", "--no-builds", str(site.context))
    assert "WastedBytes" not in run.stdout


@pytest.mark.parametrize("site", [BUILDERS[0]], indirect=True, ids=["classic"])
async def test_the_editor_tells_them_too(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(site.folder / "state"))
    site.write(
        f"FROM {busybox_base(site.engine)}\nRUN head -c 3000000 /dev/urandom > /big\nRUN rm /big\n"
    )
    assert site.build("-t", "layerscope.test/wasted:2").code == 0
    file = site.context / "Dockerfile"
    assert finished_build(file) is not None
    app = LayerscopeApp(None, fakes.opener(fakes.FakeReader()), fakes.connector())
    async with app.run_test(size=(120, 40)) as pilot:
        ui = Driven(app, pilot)
        await app.push_screen(EditorScreen(Start(file), fakes.place()))
        await ui.until(lambda: "3:1  In the last build (job 1) this step removed 3MB" in ui.text)
        await ui.press("ctrl+home", *"# comment", "enter")
        await ui.until(lambda: "4:1  In the last build (job 1) this step removed 3MB" in ui.text)
        await ui.press("ctrl+end", "up", "end", *"x")
        await ui.until(lambda: "removed 3MB" not in ui.text)


def test_what_is_in_a_heredoc_counts(tmp_path: Path) -> None:
    site = Site(running_engine("docker-28"), "buildkit", tmp_path)
    text = (
        f"FROM {busybox_base(site.engine)}\nRUN head -c 3000000 /dev/urandom > /big\n"
        "RUN <<EOF\nrm /big\nEOF\nRUN <<EOF\necho 1\nEOF\n"
    )
    site.write(text)
    assert site.build("-t", "layerscope.test/wasted:3").code == 0
    assert [line for line, _ in wasted(site)] == [3]
    site.write(text.replace("RUN <<EOF\nrm", "# one more\nRUN <<EOF\nrm"))
    assert [line for line, _ in wasted(site)] == [4]
    site.write(text.replace("rm /big", "true"))
    assert wasted(site) == []
