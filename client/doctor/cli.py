"""`consilium site doctor`: what is wrong with a site, and how to mend it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from client.doctor.data.look import StudyLook
    from client.doctor.findings import Finding

_COLOURS = {"green": "green", "amber": "yellow", "red": "red"}


def doctor(
    site: Annotated[Path, typer.Argument(help="The site's folder.")],
    study: Annotated[
        str | None,
        typer.Option(
            help="A study file (or name): read the data as this study would, and check them."
        ),
    ] = None,
    only: Annotated[
        str | None, typer.Option(help="supernode or agent: this machine runs one half of the site.")
    ] = None,
    data_only: Annotated[
        bool, typer.Option("--data-only", help="Check the data alone, also before 'site init'.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            help="Where to write the page; with --study it is .consilium/doctor.html else."
        ),
    ] = None,
) -> None:
    """Check a site and its data before it starts, or while it runs: every red line says how to mend it.

    With --study the data are read as the study would read them, and a page with thumbnails and histograms is written
    that must stay in the hospital. Exit code: 0 when nothing is red, otherwise that of the first red line.
    """
    import json
    from dataclasses import asdict

    from client.doctor.examine import CHECKS, DATA, examine, exit_code
    from client.service.start import half_named

    look = None if study is None else _look(study)
    checks = {name: check for name, check in CHECKS.items() if name in DATA or not data_only}
    findings = []
    shown = ""
    for heading, finding in examine(site, checks, half=half_named(only), look=look):
        findings.append((heading, finding))
        if not as_json:
            _show(heading if heading != shown else "", finding)
        shown = heading
    page, problem = _written(site, findings, look, html)
    if problem is not None:
        findings.append(("page", problem))
        if not as_json:
            _show("page", problem)
    if as_json:
        lines = [{"check": heading, **asdict(finding)} for heading, finding in findings]
        typer.echo(json.dumps(lines, indent=1, ensure_ascii=False))
    elif page is not None:
        typer.echo(f"\nPage with pictures: {page} (it must not leave the hospital)")
    raise typer.Exit(exit_code(finding for _, finding in findings))


def _look(named: str) -> StudyLook:
    from client.doctor.data.look import StudyLook
    from common.studies import study_path
    from common.study_file import load_study

    return StudyLook(load_study(study_path(named)))


def _show(heading: str, finding: Finding) -> None:
    typer.secho(f"{heading:<11}", bold=True, nl=False)
    typer.secho(f"{finding.level:<6}", fg=_COLOURS[finding.level], nl=False)
    typer.echo(finding.text)
    if finding.fix:
        typer.echo(f"{'':<17}fix: {finding.fix}")


def _written(
    site: Path, findings: list[tuple[str, Finding]], look: StudyLook | None, html: Path | None
) -> tuple[Path | None, Finding | None]:
    """Write the page where it was asked for, or, for a study, into the site's private folder; say why if not."""
    from client.doctor.data.page import FILE_NAME, write_page
    from client.doctor.findings import amber
    from client.doctor.site_file import private_folder
    from client.site import load_site
    from common.errors import ConsiliumError

    if look is None and html is None:
        return None, None
    try:
        known = load_site(site)
    except ConsiliumError:
        why = "No page was written, since site.toml cannot be used."
        return None, amber(why, "Mend site.toml first.")
    try:
        path = html or private_folder(known) / FILE_NAME
        write_page(path, known, findings, look)
    except ConsiliumError as error:
        why = f"The page with pictures was not written. {error.what} [{error.where}]"
        return None, amber(
            why, "Let this user write there, or choose another place with --html FILE."
        )
    return path, None
