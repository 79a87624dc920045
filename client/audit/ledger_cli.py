"""`consilium audit ledger`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from client.audit.options import AsJson, Html


def ledger(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", help="Ledger files, or folders to search for them."),
    ],
    as_json: AsJson = False,
    html: Html = None,
    delta: Annotated[
        float | None,
        typer.Option(help="δ of the figures; otherwise the studies' and the policy's."),
    ] = None,
    adjacency: Annotated[
        Literal["add-remove", "replace-one"],
        typer.Option(help="replace-one adds the figures for replacing one patient."),
    ] = "add-remove",
) -> None:
    """Verify the hash chain of ledgers and account anew what they hold, by PLD, PRV and RDP.

    A PATH is a ledger file, or a folder that is searched for *.ledger. Figures are for adding
    or removing one patient.

    Exit code: 0 sound, 2 nothing found, 3 over budget, 4 tampered.
    """
    from client.audit.ledger_document import document
    from client.audit.ledger_report import audit
    from client.audit.render import emit

    made = document(
        audit(paths, delta, replace_one=adjacency == "replace-one"),
        plots=html is not None or not as_json,
    )
    emit(made, as_json=as_json, html=html)
    raise typer.Exit(made.exit_code)
