"""One file a paper: what changes in local training and how the server combines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import plugins

if TYPE_CHECKING:
    from common.algorithms.base import Algorithm
    from common.study import Study


def build_algorithm(study: Study) -> Algorithm:
    """Return the algorithm that a study names, with its options."""
    choice = study.federation.algorithm
    family = plugins.load("algorithms", choice.name)
    options = plugins.parse_options(family.Options, choice.options, where="[federation.algorithm]")
    algorithm: Algorithm = family(options)
    return algorithm
