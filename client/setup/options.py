"""The flags of `consilium site init`, one for each question that it would ask."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from client.setup.questions import KINDS

Name = Annotated[str | None, typer.Option(help="Letters, digits and dashes.")]
Server = Annotated[str | None, typer.Option(help="host:port of the coordinator.")]
Certificates = Annotated[
    Path | None, typer.Option(help="The certificate file that the coordinator sent.")
]
DataKind = Annotated[str | None, typer.Option(help=f"{', '.join(KINDS[:-1])} or {KINDS[-1]}.")]
DataPath = Annotated[Path | None, typer.Option(help="The file or folder; of records the readings.")]
DataName = Annotated[str, typer.Option(help="What studies call the data set.")]
Parts = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=KIND:PATH",
        help="Of fused: a part; NAME.KEY=VALUE for each further key of it. Repeatable.",
    ),
]
Labels = Annotated[Path | None, typer.Option(help="Table of labels, for dicom and signals.")]
Patient = Annotated[
    str | None,
    typer.Option(
        help="Column that names the patient; without it every row of a table is a patient. "
        "<file>: every file is a patient (series, signals); <folder>: every folder (signals)."
    ),
]
Outcomes = Annotated[Path | None, typer.Option(help="Table with one row a record, for records.")]
Record = Annotated[
    str | None, typer.Option(help="Key column of readings and outcomes, for records.")
]
Time = Annotated[str | None, typer.Option(help="Column with the time, for series and records.")]
TimeUnit = Annotated[
    str | None,
    typer.Option(help="Unit of times that are plain numbers: seconds, minutes, hours …"),
]
Value = Annotated[str | None, typer.Option(help="Column with the reading, for series.")]
Episode = Annotated[
    str | None, typer.Option(help="Column that keeps apart a patient's episodes, for episodes.")
]
Order = Annotated[str | None, typer.Option(help="Column that orders the decisions, for episodes.")]
DeclaredPatients = Annotated[int | None, typer.Option(help="Public, rounded number of patients.")]
MaxEpsilon = Annotated[
    float | None, typer.Option(help="Privacy budget over all studies; 1 is cautious.")
]
Runtime = Annotated[str, typer.Option(help="host:port between SuperNode and agent.")]
Dmz = Annotated[
    Path | None,
    typer.Option(help="Also write the half that a DMZ machine runs; --runtime names that machine."),
]
