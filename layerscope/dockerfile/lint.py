"""All checks of a document, in order of severity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from layerscope.dockerfile.check_files import check_files
from layerscope.dockerfile.check_packages import check_packages
from layerscope.dockerfile.check_stages import check_stages
from layerscope.dockerfile.check_style import check_style
from layerscope.dockerfile.check_syntax import check_syntax
from layerscope.dockerfile.check_variables import check_variables
from layerscope.dockerfile.check_waste import check_waste
from layerscope.dockerfile.document import Document
from layerscope.dockerfile.facts import Facts, World
from layerscope.dockerfile.problems import Problem, settle

CHECKS: tuple[Callable[[Facts], Iterator[Problem]], ...] = (
    check_syntax,
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
    """The problems of a document, the worst first.

    Args:
        document: The document.
        world: What is known besides.
        others: What other tools found.
    """
    facts = Facts(document, world or World())
    found = [problem for check in CHECKS for problem in check(facts)]
    return settle(document, [*found, *others])
