"""Tells whether names may be written into an image's pixels, which no profile of headers can take out."""

from __future__ import annotations

from enum import Enum

from pydicom.dataset import Dataset

_OFTEN = {"US", "IVUS", "XA", "RF", "ES", "XC", "GM", "SM", "OP", "OT", "SC", "DOC", "EPS", "ECG"}
_CAPTURED = "1.2.840.10008.5.1.4.1.1.7"  # and the multi-frame ones below it
_TEXT = (
    "1.2.840.10008.5.1.4.1.1.88.",  # structured reports
    "1.2.840.10008.5.1.4.1.1.104.",  # encapsulated documents
    "1.2.840.10008.5.1.4.1.1.11.",  # presentation states, which write on images
)
_WORDS = {"SCREEN SAVE", "SCREENSHOT", "SCREEN CAPTURE", "DOSE INFO"}


class Risk(Enum):
    """How likely it is that pixels name the patient; the value is said in reports."""

    NONE = "no sign of text in the image"
    POSSIBLE = "text may be burnt into the image"
    STATED = "text is burnt into the image"
    DOCUMENT = "a document, whose text names people"


def burnt_in(header: Dataset) -> Risk:
    """Judge an image by its header.

    Args:
        header: with Modality, SOPClassUID, ImageType, BurnedInAnnotation and ConversionType, where it has them.
    """
    sop_class = str(header.get("SOPClassUID") or "")
    if sop_class.startswith(_TEXT):
        return Risk.DOCUMENT
    stated = str(header.get("BurnedInAnnotation") or "").strip().upper()
    if stated == "YES":
        return Risk.STATED
    if stated == "NO":
        return Risk.NONE
    return Risk.POSSIBLE if _suspect(header, sop_class) else Risk.NONE


def _suspect(header: Dataset, sop_class: str) -> bool:
    types = {str(word).upper() for word in header.get("ImageType") or ()}
    modality = str(header.get("Modality") or "").strip().upper()
    captured = sop_class == _CAPTURED or sop_class.startswith(f"{_CAPTURED}.")
    return captured or bool(types & _WORDS) or modality in _OFTEN or "ConversionType" in header
