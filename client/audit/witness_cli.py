"""`consilium audit witness`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from client.audit.options import AsJson, Html


def witness(
    ledgers: Annotated[
        list[Path],
        typer.Argument(metavar="LEDGER...", help="Ledger files, or folders to search for them."),
    ],
    run: Annotated[Path, typer.Option(help="The coordinator's run folder.")],
    as_json: AsJson = False,
    html: Html = None,
) -> None:
    """Compare ledgers with what the coordinator saw of them: a copy from a backup lacks what came later.

    Every reply of a site brings the hash of its ledger's newest entry, and the coordinator keeps it.

    Exit code: 0 sound, 2 nothing to compare, 4 tampered, 7 no such run.
    """
    from client.audit.render import emit
    from client.audit.witness import audit

    document = audit(ledgers, run)
    emit(document, as_json=as_json, html=html)
    raise typer.Exit(document.exit_code)
