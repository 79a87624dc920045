"""`consilium export`: a run's final network for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run, made here or fetched.")],
    form: Annotated[
        Literal["onnx", "torch"],
        typer.Option("--format", help="onnx, or torch: a file of torch.export."),
    ] = "onnx",
    out: Annotated[
        Path | None, typer.Option(help="Folder of the files; otherwise RUN/export.")
    ] = None,
) -> None:
    """Write a run's final network as ONNX or torch.export, and check that it says the same as the network."""
    from common.export.job import export as write
    from common.trained import load_trained

    made = write(load_trained(run), form, out or run / "export")
    typer.echo(f"{made.model}: same outputs as the network to {made.difference:.1e}")
    typer.echo(f"{made.about}: what goes in and what comes out")
