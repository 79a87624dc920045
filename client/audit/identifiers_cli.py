"""`consilium audit identifiers`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from client.audit.options import AsJson, Html


def identifiers(
    site: Annotated[Path, typer.Argument(metavar="SITE", help="The site's folder.")],
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]...",
            help="What to look through, such as a run's folder; none: what the site's service writes.",
        ),
    ] = None,
    as_json: AsJson = False,
    html: Html = None,
) -> None:
    """Look for identifiers of the site's patients in everything that could leave.

    The site's own data are read for numbers, names, dates of birth and UIDs; then logs, metrics, reports, checkpoints
    and the egress log are searched for them, also in other spellings and as unkeyed hashes. What is found is told by
    kind, file and place, never repeated.

    Exit code: 0 nothing found, 2 the site or a path is missing, 10 an identifier was found.
    """
    from client.audit.identifiers_document import document
    from client.audit.identifiers_report import look
    from client.audit.render import emit

    made = document(look(site, paths or []))
    emit(made, as_json=as_json, html=html)
    raise typer.Exit(made.exit_code)
