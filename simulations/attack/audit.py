"""The whole attack on a study: every check, and the canaries in two settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from common.errors import ConsiliumError
from simulations.attack.checks import CHECKS, Check, Finding
from simulations.attack.one_run import Outcome, attack, full_batches
from simulations.attack.subject import Subject, observable

FEWEST_CANARIES = 100
Say = Callable[[str], None]


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        subject: what was audited.
        checks: every rule with what was found.
        outcomes: the attacks with canaries.
    """

    subject: Subject
    checks: tuple[tuple[Check, Finding], ...]
    outcomes: tuple[Outcome, ...]

    @property
    def broken(self) -> list[str]:
        """Names of the rules that do not hold."""
        return [check.name for check, finding in self.checks if not finding.passed]

    @property
    def leaking(self) -> bool:
        """Whether anything contradicts the promise."""
        return bool(self.broken) or any(outcome.leaking for outcome in self.outcomes)


def run_checks(subject: Subject, say: Say) -> tuple[tuple[Check, Finding], ...]:
    """Run every check in order; one that cannot finish has failed.

    Raises:
        ConsiliumError: the code refuses the study itself.
    """
    found = []
    for check in CHECKS:
        say(f"check {check.name}")
        found.append((check, _tried(check, subject)))
    return tuple(found)


def _tried(check: Check, subject: Subject) -> Finding:
    try:
        return check.run(subject)
    except ConsiliumError:
        raise
    except Exception as error:  # whatever it is, the rule was not seen to hold
        return Finding(False, f"ended with {type(error).__name__}")


def audit(subject: Subject, canaries: int, say: Say) -> Audit:
    """Run the checks, then the canaries with full batches and as the study is configured.

    Args:
        subject: the study at its hospital.
        canaries: units in and out.
        say: told what is being done.
    """
    checks = run_checks(subject, say)
    say(f"{canaries:,} canaries, every patient in every step")
    outcomes = [attack(subject, full_batches(subject), canaries, "full-batches")]
    if subject.plan.sampling_rate != 1:
        say(f"{canaries:,} canaries, as configured")
        outcomes.append(attack(subject, observable(subject.study), canaries, "as-configured"))
    return Audit(subject, checks, tuple(outcomes))
