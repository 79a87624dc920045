"""Whether text may be burnt into an image."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from client.data.deidentify.burnt_in import Risk, burnt_in

CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"Modality": "CT", "SOPClassUID": CT}, Risk.NONE),
        ({"Modality": "CT", "BurnedInAnnotation": "YES"}, Risk.STATED),
        ({"Modality": "US"}, Risk.POSSIBLE),
        ({"Modality": "US", "BurnedInAnnotation": "NO"}, Risk.NONE),
        ({"Modality": "CT", "ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, Risk.POSSIBLE),
        ({"Modality": "CT", "ImageType": ["DERIVED", "SECONDARY", "MPR"]}, Risk.NONE),
        ({"Modality": "CT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, Risk.POSSIBLE),
        ({"Modality": "CT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7.2"}, Risk.POSSIBLE),
        ({"Modality": "CR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1"}, Risk.NONE),
        ({"Modality": "CR", "ConversionType": "DF"}, Risk.POSSIBLE),
        ({"Modality": "SR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.11"}, Risk.DOCUMENT),
        ({"Modality": "DOC", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1"}, Risk.DOCUMENT),
    ],
)
def test_judgement(values: dict[str, object], expected: Risk) -> None:
    header = Dataset()
    for word, value in values.items():
        setattr(header, word, value)
    assert burnt_in(header) is expected
