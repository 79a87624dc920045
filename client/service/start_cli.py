"""`consilium site start`: runs a site."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer


def start(
    folder: Annotated[Path, typer.Argument(help="The site's folder.")],
    only: Annotated[
        str | None,
        typer.Option(help="supernode or agent: one half, where two machines share the work."),
    ] = None,
    print_unit: Annotated[
        bool, typer.Option("--print-unit", help="Print a systemd unit instead of starting.")
    ] = False,
    testing_seed: Annotated[
        int | None, typer.Option(hidden=True, help="Repeatable randomness; protects nobody.")
    ] = None,
) -> None:
    """Run a site in the foreground until Ctrl-C or SIGTERM; what is in hand is settled before it ends."""
    from client.service.start import half_named, start_site
    from client.service.unit import unit_text
    from client.site import load_site

    half = half_named(only)
    if print_unit:
        typer.echo(unit_text(load_site(folder), half), nl=False)
        return
    if testing_seed is not None:
        typer.secho(
            "TESTING: all randomness is fixed. Nothing that leaves this site is protected.",
            fg="red",
            err=True,
        )
    start_site(folder, _say, only=half, testing_seed=testing_seed)


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)
