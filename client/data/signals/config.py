"""How a site describes recordings of waveforms in site.toml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from client.data.config_base import Dataset, LocalPath, TextFormat


class SignalDataset(Dataset, TextFormat):
    """A folder (or .zip) of recordings and a table of labels.

    Recordings are WFDB (`.hea` with its `.dat`), EDF and BDF (`.edf`, `.bdf`, `.rec`), or text with one column a
    channel. The labels have the columns `record` (the recording's path in the data set without its ending, or its
    last part), `label`, `patient_id`, and, where a label holds for a part of a recording, `start_seconds` and
    `end_seconds`; `split` where the split is fixed. Without `record` a label holds for all recordings of a patient.

    Attributes:
        labels: the table.
        annotations: ending of the WFDB annotation files beside the recordings (such as "atr"), where they hold the
            labels; the table then needs no `label`.
        annotated: what they label: the stretches of a "rhythm", or "beats", each with one window round it.
            `replace.label` maps rhythms (AFIB, N, …) or symbols of beats (N, V, …) to classes; others are left out.
        patient: whom a recording belongs to: "<labels>" (their column `patient_id`), "<file>" (the file name's
            stem) or "<folder>" (the folder that it lies in).
        files: which files of the folder, a glob pattern on the path.
        rate_hz: samples a second of text files without a column of times.
        time: column with the time of a sample, in text files; none: the rows follow each other at `rate_hz`.
        time_unit: its unit.
    """

    kind: Literal["signals"]
    labels: LocalPath
    patient: Literal["<labels>", "<file>", "<folder>"] = "<labels>"
    annotations: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,32}$")
    annotated: Literal["rhythm", "beats"] = "rhythm"
    files: str | None = None
    rate_hz: float | None = Field(default=None, gt=0.0)
    time: str | None = None
    time_unit: Literal["milliseconds", "seconds", "minutes"] = "seconds"
