"""`consilium site init`: makes a site."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def init(
    folder: Annotated[Path, typer.Argument(help="Where to make the site.")],
    name: Annotated[str | None, typer.Option(help="Letters, digits and dashes.")] = None,
    server: Annotated[str | None, typer.Option(help="host:port of the coordinator.")] = None,
    certificates: Annotated[
        Path | None, typer.Option(help="The certificate file that the coordinator sent.")
    ] = None,
    data_kind: Annotated[
        str | None, typer.Option(help="dicom, table, series, records, signals or arrays.")
    ] = None,
    data_path: Annotated[
        Path | None, typer.Option(help="The file or folder; of records the readings.")
    ] = None,
    data_name: Annotated[str, typer.Option(help="What studies call the data set.")] = "default",
    labels: Annotated[
        Path | None, typer.Option(help="Table of labels, for dicom and signals.")
    ] = None,
    patient: Annotated[
        str | None,
        typer.Option(
            help="Column that names the patient; without it every row of a table is a patient. "
            "<file>: every file is a patient (series, signals); <folder>: every folder (signals)."
        ),
    ] = None,
    outcomes: Annotated[
        Path | None, typer.Option(help="Table with one row a record, for records.")
    ] = None,
    record: Annotated[
        str | None, typer.Option(help="Key column of readings and outcomes, for records.")
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="Column with the time, for series and records.")
    ] = None,
    time_unit: Annotated[
        str | None,
        typer.Option(help="Unit of times that are plain numbers: seconds, minutes, hours …"),
    ] = None,
    value: Annotated[str | None, typer.Option(help="Column with the reading, for series.")] = None,
    declared_patients: Annotated[
        int | None, typer.Option(help="Public, rounded number of patients.")
    ] = None,
    max_epsilon: Annotated[
        float | None, typer.Option(help="Privacy budget over all studies; 1 is cautious.")
    ] = None,
    runtime: Annotated[
        str, typer.Option(help="host:port between SuperNode and agent.")
    ] = "127.0.0.1:9095",
    dmz: Annotated[
        Path | None,
        typer.Option(
            help="Also write the half that a DMZ machine runs; --runtime names that machine."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing, take the defaults.")] = False,
) -> None:
    """Make a site: its keys (on this machine), its site.toml, and what to send to the coordinator."""
    from client.setup.answers import Answers, complete
    from client.setup.create import create_site
    from client.setup.dmz import write_dmz_half
    from client.site_folder import SiteFolder

    given = Answers(
        name=name,
        server=server,
        certificates=certificates,
        data_kind=data_kind,
        data_path=data_path,
        data_name=data_name,
        labels=labels,
        patient=patient,
        outcomes=outcomes,
        record=record,
        time=time,
        time_unit=time_unit,
        value=value,
        declared_patients=declared_patients,
        max_epsilon=max_epsilon,
        runtime=runtime,
    )
    made = SiteFolder(folder.resolve())
    site = create_site(made, complete(given, ask=not yes))
    if dmz is not None:
        write_dmz_half(made, dmz.resolve())
        typer.echo(f"Move {dmz} to the DMZ machine; it starts there with --only supernode.")
    _tell(made, site)


def _tell(folder: Any, site: Any) -> None:
    from common.certificates import describe
    from common.keys import fingerprint

    public = folder.node_key_public.read_text().strip()
    typer.secho(f"Site '{site.name}' is made.", fg="green")
    for connection in site.connections.values():
        if connection.certificates is not None:
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
