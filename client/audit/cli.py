"""`consilium audit`: the privacy officer's commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Verify what was spent, and that the record holds.")


@app.callback()
def audit() -> None:
    """Verify what was spent, and that the record holds."""


@app.command()
def ledger(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", help="Ledger files, or folders to search for them."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="For programs, to stdout.")] = False,
    delta: Annotated[
        float | None,
        typer.Option(help="δ of the figures; otherwise the studies' and the policy's."),
    ] = None,
) -> None:
    """Verify the hash chain of ledgers and account anew what they hold, by PLD, PRV and RDP.

    A PATH is a ledger file, or a folder that is searched for *.ledger. Adjacency: adding or removing
    one patient.

    Exit code: 0 sound, 2 nothing found, 3 over budget, 4 tampered.
    """
    from client.audit.ledger_report import audit as audit_ledgers

    report = audit_ledgers(paths, delta)
    if as_json:
        from client.audit.ledger_json import to_json

        typer.echo(json.dumps(to_json(report), indent=2, ensure_ascii=False))
    else:
        from rich.console import Console

        from client.audit.ledger_view import show

        show(report, Console())
    raise typer.Exit(report.exit_code)
