"""Records in a copy that its identity was removed, and how (PS3.16, context group 7050)."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from client.data.deidentify.rules import Choices

METHOD = "consilium, PS3.15 Annex E basic profile"
_BASIC = ("113100", "Basic Application Confidentiality Profile")
_FULL_DATES = ("113106", "Retain Longitudinal Temporal Information Full Dates Option")
_MODIFIED_DATES = ("113107", "Retain Longitudinal Temporal Information Modified Dates Option")
_CHARACTERISTICS = ("113108", "Retain Patient Characteristics Option")
_WORDS = {"remove": "REMOVED", "shift": "MODIFIED", "keep": "UNMODIFIED"}


def record(dataset: Dataset, choices: Choices) -> None:
    """Write method and choices into a copy."""
    codes = [_BASIC]
    if choices.dates != "remove":
        codes.append(_FULL_DATES if choices.dates == "keep" else _MODIFIED_DATES)
    if choices.characteristics:
        codes.append(_CHARACTERISTICS)
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = METHOD
    dataset.DeidentificationMethodCodeSequence = Sequence([_item(*code) for code in codes])
    dataset.LongitudinalTemporalInformationModified = _WORDS[choices.dates]


def _item(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = "DCM"
    item.CodeMeaning = meaning
    return item
