"""`consilium site init`: makes a site."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from client.setup import options

if TYPE_CHECKING:
    from client.setup.answers import Answers
    from client.site import Site
    from client.site_folder import SiteFolder


def init(
    folder: Annotated[Path, typer.Argument(help="Where to make the site.")],
    name: options.Name = None,
    server: options.Server = None,
    certificates: options.Certificates = None,
    data_kind: options.DataKind = None,
    data_path: options.DataPath = None,
    data_name: options.DataName = "default",
    part: options.Parts = None,
    labels: options.Labels = None,
    patient: options.Patient = None,
    outcomes: options.Outcomes = None,
    record: options.Record = None,
    time: options.Time = None,
    time_unit: options.TimeUnit = None,
    value: options.Value = None,
    episode: options.Episode = None,
    order: options.Order = None,
    declared_patients: options.DeclaredPatients = None,
    max_epsilon: options.MaxEpsilon = None,
    runtime: options.Runtime = "127.0.0.1:9095",
    dmz: options.Dmz = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing, take the defaults.")] = False,
) -> None:
    """Make a site: its keys (on this machine), its site.toml, and what to send to the coordinator.

    A site.toml that is there stays as it is: only what it lacks is made beside it, and nothing is asked.
    """
    from client.setup.answers import Answers
    from client.setup.parts import parts_of

    given = Answers(
        name=name,
        server=server,
        certificates=certificates,
        data_kind=data_kind,
        data_path=data_path,
        data_name=data_name,
        parts=parts_of(part or []),
        labels=labels,
        patient=patient,
        outcomes=outcomes,
        record=record,
        time=time,
        time_unit=time_unit,
        value=value,
        episode=episode,
        order=order,
        declared_patients=declared_patients,
        max_epsilon=max_epsilon,
        runtime=runtime,
    )
    _init(folder.resolve(), given, dmz, ask=not yes)


def _init(path: Path, given: Answers, dmz: Path | None, *, ask: bool) -> None:
    from client.setup.complete import complete
    from client.setup.create import complete_site, create_site
    from client.setup.dmz import write_dmz_half
    from client.site import FILE_NAME
    from client.site_folder import SiteFolder

    folder = SiteFolder(path)
    by_hand = (path / FILE_NAME).exists()
    if by_hand:
        site, made = complete_site(folder)
        _tell_kept(given, made)
    else:
        site = create_site(folder, complete(given, ask=ask))
    if dmz is not None:
        write_dmz_half(folder, dmz.resolve())
        typer.echo(f"Move {dmz} to the DMZ machine; it starts there with --only supernode.")
    _tell(folder, site)


def _tell_kept(given: Answers, made: list[str]) -> None:
    """Say what was made beside a site.toml, and which flags were of no use."""
    from dataclasses import fields

    from client.setup.answers import Answers

    typer.echo("There is a site.toml: it stays as it is.")
    typer.echo(f"Made, because it was missing: {', '.join(made)}.")
    usual = Answers()
    names = [each.name for each in fields(Answers)]
    unused = [name for name in names if getattr(given, name) != getattr(usual, name)]
    if unused:
        flags = ", ".join(f"--{'part' if n == 'parts' else n.replace('_', '-')}" for n in unused)
        typer.echo(f"Not used, because site.toml says it: {flags}.")


def _tell(folder: SiteFolder, site: Site) -> None:
    from common.certificates import describe
    from common.keys import fingerprint

    public = folder.node_key_public.read_text().strip()
    typer.secho(f"Site '{site.name}' is made.", fg="green")
    for connection in site.connections.values():
        if connection.certificates is not None and connection.certificates.exists():
            sha256 = describe(connection.certificates).fingerprint
            typer.echo(
                f"\nThe coordinator's certificate file, to be compared by phone (SHA-256):\n  {sha256}"
            )
    typer.echo(f"""
Its settings:  {site.file}
Public key:    {public}
Fingerprint:   {fingerprint(public)}

Next:
 1. Send the file {folder.node_key_public} to the coordinator. It is no secret.
 2. Read the fingerprint to the coordinator over the phone.
 3. consilium site doctor {folder.path}
 4. consilium site start {folder.path}

Back up {folder.private}: with it lost, what was spent of the privacy budget is lost, too.""")
