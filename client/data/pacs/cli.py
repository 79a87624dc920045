"""`consilium site fetch`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from client.data.pacs.fetch import Outcome


def fetch(
    site: Annotated[Path, typer.Argument(metavar="SITE", help="The site's folder.")],
    data: Annotated[str | None, typer.Option(help="The data set, as site.toml names it.")] = None,
    study: Annotated[
        Path | None, typer.Option(help="A study file: fetch what it asks for.", metavar="FILE")
    ] = None,
    count: Annotated[
        bool, typer.Option("--count", help="Ask what there is, and fetch nothing.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Counts for programs, to stdout.")
    ] = False,
) -> None:
    """Fetch images from the hospital's PACS into the site's private archive.

    Images that are there already are not fetched again: after an interruption, run it once more.

    Exit code: 0 all there, 2 settings or credentials refused, 5 images missing, 9 the PACS does not answer.
    """
    from client.data.pacs.run import Wish, fetch_into
    from client.site import load_site

    wish = Wish(data, _spec(study), count)
    shown = None if as_json or not sys.stderr.isatty() else _progress
    name, outcome = fetch_into(load_site(site), wish, shown or (lambda _: None))
    if shown:
        typer.echo("", err=True)
    _print(name, outcome, as_json=as_json, counted=count)


def _spec(study: Path | None) -> object:
    if study is None:
        return None
    from common.study_file import load_study

    return load_study(study).data


def _progress(outcome: Outcome) -> None:
    there = outcome.present + outcome.fetched
    line = f"\r{outcome.series} series, {there} of {outcome.listed} images"
    typer.echo(line, nl=False, err=True)


def _print(name: str, outcome: Outcome, *, as_json: bool, counted: bool) -> None:
    if as_json:
        import json
        from dataclasses import asdict

        typer.echo(json.dumps({"data": name, **asdict(outcome), "missing": outcome.missing}))
        return
    if outcome.patients:
        typer.echo(f"patients: {outcome.patients} asked for, {outcome.absent} without a match")
    typer.echo(f"the PACS lists: {outcome.series} series, {outcome.listed} images")
    if counted:
        typer.echo(f"in the archive: {outcome.present}, to be fetched: {outcome.missing}")
        return
    typer.echo(f"there already: {outcome.present}, fetched now: {outcome.fetched}, missing: 0")
