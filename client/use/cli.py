"""`consilium predict`: what a run's final model says of new cases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from client.use import options

if TYPE_CHECKING:
    from client.use.predict import Order


def predict(
    run: options.Run,
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[INPUT...]",
            help="New data of the study's kind: DICOM folder or .zip, table, readings, recordings, .npz.",
        ),
    ] = None,
    part: options.Parts = None,
    out: Annotated[Path, typer.Option(help="Folder of the results; new, or empty.")] = Path(
        "predictions"
    ),
    site: options.Folder = None,
    own_names: options.OwnNames = False,
    case: Annotated[str | None, typer.Option(help=options.CASE_COLUMN)] = None,
    points: options.Points = None,
    masks: options.Masks = None,
    records: options.Records = None,
    dicom: Annotated[
        bool, typer.Option("--dicom/--no-dicom", help="Write DICOM SR or SEG, and NIfTI, too.")
    ] = True,
    device: options.Device = "auto",
) -> None:
    """Predict new cases with a run's final model: a table, and for images DICOM objects.

    Nothing is sent anywhere, and no budget is spent: what is written stays in the house.
    """
    from client.site import load_site
    from client.training.workspace import choose_device
    from client.use.datasets import Beside
    from client.use.predict import Order
    from common.trained import load_trained

    order = Order(
        trained=load_trained(run),
        out=out,
        device=choose_device(device),
        site=None if site is None else load_site(site),
        own_names=own_names,
        dicom=dicom,
        beside=Beside(points, masks, records, case, tuple(part or ())),
    )
    _predict_each(order, inputs or [None])


def _predict_each(order: Order, paths: Sequence[Path | None]) -> None:
    """Predict input after input, each into a folder of its own, and say what came of it."""
    from dataclasses import replace

    from client.use.predict import TABLE
    from client.use.predict import predict as run_prediction

    for number, path in enumerate(paths, start=1):
        folder = order.out / f"input-{number}" if len(paths) > 1 else order.out
        outcome = run_prediction(replace(order, out=folder), path)
        for note in outcome.notes:
            typer.echo(f"note: {note}")
        if outcome.left_out.total:
            typer.echo(f"left out: {outcome.left_out.summary()}")
        typer.echo(f"{outcome.cases} predictions: {folder / TABLE}")
