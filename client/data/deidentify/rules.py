"""Decides what happens to one element of a data set, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from pydicom.datadict import dictionary_has_tag, keyword_for_tag
from pydicom.dataelem import DataElement

from client.data.deidentify import table

Dates = Literal["remove", "shift", "keep"]
TEMPORAL = ("DA", "DT", "TM")
STANDARD_UID = "1.2.840.10008."
_OF_THE_PERSON = {  # dates that no choice keeps
    *("PatientBirthDate", "PatientBirthTime", "PatientBirthDateInAlternativeCalendar"),
    *("PatientDeathDateInAlternativeCalendar", "PatientAlternativeCalendar"),
}
_CHARACTERISTICS = {"PatientSex", "PatientAge", "PatientSize", "PatientWeight"}
_OURS = {
    *("PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence"),
    *("LongitudinalTemporalInformationModified", "BurnedInAnnotation"),
}


class Action(Enum):
    """What happens to an element; the letters of PS3.15."""

    KEEP = "K"
    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    REMAP = "U"
    SHIFT = "C"


@dataclass(frozen=True)
class Choices:
    """What the site chose within the profile.

    Attributes:
        dates: remove them, move them back by a secret number of days a patient, or keep them.
        characteristics: keep sex, age (at most 90), size and weight.
    """

    dates: Dates = "remove"
    characteristics: bool = False


def _by_keyword() -> dict[str, Action]:
    lists = {
        Action.REMOVE: table.REMOVE,
        Action.EMPTY: table.EMPTY,
        Action.DUMMY: table.DUMMY,
        Action.REMAP: table.REMAP,
    }
    return {word: action for action, words in lists.items() for word in words.split()}


TABLE = _by_keyword()


def action(element: DataElement, choices: Choices) -> Action:
    """Return what happens to an element.

    What the table does not name is kept, except what could be anything: private and unknown attributes, overlays and
    curves, values of unknown type, names of persons, titles of machines, dates.
    """
    tag, vr = element.tag, str(element.VR)
    keyword = keyword_for_tag(tag)
    if tag.is_private or not dictionary_has_tag(tag) or _drawn_over(tag.group) or vr == "UN":
        return Action.REMOVE
    if keyword in _OURS:
        return Action.KEEP
    if choices.characteristics and keyword in _CHARACTERISTICS:
        return Action.KEEP
    if vr in TEMPORAL and keyword not in _OF_THE_PERSON and choices.dates != "remove":
        return Action.KEEP if choices.dates == "keep" else Action.SHIFT
    found = TABLE.get(keyword)
    if found is not None:
        return Action.REMAP if found is Action.DUMMY and vr == "UI" else found
    if vr in ("PN", "AE", *TEMPORAL):
        return Action.REMOVE
    return Action.REMAP if vr == "UI" else Action.KEEP


def _drawn_over(group: int) -> bool:
    """Tell the repeating groups of curves (50xx) and overlays (60xx)."""
    return group & 0xFF00 in (0x5000, 0x6000)
