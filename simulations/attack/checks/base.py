"""What a check is: a named rule of the threat model, tried on the code as it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulations.attack.alarm import FALSE_ALARM
from simulations.attack.subject import Subject

CLOSE = 1e-3
"""Two ways to compute one sum in float32 may differ by so much, in units of C."""
CLOSE_MIXED = 5e-2
"""The same where the passes run in bfloat16."""


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        passed: the rule holds.
        figures: what was measured, in a sentence for a person.
    """

    passed: bool
    figures: str


@dataclass(frozen=True)
class Check:
    """One rule and how it is tried.

    Attributes:
        name: its public name.
        rule: what must hold, in a sentence.
        run: tries it; a random check fails an honest study with odds of at most `FALSE_ALARM`.
    """

    name: str
    rule: str
    run: Callable[[Subject], Finding]


def check(name: str, rule: str) -> Callable[[Callable[[Subject], Finding]], Check]:
    """Make a check of a function."""
    return lambda run: Check(name, rule, run)


def unlikely(p_values: list[float]) -> Finding:
    """Return a failure where the smallest of some p-values is below what an honest study shows."""
    least = min(1.0, min(p_values, default=1.0) * max(1, len(p_values)))
    return Finding(least >= FALSE_ALARM, f"p = {least:.2g} (fails below {FALSE_ALARM:g})")


def tolerance(subject: Subject) -> float:
    """Return by how much two computations of one sum may differ, in units of C."""
    return CLOSE_MIXED if subject.study.training.precision == "mixed" else CLOSE
