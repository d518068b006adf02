"""What pruning would remove, and what prevents the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.images.pruning import UNUSED, PruneRequest, narrowed, prune
from layerscope.images.reclaim import Bounds, CachedStep, HeldContainer, Plan
from layerscope.reports.removal_report import plan_text
from tests.unit.images.test_reclaim import held, holdings

BASE = held("base", "base", "base:1", parent="")
NAMED = held("named", "base a", "app:1", parent="base")
LOST = held("lost", "base a b", parent="base")
RUNNING = held("running", "base c", "run:1", containers=(("web", "running"), ("old", "exited")))
ALL = holdings(BASE, NAMED, LOST, RUNNING)


def ids(plan: Plan) -> set[str]:
    return {image.id for image in plan.removed}


def test_dangling_images_are_those_without_a_tag() -> None:
    plan = prune(ALL, PruneRequest())
    assert (ids(plan), plan.freed) == ({"lost"}, Bounds(30, 30))
    assert (plan.untagged, plan.obstacles) == ([], [])


def test_unused_images_go_and_those_in_use_are_named_with_the_reason() -> None:
    plan = prune(ALL, PruneRequest(UNUSED))
    assert ids(plan) == {"base", "named", "lost"}
    assert plan.freed == Bounds(230, 230)
    assert "Keep    run:1: in use by web (running) and old (exited)" in list(plan_text(plan))


def test_words_narrow_a_request_by_age_and_labels() -> None:
    request = PruneRequest(UNUSED, containers=True)
    assert narrowed(request, " ", 0) == request
    assert narrowed(request, "2w team=web 30d", 3e6) == PruneRequest(
        UNUSED, True, before=3e6 - 30 * 86400, labels=("team=web",)
    )
    assert narrowed(request, "30", 0).labels == ("30",)


def test_an_image_keeps_its_names_while_images_that_stay_were_built_on_it() -> None:
    child = replace(RUNNING, parent="base", layers=("base", "c"))
    plan = prune(holdings(BASE, child), PruneRequest(UNUSED))
    assert plan.empty
    assert "Keep    base:1: run:1 was built on it" in list(plan_text(plan))


def test_an_untagged_image_below_a_tagged_one_is_not_dangling() -> None:
    step = held("step", "base")
    plan = prune(holdings(step, replace(NAMED, parent="step")), PruneRequest())
    assert plan.empty


def test_a_container_that_goes_no_longer_needs_its_image() -> None:
    used = replace(RUNNING, containers=(("old", "exited"),))
    stopped = [HeldContainer("2", "old", "exited", 5, 100)]
    every = replace(holdings(used), stopped=stopped)
    assert not ids(prune(every, PruneRequest(UNUSED)))
    plan = prune(every, PruneRequest(UNUSED, containers=True))
    assert ids(plan) == {"running"}
    assert [each.name for each in plan.containers] == ["old"]
    assert plan.freed == Bounds(1009, 1009)
    unknown = replace(every, stopped=[replace(stopped[0], size=None)])
    assert prune(unknown, PruneRequest("", containers=True)).freed == Bounds(0, None)
    young = prune(every, PruneRequest(UNUSED, containers=True, before=100))
    assert young.containers == []


@pytest.mark.parametrize(
    ("before", "labels", "expected"),
    [
        (None, ("team",), {"one", "two"}),
        (None, ("team=a",), {"one"}),
        (None, ("team=a", "stage"), set()),
        (150, (), {"one", "none"}),
        (150, ("team",), {"one"}),
        (100, (), set()),
    ],
)
def test_age_and_labels(before: float | None, labels: tuple[str, ...], expected: set[str]) -> None:
    images = [
        replace(held("one", "a"), created=100, labels={"team": "a"}),
        replace(held("two", "b"), created=200, labels={"team": "b"}),
        replace(held("none", "c"), created=149),
    ]
    plan = prune(holdings(*images), PruneRequest(before=before, labels=labels))
    assert ids(plan) == expected


@given(st.lists(st.tuples(st.sets(st.integers(0, 9)), st.booleans(), st.booleans()), max_size=10))
def test_what_goes_of_a_build_cache_leaves_no_entry_without_its_parents(
    drawn: list[tuple[set[int], bool, bool]],
) -> None:
    cache = [
        CachedStep(str(n), "", 1, 0, in_use, shared, tuple(str(p) for p in parents if p < n))
        for n, (parents, in_use, shared) in enumerate(drawn)
    ]
    going = prune(replace(holdings(), cache=cache), PruneRequest("", cache=True)).cache
    order = [each.id for each in going]
    for each in cache:
        for parent in each.parents:
            if parent in order:
                assert order.index(each.id) < order.index(parent)
    free = {each.id for each in cache if not (each.in_use or each.shared)}
    assert set(order) <= free
    # What stays although nothing holds it is needed by something that stays.
    for name in free - set(order):
        assert any(name in each.parents for each in cache if each.id not in order)
