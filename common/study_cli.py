"""`consilium study`: check a study before anything runs, or begin a new one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

KINDS = sorted(path.stem for path in (Path(__file__).parent / "study_templates").glob("*.toml"))

app = typer.Typer(no_args_is_help=True, help="Check a study file, or write a new one.")


@app.command()
def check(
    file: Annotated[str, typer.Argument(help="The study file, or a bundled study's name.")],
    patients: Annotated[
        list[int] | None,
        typer.Option(
            "--patients",
            min=1,
            help="Declared patients of a site; repeat for several; otherwise 100, 400 and 1000.",
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override a key.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Say what would be exchanged, and steps, σ and ε per site, before anything runs."""
    from common.studies import study_path
    from common.study_check import check_study, render
    from common.study_file import load_study

    study = load_study(study_path(file), overrides or [])
    found = check_study(study, patients or [100, 400, 1000])
    typer.echo(json.dumps(found, indent=1) if as_json else render(found))


@app.command()
def new(
    file: Annotated[Path, typer.Argument(help="Where to write it.")],
    kind: Annotated[
        str,
        typer.Option(help=f"Kind of data: {', '.join(KINDS)}."),
    ] = "dicom",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a commented study file to start from."""
    from common.errors import StudyError
    from common.files import write_atomically
    from common.study_template import template

    if file.exists() and not force:
        raise StudyError(
            "The file exists already.", where=str(file), fix="Choose another name, or add --force."
        )
    write_atomically(file, template(kind, file.stem), mode=0o644)
    typer.echo(f"{file}: change it, then run: consilium study check {file}")
