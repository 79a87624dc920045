"""`consilium report`: write a run's report again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(run: Annotated[Path, typer.Argument(help="A run's folder.")]) -> None:
    """Write report.html from a finished run's folder."""
    from server.report import build

    typer.echo(str(build(run)))
