"""`consilium site`: the commands of a hospital."""

from __future__ import annotations

import typer

from common.commands import group_of

app = typer.Typer(
    cls=group_of("site_commands"),
    no_args_is_help=True,
    help="A hospital's part: join, check, approve, start, see, stop.",
)


@app.callback()
def site() -> None:
    """Only groups the commands."""
