"""Runs all checks on a document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from layerscope.dockerfile.checks.facts import Facts, World
from layerscope.dockerfile.checks.files import check_files
from layerscope.dockerfile.checks.packages import check_packages
from layerscope.dockerfile.checks.problems import Problem, settle, without_consequences
from layerscope.dockerfile.checks.stages import check_stages
from layerscope.dockerfile.checks.style import check_style
from layerscope.dockerfile.checks.support import Builder, unsupported
from layerscope.dockerfile.checks.syntax import check_syntax
from layerscope.dockerfile.checks.variables import check_variables
from layerscope.dockerfile.checks.waste import check_waste
from layerscope.dockerfile.syntax.document import Document


def _check_support(facts: Facts) -> Iterator[Problem]:
    """Features that the builder lacks, or BuildKit if no builder is chosen."""
    world = facts.world
    builder = world.builder or Builder("buildkit", "BuildKit")
    for each in unsupported(facts.document, builder, world.target, world.arguments):
        yield each.problem()


CHECKS: tuple[Callable[[Facts], Iterator[Problem]], ...] = (
    check_syntax,
    _check_support,
    check_stages,
    check_variables,
    check_style,
    check_packages,
    check_files,
    check_waste,
)


def lint(
    document: Document, world: World | None = None, others: Iterable[Problem] = ()
) -> list[Problem]:
    facts = Facts(document, world or World())
    found = [problem for check in CHECKS for problem in check(facts)]
    return settle(document, [*without_consequences(document, found), *others])
