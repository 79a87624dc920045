"""Takes the identity out of one data set."""

from __future__ import annotations

from collections import Counter
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.valuerep import PersonName

from client.data.deidentify.codes import record
from client.data.deidentify.rules import STANDARD_UID, Action, Choices, action
from client.data.deidentify.values import capped_age, dummy, shifted
from client.guard.pseudonyms import Pseudonyms

_TEXTS = ("LO", "LT", "SH", "ST", "UC", "UR", "UT")
_SHORTEST = 4
_SHORTEST_NUMBER = 5
_NAMING = (
    *("PatientID", "PatientName", "OtherPatientIDs", "OtherPatientNames", "PatientBirthDate"),
    *("AccessionNumber", "StudyID", "ReferringPhysicianName", "OperatorsName", "AdmissionID"),
    *("PatientTelephoneNumbers", "PatientAddress", "IssuerOfPatientID", "PatientBirthName"),
)
_ALLOWED = ("ANONYMOUS", "UNKNOWN", "NONE", "NULL")


class Deidentifier:
    """Takes the identity out of data sets, the same way for all files of a patient.

    Args:
        names: the site's pseudonyms.
        choices: within the profile.

    Attributes:
        found_in_text: retained texts that repeated an identifier of their own file, by keyword; they were emptied.
    """

    def __init__(self, names: Pseudonyms, choices: Choices) -> None:
        self.found_in_text: Counter[str] = Counter()
        self._names = names
        self._choices = choices

    def clean(self, dataset: Dataset) -> None:
        """Change a data set in place; its pixels stay as they are."""
        patient = str(dataset.get("PatientID") or "").strip()
        own_words = _own_words(dataset)
        self._walk(dataset, self._names.days(patient), own_words)
        pseudonym = self._names.patient(patient) if patient else ""
        dataset.PatientID = pseudonym
        dataset.PatientName = pseudonym
        record(dataset, self._choices)

    def _walk(self, dataset: Dataset, days: int, own_words: frozenset[str]) -> None:
        for tag in list(dataset.keys()):
            element = dataset[tag]
            done = self._changed(element, days, own_words)
            if not done:
                del dataset[tag]

    def _changed(self, element: DataElement, days: int, own_words: frozenset[str]) -> bool:
        """Change one element; False means that it goes."""
        what = action(element, self._choices)
        if what is Action.REMOVE:
            return False
        if what is Action.EMPTY:
            element.value = [] if element.VR == "SQ" else None
        elif element.VR == "SQ":
            self._sequence(element, what, days, own_words)
        elif what is Action.DUMMY:
            element.value = dummy(str(element.VR))
        elif what is Action.REMAP:
            element.value = self._remapped(element.value)
        elif what is Action.SHIFT:
            element.value = shifted(str(element.VR), element.value, days)
        else:
            self._kept(element, own_words)
        return True

    def _sequence(
        self, element: DataElement, what: Action, days: int, own_words: frozenset[str]
    ) -> None:
        """Enter a sequence; of one that needs a dummy only the codes' frame stays."""
        for item in element.value:
            self._walk(item, days, own_words)
            if what is Action.DUMMY:
                _blank(item)
        if what is Action.DUMMY:
            element.value = Sequence(list(element.value)[:1])

    def _remapped(self, value: Any) -> Any:
        if isinstance(value, MultiValue | list | tuple):
            return [self._remapped(each) for each in value]
        text = str(value or "")
        return text if not text or text.startswith(STANDARD_UID) else self._names.uid(text)

    def _kept(self, element: DataElement, own_words: frozenset[str]) -> None:
        if element.keyword == "PatientAge":
            element.value = capped_age(element.value)
        elif _repeats(element, own_words):
            self.found_in_text[element.keyword] += 1
            element.value = None


def _repeats(element: DataElement, own_words: frozenset[str]) -> bool:
    """Tell whether a retained value holds an identifier; series have been numbered after patients."""
    text = str(element.value).casefold()
    if element.VR == "IS":
        return len(text) >= _SHORTEST_NUMBER and text in own_words
    return element.VR in _TEXTS and any(word in text for word in own_words)


def _own_words(dataset: Dataset) -> frozenset[str]:
    """Return the words that name this patient in this file, to be looked for in what is retained."""
    found: set[str] = set()
    for keyword in _NAMING:
        value = dataset.get(keyword)
        for each in value if isinstance(value, MultiValue) else [value]:
            text = str(each or "").casefold()
            parts = text.replace("^", " ").replace("=", " ").split()
            found |= set(parts) if isinstance(each, PersonName) else {text.strip()}
    return frozenset(
        word for word in found if len(word) >= _SHORTEST and word.upper() not in _ALLOWED
    )


def _blank(item: Dataset) -> None:
    for element in item:
        if element.VR == "SQ":
            for inner in element.value:
                _blank(inner)
        elif element.VR != "UI":
            element.value = dummy(str(element.VR))
