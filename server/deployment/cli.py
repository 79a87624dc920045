"""`consilium server`: the commands of a coordinator."""

from __future__ import annotations

import typer

from common.commands import group_of

app = typer.Typer(
    cls=group_of("server_commands"),
    no_args_is_help=True,
    help="The coordinator's part: start the server, enrol hospitals, submit studies, fetch models.",
)


@app.callback()
def server() -> None:
    """Only groups the commands."""
