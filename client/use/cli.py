"""`consilium predict`: what a run's final model says of new cases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def predict(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run, made here or fetched.")],
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help="New data of the study's kind: DICOM folder or .zip, table, readings, recordings, .npz.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the results; new, or empty.")] = Path(
        "predictions"
    ),
    site: Annotated[
        Path | None,
        typer.Option(
            help="The site's folder: its columns, units and pseudonyms hold for new data."
        ),
    ] = None,
    own_names: Annotated[
        bool,
        typer.Option("--own-names", help="Write the house's names of cases, not pseudonyms."),
    ] = False,
    case: Annotated[
        str | None, typer.Option(help="Of tables: the column that names the rows.")
    ] = None,
    points: Annotated[
        Path | None,
        typer.Option(help="Of images cut round a point: table with patient_id, x_mm, y_mm, z_mm."),
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Of images cut round a structure: its segmentations.")
    ] = None,
    records: Annotated[
        Path | None, typer.Option(help="Of records: the table with one row a record.")
    ] = None,
    dicom: Annotated[
        bool, typer.Option("--dicom/--no-dicom", help="Write DICOM SR or SEG, and NIfTI, too.")
    ] = True,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
) -> None:
    """Predict new cases with a run's final model: a table, and for images DICOM objects.

    Nothing is sent anywhere, and no budget is spent: what is written stays in the house.
    """
    from dataclasses import replace

    from client.site import load_site
    from client.training.workspace import choose_device
    from client.use.datasets import Beside
    from client.use.predict import TABLE, Order
    from client.use.predict import predict as run_prediction
    from common.trained import load_trained

    order = Order(
        trained=load_trained(run),
        out=out,
        device=choose_device(device),
        site=None if site is None else load_site(site),
        own_names=own_names,
        dicom=dicom,
        beside=Beside(points, masks, records, case),
    )
    for number, path in enumerate(inputs, start=1):
        folder = out / f"input-{number}" if len(inputs) > 1 else out
        outcome = run_prediction(replace(order, out=folder), path)
        for note in outcome.notes:
            typer.echo(f"note: {note}")
        if outcome.left_out.total:
            typer.echo(f"left out: {outcome.left_out.summary()}")
        typer.echo(f"{outcome.cases} predictions: {folder / TABLE}")
