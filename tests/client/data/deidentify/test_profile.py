"""The basic profile, attribute by attribute, and on real files."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.datadict import keyword_dict
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from client.data.deidentify import table
from client.data.deidentify.dataset import Deidentifier
from client.data.deidentify.rules import TABLE, Choices, Dates
from client.data.deidentify.writing import Writer
from client.data.dicom.unusable import Unusable
from client.guard.pseudonyms import Pseudonyms

NAMES = Pseudonyms(b"k" * 32)
STUDY, IMAGE = "1.2.840.99.1", "1.2.840.99.1.7"


def person() -> Dataset:
    """A data set that says a lot about somebody."""
    made = Dataset()
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    made.SOPInstanceUID = IMAGE
    made.StudyInstanceUID = STUDY
    made.StudyDate, made.StudyTime = "20240229", "121314"
    made.AcquisitionDateTime = "20240229121314.5+0100"
    made.AccessionNumber = "ACC-4711"
    made.Modality = "CT"
    made.InstitutionName = "St Elsewhere"
    made.ReferringPhysicianName = "House^Gregory"
    made.PatientName = "Zweistein^Albertine"
    made.PatientID = "PID-000815"
    made.PatientBirthDate = "19280302"
    made.PatientSex, made.PatientAge, made.PatientWeight = "F", "096Y", "61"
    made.PatientComments = "likes tea"
    made.StudyDescription = "CT of Mrs Zweistein"
    made.ConvolutionKernel = "B60f"
    made.ManufacturerModelName = "Scanner for zweistein"
    made.KVP = "120"
    made.StudyID, made.SeriesNumber, made.InstanceNumber = "471100", "471100", "12"
    made.add_new(0x00090010, "LO", "ACME")
    made.add_new(0x00091001, "LO", "PID-000815 again")
    made.add_new(0x60003000, "OW", b"\1\0")
    made.add_new(0x50000010, "US", 3)
    made.add_new(0x00181FFF, "LO", "no such attribute")
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = IMAGE
    inner.ReferencedSOPClassUID = made.SOPClassUID
    inner.PatientName = "Zweistein^Albertine"
    inner.add_new(0x00091002, "LO", "private")
    made.ReferencedImageSequence = Sequence([inner])
    staff = Dataset()
    staff.VerifyingObserverName, staff.VerifyingOrganization = "Wilson^James", "St Elsewhere"
    made.VerifyingObserverSequence = Sequence([staff, staff])
    return made


def cleaned(dates: Dates = "remove", characteristics: bool = False) -> Dataset:
    made = person()
    Deidentifier(NAMES, Choices(dates, characteristics)).clean(made)
    return made


def words(dataset: Dataset) -> str:
    return str(dataset).casefold()


def test_nothing_of_the_person_is_left() -> None:
    for dates in ("remove", "shift", "keep"):
        text = words(cleaned(dates))  # type: ignore[arg-type]
        for secret in ("zweistein", "albertine", "pid-000815", "acc-4711", "19280302", "elsewhere"):
            assert secret not in text, (secret, dates)
        assert "471100" not in text
        assert "house" not in text
        assert "wilson" not in text
        assert "tea" not in text
        assert IMAGE not in text


def test_what_is_needed_stays() -> None:
    made = cleaned()
    assert (made.Modality, made.KVP, made.ConvolutionKernel) == ("CT", 120, "B60f")
    assert made.InstanceNumber == 12
    assert made.SOPClassUID == person().SOPClassUID
    assert made.PatientID == made.PatientName == NAMES.patient("PID-000815")


def test_private_unknown_and_drawn_over_attributes_go() -> None:
    made = cleaned()
    kept = list(made.iterall())
    assert not [x for x in kept if x.tag.is_private or x.tag.group in (0x6000, 0x5000)]
    assert 0x00181FFF not in made


def test_uids_are_replaced_everywhere_alike() -> None:
    made, again = cleaned(), cleaned()
    assert made.SOPInstanceUID == made.ReferencedImageSequence[0].ReferencedSOPInstanceUID
    assert made.SOPInstanceUID == again.SOPInstanceUID != IMAGE
    assert made.StudyInstanceUID not in (STUDY, made.SOPInstanceUID)
    assert made.ReferencedImageSequence[0].ReferencedSOPClassUID == made.SOPClassUID
    assert len(made.SOPInstanceUID) <= 64
    assert made.SOPInstanceUID.is_valid
    other = person()
    Deidentifier(Pseudonyms(b"l" * 32), Choices()).clean(other)
    assert other.SOPInstanceUID != made.SOPInstanceUID, "another site, other UIDs"


def test_dates_are_removed() -> None:
    made = cleaned()
    assert not made.StudyDate
    assert not made.StudyTime
    assert "2024" not in str(made.get("AcquisitionDateTime", ""))
    assert made.LongitudinalTemporalInformationModified == "REMOVED"


def test_dates_are_moved_by_the_same_days_for_a_patient() -> None:
    made = cleaned("shift")
    days = NAMES.days("PID-000815")
    assert 1 <= days <= 3650
    from datetime import date, timedelta

    moved = (date(2024, 2, 29) - timedelta(days=days)).strftime("%Y%m%d")
    assert made.StudyDate == moved
    assert made.StudyTime == "121314"
    assert str(made.AcquisitionDateTime) == f"{moved}121314.5+0100"
    assert not made.PatientBirthDate
    assert made.LongitudinalTemporalInformationModified == "MODIFIED"


def test_dates_are_kept_but_the_birth_date() -> None:
    made = cleaned("keep")
    assert made.StudyDate == "20240229"
    assert not made.PatientBirthDate
    assert made.LongitudinalTemporalInformationModified == "UNMODIFIED"


def test_characteristics() -> None:
    assert not cleaned().get("PatientAge")
    made = cleaned(characteristics=True)
    assert (made.PatientSex, made.PatientAge, made.PatientWeight) == ("F", "090Y", 61)


def test_the_method_is_recorded() -> None:
    made = cleaned("shift", True)
    codes = [item.CodeValue for item in made.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113107", "113108"]
    assert made.PatientIdentityRemoved == "YES"
    assert [x.CodeValue for x in cleaned().DeidentificationMethodCodeSequence] == ["113100"]


def test_a_text_that_repeats_an_identifier_is_emptied_and_counted() -> None:
    made, cleaner = person(), Deidentifier(NAMES, Choices())
    cleaner.clean(made)
    assert not made.ManufacturerModelName
    assert cleaner.found_in_text["ManufacturerModelName"] == 1


def test_a_sequence_that_needs_a_dummy_names_nobody() -> None:
    item = cleaned().VerifyingObserverSequence
    assert len(item) == 1
    assert "wilson" not in words(item[0])


def test_the_table_names_attributes_that_exist_once() -> None:
    lists = [table.REMOVE, table.EMPTY, table.DUMMY, table.REMAP]
    every = [word for words in lists for word in words.split()]
    assert len(every) == len(set(every)) == len(TABLE)
    assert not set(every) - set(keyword_dict)
    assert len(every) > 550


@pytest.fixture
def real(shared: Path) -> Callable[[str], list[Path]]:
    """The function that lists real files of a kind."""
    return lambda kind: sorted((shared / "dicom" / kind).glob("*.dcm"))


@pytest.mark.parametrize(
    ("kind", "copies"),
    [
        ("deidentified", 6),
        ("private_tags", 2),
        ("enhanced", 3),
        ("multiframe", 4),
        ("seg_dcmqi", 15),
    ],
)
def test_real_files(
    kind: str, copies: int, real: Callable[[str], list[Path]], tmp_path: Path
) -> None:
    cleaner = Deidentifier(NAMES, Choices("shift"))
    writer = Writer(tmp_path, NAMES, cleaner, allow_possible=True)
    reasons = []
    for path in real(kind):
        try:
            with path.open("rb") as stream:
                writer.copy(stream)
        except Unusable as reason:
            reasons.append(str(reason))
    assert writer.written == copies, reasons
    assert set(reasons) <= {"no patient id", "duplicate"}
    originals = {NAMES.uid(str(x.SOPInstanceUID)): x for x in map(dcmread, real(kind))}
    for path in tmp_path.rglob("*.dcm"):
        copy = dcmread(path)
        original = originals[str(copy.SOPInstanceUID)]
        assert not [x for x in copy.iterall() if x.tag.is_private]
        assert copy.get("PixelData") == original.get("PixelData")
        assert (copy.Rows, copy.Modality) == (original.Rows, original.Modality)
        content = path.read_bytes().split(b"\xe0\x7f\x10\x00")[0]
        for word in ("PatientID", "AccessionNumber", "StudyInstanceUID", "StudyDate"):
            value = str(original.get(word) or "").strip()
            if len(value) > 5:
                assert value.encode() not in content, word
        assert copy.file_meta.MediaStorageSOPInstanceUID == copy.SOPInstanceUID


def test_the_preamble_and_the_senders_title_go(
    write_ct: Callable[..., Dataset], tmp_path: Path
) -> None:
    import numpy as np

    made = write_ct(tmp_path / "one.dcm", np.zeros((4, 4), np.int16), "PID-1")
    made.preamble = b"PID-1 was here".ljust(128)  # type: ignore[attr-defined]
    made.file_meta.SourceApplicationEntityTitle = "WARD7"
    original = io.BytesIO()
    made.save_as(original)
    writer = Writer(tmp_path / "out", NAMES, Deidentifier(NAMES, Choices()), allow_possible=False)
    writer.copy(io.BytesIO(original.getvalue()))
    content = next((tmp_path / "out").rglob("*.dcm")).read_bytes()
    assert b"WARD7" not in content
    assert b"PID-1" not in content
    assert writer.patients == {"PID-1": NAMES.patient("PID-1")}


def test_malformed_files_are_left_out_by_reason(
    real: Callable[[str], list[Path]], tmp_path: Path
) -> None:
    writer = Writer(tmp_path, NAMES, Deidentifier(NAMES, Choices("shift")), allow_possible=True)
    reasons = []
    for path in real("malformed"):
        try:
            with path.open("rb") as stream:
                writer.copy(stream)
        except Unusable as reason:
            reasons.append(str(reason))
    assert len(reasons) + writer.written == 13
    assert set(reasons) <= {
        *("no patient id", "no instance UID", "not DICOM", "damaged header", "duplicate"),
        "a document, whose text names people",
    }
