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

    Exit code: 0 nothing found, or nothing to look for since the data name nobody; 2 the site or a path is missing;
    5 no identifier could be read from the data; 10 an identifier was found.
    """
    from client.audit.identifiers_document import document
    from client.audit.identifiers_report import look
    from client.audit.render import emit
    from common.errors import DataError

    looked = look(site, paths or [])
    if looked.unread and not looked.scan.identifiers:
        raise DataError(
            "No identifier could be read from the site's data, so there was nothing to look for.",
            where=looked.unread[0],
            fix="Mend what 'consilium site doctor' says about the data, then look again.",
        )
    made = document(looked)
    emit(made, as_json=as_json, html=html)
    raise typer.Exit(made.exit_code)
