"""What `consilium site init` must know, from flags or from questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Answers:
    """What a new site is made from; None: not said yet.

    Attributes:
        name: of the site.
        server: host:port of the coordinator; empty: none yet.
        certificates: PEM file of the coordinator's authority; none: the system's authorities.
        data_kind: dicom, table, series, records, signals, arrays, …
        data_path: the file or folder with the data; of records the readings; of fused data nothing.
        data_name: what studies call the data set.
        labels: the table of labels, of images and signals.
        declared_patients: the public, rounded number of patients.
        max_epsilon: limit over everything that the site's patients ever join.
        runtime: host:port between the two halves of the service.
        patient: the column that names the patient, "<file>" or "<folder>" where files or folders do; none: every row
            of a table is a patient.
        outcomes: of records, the table with one row a record.
        record: of records, the key column of both tables.
        time: of series and records, the column with the time of a reading.
        value: of series, the column with the reading.
        time_unit: unit of times that are plain numbers; none: they are dates.
        episode: of episodes, the column that keeps apart several of one patient; empty: each has one.
        order: of episodes, the column that orders the decisions.
        parts: of fused data, what is said of each part.
    """

    name: str | None = None
    server: str | None = None
    certificates: Path | None = None
    data_kind: str | None = None
    data_path: Path | None = None
    data_name: str = "default"
    labels: Path | None = None
    declared_patients: int | None = None
    max_epsilon: float | None = None
    runtime: str = "127.0.0.1:9095"
    patient: str | None = None
    outcomes: Path | None = None
    record: str | None = None
    time: str | None = None
    value: str | None = None
    time_unit: str | None = None
    episode: str | None = None
    order: str | None = None
    parts: Mapping[str, Answers] = field(default_factory=dict)


def typed(key: str, answer: Any) -> Any:
    """Turn text into a path where one is meant; empty text means none."""
    annotation = next(str(each.type) for each in fields(Answers) if each.name == key)
    if "Path" not in annotation:
        return answer
    return Path(answer).expanduser() if answer else None
