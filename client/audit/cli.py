"""`consilium audit`: the privacy officer's commands, found through the entry points `consilium.audits`."""

from __future__ import annotations

import typer

from common.commands import group_of

_HELP = "Verify what was spent, what it would cost, and that nothing leaks."

app = typer.Typer(cls=group_of("audits"), no_args_is_help=True, add_completion=False, help=_HELP)


@app.callback(help=_HELP)
def audit() -> None:
    """Verify what was spent, what it would cost, and that nothing leaks."""
