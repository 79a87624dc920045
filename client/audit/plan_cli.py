"""`consilium audit plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from client.audit.options import AsJson, Html


def plan(
    study: Annotated[
        str, typer.Argument(help="The path of a study file, or a bundled study's name.")
    ],
    site: Annotated[
        Path | None, typer.Option(help="The hospital's site.toml: its patients and its policy.")
    ] = None,
    patients: Annotated[
        int | None, typer.Option(min=1, help="Declared patients, instead of --site.")
    ] = None,
    ledger: Annotated[
        list[Path] | None,
        typer.Option(help="What was spent; the site's first, then those of other hospitals."),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override a key.")
    ] = None,
    as_json: AsJson = False,
    html: Html = None,
) -> None:
    """Say what a study would cost a site's patients, on top of what they have spent, before it is approved.

    Exit code: 0 sound, 2 the study or the site cannot be used, 3 over budget, 4 a ledger was tampered with.
    """
    from client.audit.plan import cost_of, read_ledger, worst_case
    from client.audit.plan_document import document
    from client.audit.render import emit
    from client.site import load_site
    from common.errors import StudyError
    from common.studies import study_path
    from common.study_file import load_study

    if (site is None) == (patients is None):
        raise StudyError(
            "Say whose patients the study would be about.",
            where="--site, --patients",
            fix="Give the hospital's site.toml with --site, or a number of patients with --patients.",
        )
    loaded = load_study(study_path(study), overrides or [])
    hospital = None if site is None else load_site(site)
    known = None if hospital is None else hospital.dataset(loaded.data).declared_patients
    books = [read_ledger(path) for path in ledger or []]
    cost = cost_of(loaded, patients or known or 1, site=hospital, book=books[0] if books else None)
    found = document(cost, [worst_case(book.charges(), cost.delta) for book in books[1:]])
    emit(found, as_json=as_json, html=html)
    raise typer.Exit(found.exit_code)
