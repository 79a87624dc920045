"""`consilium audit egress`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from client.audit.options import AsJson, Html


def egress(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH", help="Folder of a site or of a simulated run, or an egress log."
        ),
    ],
    as_json: AsJson = False,
    html: Html = None,
) -> None:
    """Verify the log of everything that left a site, and compare it with the site's ledger.

    Every reply that left must be charged in the ledger, and every charge that was settled as
    sent must be in the log.

    Exit code: 0 sound, 2 no log found, 4 tampered, or log and ledger contradict each other.
    """
    from client.audit.egress_document import document
    from client.audit.egress_report import audit
    from client.audit.render import emit

    made = document(audit(path))
    emit(made, as_json=as_json, html=html)
    raise typer.Exit(made.exit_code)
