"""What can be done about each reason for which a file, a row or a recording is left out."""

from __future__ import annotations

_COPY = "An interrupted copy. Copy or export the file again."
_EXPORT = "Export the file again from the archive."
_NOTHING = "Nothing needs to be done."
_ANOTHER = f"The study cannot use this sort of file. {_NOTHING}"
_HARM = "The file unpacks to an impossible size: it is damaged, or made to do harm."
_MASK = "Draw or export the mask again, on the images that it belongs to."
_RECORD = "Export the recording again from the device or its software."
_CLOCK = "Set time_unit for plain numbers, or time_format for dates, and look for codes that mean missing (1900-01-01)."
_UNIT = "Compare the unit with the study's, and look for codes that mean missing (-1, 999)."

_IMAGES = {
    "duplicate": "The same image lies here twice. Nothing needs to be done: one of them is used.",
    "wrong modality": f"The study asks for images of another kind. {_NOTHING}",
    "localizer image": f"A scout view, not part of the series. {_NOTHING}",
    "patient without a label": "Add the patient to the table of labels if the study should use the images.",
    "patient without": "Add the mask to the folder of masks, and map its name with structures, if the study should use "
    "the images.",
    "series without a mask": "Add a mask of this series if the study should use it.",
    "label row": "Fill in the row of the table of labels, or remove it.",
    "label row with a diameter": "Give the diameter in mm. Where nothing was found, leave the row's numbers empty.",
    "patient with images in several": "Keep the images on which the points were marked, or study masks, which say it.",
    "point outside the images": "Compare the point with the images: it must be in mm, in the patient's coordinates.",
    "not DICOM": f"Another kind of file lies among the images. {_NOTHING} PNG, JPEG and NIfTI images are not read as "
    "they are: docs/site-file.md says how they become an .npz file.",
    "not axial": f"The study uses images of another plane. {_NOTHING}",
    "not coronal": f"The study uses images of another plane. {_NOTHING}",
    "not sagittal": f"The study uses images of another plane. {_NOTHING}",
    "colour image": 'The study takes grey images only. Ask for colour "grey" or "rgb" if they should be used.',
    "image without a label": "Write the image's class into the array of labels if the study should use it.",
    "not NIfTI": f"Another kind of file lies among the masks. {_NOTHING}",
    "no segmentation": f"Another kind of file lies among the masks. {_NOTHING}",
    "no pixel data": "A report, a plan or a damaged export. Export the series again if it should be an image.",
    "binary mask": f"A mask lies among the images. {_NOTHING}",
    "no patient id": "The header names no patient (PatientID). Correct it in the archive, then export the file again.",
    "no modality": f"The header does not say what kind of image it is. {_EXPORT}",
    "no image size": f"The header does not say how large the image is. {_EXPORT}",
    "no instance UID": f"The header does not name the image. {_EXPORT}",
    "no display window": 'The study shows images as their files say; this one is silent. Ask for intensity "window".',
    "impossible": f"The header holds numbers that cannot be. {_EXPORT}",
    "unsupported": f"An unusual sort of image. {_NOTHING} Export it uncompressed if it should be used.",
    "geometry missing": "The image does not say where it lies in the body, which this study needs.",
    "second image at the same place": f"Two images of a series lie at one place: one of them is used. {_NOTHING}",
    "slices are missing": "Export the whole series again, or ask the study for a larger max_gap_mm.",
    "values that are no numbers": f"Pixels are infinite or undefined. {_EXPORT}",
    "compressed size differs": f"Pixels and header do not belong together. {_EXPORT}",
    "decoded size differs": f"Pixels and header do not belong together. {_EXPORT}",
    "cannot be decoded": "No decoder for this compression is installed (`consilium site doctor` names the one "
    "to add), or the file is damaged.",
    "needs DCMTK": "Install DCMTK's tools (apt install dcmtk), or export the files without compression.",
    "mask": _MASK,
    "contours": _MASK,
    "damaged mask": _MASK,
    "damaged NIfTI file": _MASK,
    "a NIfTI": f"It is no mask as this study can use it. {_MASK}",
    "text": "A name may stand in the picture. Look at it before it is used elsewhere.",
    "a document": "A scanned page or a report, whose text names people. Leave it where it is.",
}
_FILES = {
    "empty file": _COPY,
    "truncated": _COPY,
    "damaged": _EXPORT,
    "archive cannot be read": "The .zip is damaged or incomplete. Copy it again.",
    "encrypted in the archive": "Unpack the archive with its password beside it.",
    "twice in the archive": f"Two files of the .zip have one name: the first is used. {_NOTHING}",
    "too large": _HARM,
    "needs too much memory": _HARM,
    "cannot be read": "The disk or the network share failed, or a permission is missing. It is tried again next time.",
    "takes too long to read": "The file keeps its decoder busy without end: it is damaged. Export it again.",
    "crashed the program": "The file makes a decoder fail: it is damaged. Export it again.",
    "not a regular file": f"A pipe, a socket or a device lies in the folder. {_NOTHING}",
    "broken link": "A link in the folder leads nowhere. Remove or mend it.",
    "folder cannot be read": "Give the account that runs Consilium the right to read the folder.",
    "identifier that would match others": "The identifier holds a wildcard (* or ?). Correct the list of patients.",
}
_ROWS = {
    "no patient id": "Fill the column in: a row that belongs to nobody cannot be protected, so it is not used.",
    "no record key": "Fill the key column in: without it the readings of the row are not found.",
    "repeated record key": "Two rows have one key: the first is used. Remove the other, or set filter.",
    "no follow-up time": "Without the time of the event or of the last sight a row cannot be used. "
    "See whether it is missing in your system, too.",
    "follow-up time before 0": "The event or the last sight lies before time zero: compare the dates that the time was "
    "counted from.",
    "no target value": "A row without an outcome cannot be used. See whether it is missing in your system, too.",
    "no place in the order": "The column that order names holds numbers, such as hours since admission, and no dates.",
    "no action of the study": "Map the words with replace; an episode with another action cannot be used.",
    "no reward": "Every decision needs its reward, a number. See whether it is missing in your system, too.",
    "no probability": "A logged probability lies above 0 and is 1 at most. If it is 0 or empty, it was not logged.",
    "no time": _CLOCK,
    "no complete window": "Too few readings, or gaps between them. If it is most of them, "
    "compare max_gap_minutes and history_minutes with how often you measure.",
    "no ": "The study requires this column. Fill it in, or ask whether the study may use its `fill`.",
    "outcome known before": "The outcome came before the study's window ended, so it would not be a prediction. "
    f"{_NOTHING}",
    "too few readings": "Nothing needs to be done, unless it is most of them: then see that readings and outcomes have "
    "the same keys, and times the same zero.",
    "reading without patient id": "Fill the column in: a reading that belongs to nobody cannot be protected.",
    "reading without a usable time": _CLOCK,
    "reading without a value": f"An empty field. {_NOTHING}",
    "impossible value": _UNIT,
    "impossible change": "A jump that no body makes: an artefact, or two patients in one recording. See whose it is.",
}
_MOLECULES = {
    "no SMILES": "Fill the column in. The structure is needed as SMILES; a name or a number of a register is none.",
    "SMILES": "Write the structure anew with a chemistry program, and export it as SMILES.",
    "SMILES of more than": f"It is longer than any drug's. {_NOTHING}",
    "molecule with more atoms": f"The study looks at smaller molecules only. {_NOTHING}",
    "molecule with an unusual": f"A metal complex or the like, which the study's network does not know. {_NOTHING}",
    "salt or mixture": "Write the active part alone, without the ions that it is dispensed with.",
}
_RECORDINGS = {
    "it has no label": "Add the recording to the table of labels; its key there is its path without the ending.",
    "label row": _IMAGES["label row"],
    "its patient is in no split": "Give the patient a split in the labels, train or test.",
    "it has no complete window": "It is shorter than the study's window, or has gaps. Nothing needs to be done.",
    "it has no channel": "Map the channel's name with columns, if the recording has it under another.",
    "the unit of": "State the factor: scale = { CHANNEL = FACTOR }.",
    "its rate": _ANOTHER,
    "there is no column": "Name the column of times with time, or leave it out and state rate_hz.",
    "the times": "Set time_unit, and see that the times grow from row to row.",
    "a file that its header names is missing": "Copy the file that lies beside the header, too (.dat).",
    "the file cannot be read": _FILES["cannot be read"],
    "the file is shorter": _COPY,
    "a signal file is shorter": _COPY,
    "the file holds no samples": _COPY,
    "the samples do not have the checksum": f"The file was changed or damaged after it was written. {_COPY}",
    "the recording is too long": "Cut it into parts of some days.",
    "WFDB format": "Convert it to format 16 with the tools of its publisher.",
    "needs the package": "Install the package that is named, or convert the recording to format 16.",
    "the compressed file": _COPY,
    "the annotations": _COPY,
    "annotations belong to": "Give such recordings their labels in the table, as a data set of their own.",
    "one signal file": _RECORD,
    "a segment": _RECORD,
    "the segments": _RECORD,
    "the header": _RECORD,
    "a signal's range": _RECORD,
    "an interrupted recording": _RECORD,
    "the parts of the recording overlap": _RECORD,
    "two channels": _RECORD,
    "too large": _HARM,
}
_TABLES = "See that separator, encoding and header in site.toml fit the file, and that it is one of the data set's."
_OTHER = (
    "See the documentation of the data, or ask the coordinator with the reason (not with the file)."
)


def advice(reason: str, kind: str = "") -> str:
    """Return what can be done about a reason; it is found by how the reason starts, the longest match first.

    Args:
        reason: why something was left out.
        kind: of the data set; what belongs to nobody is a file among images ("dicom"), and a row elsewhere.
    """
    fault, _, detail = reason.partition(": ")
    if fault == "recording":
        return _nearest(detail, _RECORDINGS) or _RECORD
    if fault == "file":
        return _TABLES
    if fault.endswith(" images missing"):
        return "The archive sent fewer images than it has. Fetch again; what is here already is not fetched twice."
    known = _ROWS | _FILES | _IMAGES if kind == "dicom" else _IMAGES | _FILES | _ROWS | _MOLECULES
    return _nearest(reason, known) or _OTHER


def is_known(reason: str) -> bool:
    """Return whether there is advice of its own for a reason."""
    return advice(reason) != _OTHER


def _nearest(reason: str, table: dict[str, str]) -> str:
    starts = [start for start in table if reason.startswith(start)]
    return table[max(starts, key=len)] if starts else ""
