"""What removing images frees, by who shares which layers."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.images.reclaim import Bounds, Held, Holdings, Plan, plan, top_sizes
from layerscope.reports.removal_report import done_sentence, plan_document, plan_text

SIZES = {"base": 1000, "a": 200, "b": 30, "c": 4}


def held(
    identifier: str,
    layers: str,
    *tags: str,
    parent: str = "",
    containers: tuple[tuple[str, str], ...] = (),
) -> Held:
    return Held(identifier, tags, tuple(layers.split()), parent, containers)


def holdings(*images: Held, hidden: bool = False, sizes: Mapping[str, int] = SIZES) -> Holdings:
    by_id = {image.id: image for image in images}

    def measure(identifier: str, wanted: int) -> Bounds:
        layers = by_id[identifier].layers
        size = sum(sizes[layer] for layer in layers[len(layers) - wanted :])
        return Bounds(size, size)

    return Holdings(by_id, measure, hidden)


ONE = held("1", "base a", "one:1")
TWO = held("2", "base a b", "two:1", "two:2")
THREE = held("3", "base c", "three:1")


def freed(plan_: Plan) -> int:
    assert plan_.freed.exact
    return plan_.freed.least


def test_a_layer_goes_with_the_last_image_that_has_it() -> None:
    every = holdings(ONE, TWO, THREE)
    assert freed(plan(every, [("1", "one:1")])) == 0
    assert freed(plan(every, [("2", "")])) == 30
    assert freed(plan(every, [("1", ""), ("2", "")])) == 230
    assert freed(plan(every, [("1", ""), ("2", ""), ("3", "")])) == 1234


def test_an_image_with_another_name_is_only_untagged() -> None:
    found = plan(holdings(TWO), [("2", "two:1")])
    assert found.untagged == [("two:1", "stays as two:2", "2")]
    assert (found.removed, freed(found)) == ([], 0)
    both = plan(holdings(TWO), [("2", "two:1"), ("2", "two:2")])
    assert (both.untagged, both.removed) == ([], [TWO])


def test_a_container_keeps_its_image_but_not_every_name() -> None:
    used = held("1", "base a", "one:1", "one:2", containers=(("web", "running"),))
    found = plan(holdings(used), [("1", "")])
    assert [(x.name, x.containers) for x in found.obstacles] == [("one:1", (("web", "running"),))]
    assert not found.removed
    assert not plan(holdings(used), [("1", "one:2")]).obstacles


def test_what_images_were_built_on_goes_with_them_or_stays() -> None:
    step = held("s", "base a", parent="1")
    two = held("2", "base a b", "two:1", parent="s")
    every = holdings(ONE, step, two)
    only_one = plan(every, [("1", "")])
    assert only_one.untagged == [("one:1", "stays, as images were built on it", "1")]
    assert freed(only_one) == 0
    only_two = plan(every, [("2", "")])
    assert [image.id for image in only_two.removed] == ["2", "s"]
    assert freed(only_two) == 30
    both = plan(every, [("1", ""), ("2", "")])
    assert [image.id for image in both.removed] == ["2", "s", "1"]
    assert freed(both) == 1230
    untagged = holdings(held("1", "base a"), step, two)
    assert freed(plan(untagged, [("2", "")])) == 1230


def test_a_circle_of_parents_ends() -> None:
    found = plan(
        holdings(held("1", "base", parent="2"), held("2", "base", parent="1")), [("1", "")]
    )
    assert {image.id for image in found.removed} == {"1", "2"}


def test_what_cannot_be_seen_makes_it_an_upper_bound() -> None:
    found = plan(holdings(ONE, hidden=True), [("1", "")])
    assert found.freed == Bounds(0, 1200)
    assert "at most 1.2kB" in list(plan_text(found))[-1]


@pytest.mark.parametrize(
    ("entries", "layers", "wanted", "least", "most"),
    [
        ([100, 0, 20, 3], 3, 1, 3, 3),
        ([100, 0, 20, 3], 3, 3, 123, 123),
        ([100, 0, 20, 3], 4, 2, 3, 23),
        ([100, 20], 2, 1, 20, 20),
        ([100, 20, 0, 0], 4, 1, 0, 20),
        ([], 2, 1, 0, 0),
        ([1, 2, 3], 2, 1, 0, None),
    ],
)
def test_sizes_by_a_history(
    entries: list[int], layers: int, wanted: int, least: int, most: int | None
) -> None:
    assert top_sizes(entries, layers, wanted) == Bounds(least, most)


@given(st.data())
def test_a_history_bounds_the_size_whichever_entries_are_layers(data: st.DataObject) -> None:
    entries = data.draw(st.lists(st.sampled_from([0, 0, 1, 20, 300]), min_size=1, max_size=8))
    is_layer = [size > 0 or data.draw(st.booleans()) for size in entries]
    sizes = [size for size, own in zip(entries, is_layer, strict=True) if own]
    if not sizes:
        return
    wanted = data.draw(st.integers(1, len(sizes)))
    found = top_sizes(entries, len(sizes), wanted)
    assert found.most is not None
    assert found.least <= sum(sizes[len(sizes) - wanted :]) <= found.most


def test_the_report_says_exactly_what() -> None:
    used = held("9", "base c", "db\x1b:1", containers=(("we\x1bb", "exited"),))
    big = {**SIZES, "b": 123_456_789}
    found = plan(holdings(ONE, TWO, used, sizes=big), [("2", ""), ("9", "")])
    lines = list(plan_text(found))
    assert lines[0].startswith("Remove  two:1, two:2  2")
    assert lines[1] == "Keep    db\\e:1: in use by we\\eb (exited)"
    assert lines[2] == "This removes 1 image, and frees 123MB (123,456,789 bytes)."
    document = plan_document(found)
    assert document["schema"] == "layerscope.rm/1"
    removed = {"id": "2", "names": ["two:1", "two:2"], "layers": 3, "because_of": None}
    assert document["removed"] == [removed]
    assert (document["freed_at_least"], document["exact"]) == (123_456_789, True)
    assert list(plan_text(plan(holdings(used), [("9", "")])))[-1] == "Nothing can be removed."
    untag = list(plan_text(plan(holdings(TWO), [("2", "two:1")])))
    assert untag == [
        "Untag   two:1  (the image stays as two:2)",
        "This only removes 1 name, and frees nothing.",
    ]


#: Built on two untagged images, of which the lower one is also below another image.
LOW = held("low", "base")
MIDDLE = held("mid", "base a", parent="low")
TOP = held("top", "base a b", "top:1", parent="mid")
OTHER = held("oth", "base c", "other:1", parent="low")
DANGLING = held("dan", "base a c")


def test_intermediate_images_are_folded_and_each_id_is_shown_once() -> None:
    found = plan(holdings(LOW, MIDDLE, TOP, OTHER, DANGLING), [("top", ""), ("dan", "")])
    assert [image.id for image, _ in found.families] == ["top", "dan"]
    *steps, sentence = plan_text(found)
    assert steps == ["Remove  top:1  top  and 1 intermediate image below it", "Remove  dan"]
    assert sentence.startswith("This removes 2 images and 1 intermediate image, and frees ")
    document = plan_document(found)
    assert [(each["id"], each["because_of"]) for each in document["removed"]] == [
        ("top", None),
        ("mid", "top"),
        ("dan", None),
    ]
    text = "\n".join(steps)
    assert all(text.count(each) == 1 for each in ("dan", "top:1"))


def test_an_intermediate_image_below_several_is_folded_once() -> None:
    found = plan(holdings(LOW, MIDDLE, TOP, OTHER), [("top", ""), ("oth", "")])
    assert {image.id: [x.id for x in below] for image, below in found.families} == {
        "top": ["mid", "low"],
        "oth": [],
    }


@given(
    st.dictionaries(st.sampled_from("abcdefg"), st.sampled_from(["", *"abcdefg"]), min_size=1),
    st.sets(st.sampled_from("abcdefg")),
    st.sets(st.sampled_from("abcdefg")),
)
def test_every_removed_image_is_in_one_family(
    parents: dict[str, str], tagged: set[str], wanted: set[str]
) -> None:
    images = [
        held(name, "base", *([f"{name}:1"] if name in tagged else []), parent=parent)
        for name, parent in parents.items()
    ]
    found = plan(holdings(*images), [(name, "") for name in sorted(wanted & parents.keys())])
    folded = [x.id for image, below in found.families for x in (image, *below)]
    assert sorted(folded) == sorted(image.id for image in found.removed)


def test_what_was_freed_is_what_was_measured() -> None:
    found = plan(holdings(ONE), [("1", "")])
    assert done_sentence(found, 1_500) == "Removed 1 image, freed 1.5kB (1,500 bytes)."
    assert done_sentence(found, 0) == "Removed 1 image, freed nothing."
    assert (
        done_sentence(found, None) == "Removed 1 image, freed 1.2kB (1,200 bytes) (not measured)."
    )
