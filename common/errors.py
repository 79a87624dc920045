"""Errors for people: what is wrong, where, and what to do about it.

Every class carries the exit code that the command line ends with; `docs/exit-codes/` has a page for each.
Messages name files, keys and counts, never patients.
"""

from __future__ import annotations


class ConsiliumError(Exception):
    """Base of every error that a user can mend.

    Args:
        what: what is wrong, one sentence.
        where: the file, key or site it is about.
        fix: what to do next.
    """

    exit_code = 1
    told = "the site met an error that it did not expect"
    """What another party is told: a fixed sentence, since details may hold paths or counts of patients."""

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(what, where, fix)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        where = f" [{self.where}]" if self.where else ""
        fix = f" {self.fix}" if self.fix else ""
        return f"{self.what}{where}{fix}"


class StudyError(ConsiliumError):
    """The study file, the site file or the command line cannot be used as written."""

    exit_code = 2
    told = "the study or the site file cannot be used as written"


class BudgetError(ConsiliumError):
    """More privacy was spent, or would be spent, than the site allows."""

    exit_code = 3
    told = "the site's privacy budget does not allow it"


class TamperedError(ConsiliumError):
    """A ledger or log does not hold together: an entry was changed, removed or added."""

    exit_code = 4
    told = "the site's ledger does not hold together"


class DataError(ConsiliumError):
    """The site's data cannot be used for the study."""

    exit_code = 5
    told = "the site's data cannot be used for this study"


class PolicyError(ConsiliumError):
    """The site's policy does not allow what was asked."""

    exit_code = 6
    told = "the site's policy does not allow it"


class RunError(ConsiliumError):
    """The run folder exists already, is missing, or belongs to another study."""

    exit_code = 7
    told = "the run cannot go on"


class SitesError(ConsiliumError):
    """Too few sites answered, or a site failed."""

    exit_code = 8
    told = "too few sites answered"


class MachineError(ConsiliumError):
    """The machine lacks something: disk space, a permission, a device, a package."""

    exit_code = 9
    told = "the site's machine lacks something it needs"


class Interrupted(ConsiliumError):
    """The user stopped the run; its state is kept."""

    exit_code = 130
    told = "the site stopped the round before anything left"
