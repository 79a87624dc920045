"""`consilium hospitals`: hospitals to try things on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Generate hospitals to try studies on.")


@app.callback()
def hospitals() -> None:
    """Generate hospitals to try studies on."""


@app.command()
def create(
    directory: Annotated[Path, typer.Argument(help="A new or empty folder.", metavar="DIR")],
    sites: Annotated[int, typer.Option(min=1, help="How many hospitals.")] = 4,
    patients: Annotated[int, typer.Option(min=1, help="Patients of each hospital.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")] = 7,
    archives: Annotated[
        str, typer.Option(help="Names with commas between; default: all.", metavar="NAMES")
    ] = "",
) -> None:
    """Write hospitals with DICOM archives, tables and series that belong to no person."""
    from rich.console import Console

    from simulations.hospitals import create as write

    console = Console()
    names = [name.strip() for name in archives.split(",") if name.strip()] or None
    with console.status(f"Writing {sites} hospitals of {patients} patients …"):
        folders = write(directory, sites=sites, patients=patients, seed=seed, archives=names)
    console.print(f"{len(folders)} hospitals in {directory}", highlight=False)
    for folder in folders:
        console.print(f"  {folder / 'site.toml'}", highlight=False, soft_wrap=True)
