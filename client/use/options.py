"""Options that commands have in common which use a run's final model on new cases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Run = Annotated[Path, typer.Argument(help="Folder of a finished run, made here or fetched.")]
Folder = Annotated[
    Path | None,
    typer.Option(help="The site's folder: its columns, units and pseudonyms hold for new data."),
]
OwnNames = Annotated[
    bool, typer.Option("--own-names", help="Write the house's names of cases, not pseudonyms.")
]
Parts = Annotated[
    list[str] | None,
    typer.Option(
        "--part",
        metavar="NAME=PATH",
        help="Of data of several kinds: a part's file or folder, NAME.KEY=PATH for one beside it. Repeatable.",
    ),
]
Points = Annotated[
    Path | None,
    typer.Option(help="Of images cut round a point: table with patient_id, x_mm, y_mm, z_mm."),
]
Masks = Annotated[
    Path | None, typer.Option(help="Of images cut round a structure: its segmentations.")
]
Records = Annotated[Path | None, typer.Option(help="Of records: the table with one row a record.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
CASE_COLUMN = "Of tables: the column that names the rows, or whose they are."
