"""`consilium audit export`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def export(
    ledger: Annotated[Path, typer.Argument(metavar="LEDGER", help="A ledger file.")],
    output: Annotated[Path | None, typer.Option(help="Write here; otherwise to stdout.")] = None,
) -> None:
    """Write a ledger's entries as lines of JSON, which docs/verify_ledger.py checks without Consilium.

    Exit code: 0 written, 4 the ledger does not hold; nothing is written then.
    """
    from client.audit.export import lines, to_file

    if output is not None:
        to_file(ledger, output)
    else:
        sys.stdout.writelines(lines(ledger))
