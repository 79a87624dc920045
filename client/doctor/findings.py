"""What a check of the doctor says, and what it is given."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from client.service.start import Half
from client.site import Site
from client.site_folder import SiteFolder
from common.errors import ConsiliumError, MachineError

if TYPE_CHECKING:
    from client.doctor.data.look import StudyLook


class Level(StrEnum):
    """How bad it is."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor.

    Attributes:
        level: green; amber: works, but look at it; red: does not work.
        text: what was found, one sentence without patients.
        fix: what to do; every red line has one.
        exit_code: the class of error, should it be the first red line.
    """

    level: Level
    text: str
    fix: str = ""
    exit_code: int = 0


@dataclass(frozen=True)
class Patient:
    """What the doctor looks at.

    Attributes:
        site: the site as its file describes it.
        folder: its private files.
        half: the half of the site that this machine runs; none: both.
        look: the study that the data are looked at for; none: for no study.
    """

    site: Site
    folder: SiteFolder
    half: Half | None = None
    look: StudyLook | None = None


def green(text: str) -> Finding:
    """All is well."""
    return Finding(Level.GREEN, text)


def amber(text: str, fix: str = "") -> Finding:
    """It works, and somebody should look at it."""
    return Finding(Level.AMBER, text, fix)


def red(text: str, fix: str, *, kind: type[ConsiliumError] = MachineError) -> Finding:
    """It does not work, and this mends it."""
    return Finding(Level.RED, text, fix, kind.exit_code)


def of_error(error: ConsiliumError) -> Finding:
    """An error as a red line."""
    where = f" [{error.where}]" if error.where else ""
    fix = error.fix or "See its page under docs/exit-codes."
    return Finding(Level.RED, f"{error.what}{where}", fix, error.exit_code)
