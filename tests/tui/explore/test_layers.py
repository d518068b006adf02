"""Pane 2: the stack of layers, and how the other panes follow it."""

from __future__ import annotations

from dataclasses import replace

from layerscope.errors import BadInputError
from layerscope.filesystem.changeset import Changeset
from layerscope.images.image import with_missing
from tests.tui import fakes
from tests.tui.conftest import Drive, Driven


def rows(ui: Driven) -> list[list[str]]:
    return [line.lstrip("▌ ").split() for line in ui.pane("layers")[1:]]


async def test_base_is_at_the_bottom_and_empty_layers_have_no_number(drive: Drive) -> None:
    async with drive() as ui:
        assert [row[0] for row in rows(ui)] == ["·", "3", "2", "·", "1", "·", "0"]
        assert rows(ui)[0][1:] == ["EXPOSE", "80"]
        assert rows(ui)[1][1:] == [
            "21.3kB",
            "╸",
            "·",
            "2",
            "·",
            "·",
            *["RUN", "echo", "'Hi,", "I", "am", "in", "Docker!'", ">", "/var/www/html/index.html"],
        ]
        assert rows(ui)[2][1:7] == ["299kB", "╸", "·", "·", "1", "1"]


async def test_what_a_layer_wastes_and_hides_is_shown(drive: Drive) -> None:
    def details(ui: Driven) -> list[list[str]]:
        return [line.strip("▐ ").split() for line in ui.pane("details")]

    async with drive(size=(120, 60)) as ui:
        waste = ui.main.session and ui.main.session.waste
        assert waste
        assert sum(waste.layer_wasted) == sum(waste.layer_hides) == waste.wasted_size
        assert "Wasted" in ui.pane("layers")[0]
        assert [row[3] for row in rows(ui) if row[0] in "0123"] == ["·", "·", "23.5MB", "17.3MB"]
        await ui.press("j")
        assert ["Hides", "23.7MB", "below"] in details(ui)
        await ui.press("j", "j")
        assert ["Size", "216MB,", "23.5MB", "wasted"] in details(ui)
        assert "4 layers · 302MB · 40.8MB wasted, 13.5%" in ui.text
        await ui.press("4", "G")
        await ui.until(lambda: "Wasted, largest first" in ui.text)
        place = details(ui).index(["Size", "Layer", "What"])
        assert [line[:5] for line in details(ui)[place + 1 : place + 6]] == [
            ["23.5MB", "Removed", "by", "a", "later"],
            ["23.5MB", "1", "→", "2", "/var/lib/apt/lists"],
            ["17.3MB", "Rewritten", "by", "a", "later"],
            ["17.1MB", "0", "→", "1", "/var/lib/apt/lists"],
            ["256kB", "0", "→", "2", "/etc/passwd"],
        ]
    # In a narrow window, it stays and the counts of changes go.
    async with drive(size=(80, 24)) as ui:
        assert "Wasted" in ui.pane("layers")[0]
        assert " A " not in ui.pane("layers")[0]


async def test_cursor_begins_at_the_top_layer(drive: Drive) -> None:
    async with drive() as ui:
        step = ui.main.layer_list.step
        assert step is not None
        assert step.layer == 3
        assert ui.files() == ["  var", "  var/www", "A var/www/html", "A var/www/html/index.html"]


async def test_a_single_line_is_a_row_not_the_header(drive: Drive) -> None:
    async with drive(size=(20, 5)) as ui:
        assert ui.pane("layers")[0].startswith("   3")
        await ui.press("j")
        assert ui.pane("layers")[0].startswith("   2")
        await ui.press("3", "G")
        assert "▸ var" in ui.text or "▾ var" in ui.text
        await ui.pilot.resize_terminal(100, 30)
        await ui.calm()
        assert "Instruction" in ui.pane("layers")[0]


async def test_moving_changes_files_and_details_at_once(drive: Drive) -> None:
    async with drive() as ui:
        await ui.press("j")
        assert "R var/lib/apt/lists" in ui.files()
        assert "M etc/passwd" in ui.files()
        assert any(line.split()[:2] == ["Layer", "2"] for line in ui.pane("details"))
        assert "3 Files · layer 2" in ui.text
        await ui.press("G")
        assert "A bin/bash" in ui.files()


async def test_many_moves_are_one_change_of_files(drive: Drive) -> None:
    async with drive() as ui:
        calls = 0
        original = ui.main.explorer.show

        def counted() -> None:
            nonlocal calls
            calls += 1
            original()

        ui.main.explorer.show = counted  # type: ignore[method-assign]
        for _ in range(10):
            ui.main.layer_list.action_move(1)
            ui.main.layer_list.action_move(-1)
        ui.main.layer_list.action_move(1)
        await ui.rest()
        assert 1 <= calls <= 3
        assert "3 Files · layer 2" in ui.text


async def test_an_empty_layer_says_that_no_files_change(drive: Drive) -> None:
    async with drive() as ui:
        await ui.press("k")
        assert "This step changes no files." in ui.text
        assert "EXPOSE 80" in "\n".join(ui.pane("details"))
        await ui.press("slash", *"etc", "enter")
        assert "This step changes no files." in ui.text


async def test_union_shows_all_layers_below(drive: Drive) -> None:
    async with drive() as ui:
        await ui.press("t")
        assert "merged view of layers 0–3" in ui.text
        assert "  bin" in ui.files()
        assert sum(line.startswith("▌") for line in ui.pane("layers")) == 6
        await ui.press("j")
        assert sum(line.startswith("▌") for line in ui.pane("layers")) == 5
        await ui.press("t")
        assert sum(line.startswith("▌") for line in ui.pane("layers")) == 0


async def test_enter_goes_to_the_files(drive: Drive) -> None:
    async with drive() as ui:
        await ui.press("enter")
        assert ui.app.focused is ui.main.files


async def test_layers_can_be_looked_at_while_others_are_read(drive: Drive) -> None:
    reader = fakes.FakeReader().hold()
    async with drive(reader=reader, wait=False) as ui:
        await ui.until(lambda: "reading…" in ui.text)
        assert [row[1] for row in rows(ui) if row[0].isdigit()] == ["waiting"] * 3 + ["reading…"]
        assert "This layer has not arrived yet." in ui.text or "No files" in ui.text
        reader.release(0)
        await ui.until(lambda: "A bin/bash" in ui.files())
        assert "1 of 4 layers" in ui.text
        assert "ctrl+k" in ui.text or "^k" in ui.lines[-1]
        await ui.press("3", "G", "2")
        for layer in (1, 2, 3):
            reader.release(layer)
        await ui.until(lambda: ui.main.session is not None and ui.main.session.ended)
        assert "Reading" not in ui.lines[0]
        assert next(row[1] for row in rows(ui) if row[0].isdigit()) == "21.3kB"


async def test_cursor_follows_arriving_layers_until_it_is_moved(drive: Drive) -> None:
    reader = fakes.FakeReader().hold()
    async with drive(reader=reader, wait=False) as ui:
        reader.release(0)
        await ui.until(lambda: ui.main.layer_list.facts(0) is not None)
        assert ui.main.layer_list.step is not None
        assert ui.main.layer_list.step.layer == 0
        await ui.press("k", "j")
        for layer in (1, 2, 3):
            reader.release(layer)
        await ui.until(lambda: ui.main.session is not None and ui.main.session.ended)
        assert ui.main.layer_list.step.layer == 0


async def test_cursor_ends_on_the_top_layer(drive: Drive) -> None:
    reader = fakes.FakeReader().hold()
    async with drive(reader=reader, wait=False) as ui:
        layers = ui.main.layer_list
        reader.release(0)
        await ui.until(lambda: layers.facts(0) is not None)
        for layer in (1, 2, 3):
            reader.release(layer)
        await ui.until(lambda: ui.main.session is not None and ui.main.session.ended)
        await ui.until(lambda: layers.step is not None and layers.step.layer == 3)


async def test_progress_is_told_and_reading_can_be_cancelled(drive: Drive) -> None:
    reader = fakes.FakeReader().hold()
    async with drive(reader=reader, wait=False) as ui:
        reader.release(0)
        await ui.until(lambda: ui.main.layer_list.facts(0) is not None)
        await ui.until(lambda: "Reading layers" in ui.lines[0] and "28%" in ui.lines[0])
        await ui.press("ctrl+k")
        await ui.until(lambda: ui.main.session is not None and ui.main.session.ended)
        # What has arrived can still be looked at, its content too.
        assert not reader.closed
        assert "Incomplete: 1 of 4 layers" in ui.lines[0]
        assert "Reading was cancelled." in ui.text
        assert "missing" in ui.text
        assert "A bin/bash" in ui.files()
    assert reader.closed


async def test_cancelled_before_the_first_layer_goes_back_quietly(drive: Drive) -> None:
    reader = fakes.FakeReader().hold()
    async with drive(reader=reader, wait=False) as ui:
        await ui.until(lambda: "reading…" in ui.text)
        await ui.press("ctrl+k")
        await ui.until(lambda: ui.main.session is None)
        assert "REPOSITORY" in ui.text
        assert len(ui.app.screen_stack) == 1


async def test_an_engine_that_dies_leaves_what_was_read(drive: Drive) -> None:
    async with drive(reader=fakes.FakeReader(fail_at=2)) as ui:
        assert "Incomplete: 2 of 4 layers" in ui.lines[0]
        assert "The connection to the engine broke off." in ui.text
        assert [row[1] for row in rows(ui) if row[0].isdigit()][:2] == ["missing", "missing"]
        await ui.press("g", "j")
        assert "This layer could not be read." in ui.text
        await ui.press("G")
        assert "A bin/bash" in ui.files()


async def test_an_unreadable_archive_is_one_calm_page(drive: Drive) -> None:
    error = BadInputError("bad\x1b.tar".replace("\x1b", "\\e"), 512, "it is not a tar archive")
    async with drive("bad\x1b.tar", reader=error) as ui:
        await ui.until(lambda: len(ui.app.screen_stack) == 2)
        assert "Cannot open bad\\e.tar" in ui.text
        assert "byte 512: it is not a tar archive." in ui.text
        await ui.press("escape")
        assert "REPOSITORY" in ui.text


async def test_what_nobody_foresaw_is_one_calm_page(drive: Drive) -> None:
    async with drive(reader=ZeroDivisionError("oops")) as ui:
        await ui.until(lambda: len(ui.app.screen_stack) == 2)
        assert "Something unexpected happened (ZeroDivisionError: oops)." in ui.text
        await ui.press("enter")
        assert len(ui.app.screen_stack) == 1


async def test_an_image_without_layers_or_history(drive: Drive) -> None:
    import dataclasses

    image = dataclasses.replace(fakes.sample_image(), layers=(), history=())
    async with drive(reader=fakes.FakeReader(image, [])) as ui:
        assert "This image has no layers." in ui.text
        await ui.press(
            "j", "k", "t", "G", "3", "j", "l", "h", "space", "E", "s", "n", "a", "4", "j"
        )
        assert "This image has no layers." in ui.text


async def test_layers_that_the_history_does_not_name(drive: Drive) -> None:
    import dataclasses

    image = dataclasses.replace(fakes.sample_image(), history=())
    async with drive(reader=fakes.FakeReader(image)) as ui:
        assert [row[0] for row in rows(ui) if row] == ["3", "2", "1", "0"]


async def test_opening_another_image_drops_the_first(drive: Drive) -> None:
    first = fakes.FakeReader().hold()
    async with drive(reader=first, wait=False) as ui:
        await ui.until(lambda: "reading…" in ui.text)
        ui.main._opener = fakes.opener(fakes.FakeReader())
        ui.main.open_source("other")
        await ui.until(lambda: ui.main.session is not None and ui.main.session.ended)
        await ui.until(lambda: first.closed)
        assert ui.main.layer_list.facts(3) is not None


async def test_an_image_without_layers_has_no_size(drive: Drive) -> None:
    image = replace(fakes.sample_image(), layers=(), history=())
    async with drive(reader=fakes.FakeReader(image, [])) as ui:
        await ui.until(lambda: "Size" in ui.text)
        facts = [line.split() for line in ui.pane("details")]
        for name in ("Size", "Visible", "Wasted"):
            assert [name, "0B"] in facts


async def test_a_layer_that_is_missing_is_told_in_every_pane(drive: Drive) -> None:
    image = with_missing(fakes.sample_image(), {1: "it is foreign"}, [0, 5_000_000, 0, 0])
    contents = fakes.sample_changesets()
    contents[1] = Changeset.empty()
    async with drive(reader=fakes.FakeReader(image, contents)) as ui:
        assert rows(ui)[4][:2] == ["1", "missing"]
        assert "Incomplete: 3 of 4 layers" in ui.text
        await ui.rest()
        assert "Layer 1 is missing: it is foreign." in " ".join(ui.pane("details"))
        assert "3 of 4 layers" in ui.pane("layers")[0] or "3 of 4 layers" in ui.text
        # The union has what the others hold.
        ui.main.layer_list.select_layer(1)
        await ui.rest()
        assert "This layer is missing." in ui.text
        details = [line.strip("▐ ").split() for line in ui.pane("details")]
        assert ["Size", "missing,", "5MB", "as", "it", "is", "stored"] in details
        assert ["Packages", "unknown"] in details
        await ui.press("t")
        assert "  bin/bash" in ui.files()


async def test_a_layer_turns_out_to_be_missing_while_it_is_read(drive: Drive) -> None:
    contents = fakes.sample_changesets()
    contents[1] = Changeset.empty()
    reader = fakes.FakeReader(None, contents).hold()
    async with drive(reader=reader, wait=False) as ui:
        reader.release(0)
        await ui.until(lambda: ui.main.layer_list.facts(0) is not None)
        assert "missing" not in ui.text
        reader.image = with_missing(reader.image, {1: "it is foreign"}, [0, 5, 0, 0])
        for layer in (1, 2, 3):
            reader.release(layer)
        await ui.until(lambda: "Incomplete: 3 of 4 layers" in ui.text)
        assert rows(ui)[4][:2] == ["1", "missing"]
