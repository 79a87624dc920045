"""`consilium card`: a run's model card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def card(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run, made here or fetched.")],
    intended_use: Annotated[
        str, typer.Option(help="For whom and what it is meant; else the study's description.")
    ] = "",
    not_for: Annotated[str, typer.Option(help="What it must not be used for.")] = "",
    contact: Annotated[str, typer.Option(help="Whom to ask.")] = "",
) -> None:
    """Write a model card: intended use, data, privacy, performance by group, limits."""
    from server.card.page import write_card
    from server.card.parts import Words

    for path in write_card(run, Words(intended_use, not_for, contact)):
        typer.echo(str(path))
