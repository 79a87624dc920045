"""`consilium site backup` and `consilium site restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Passphrase = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="File whose first line seals and opens the backup."),
]


def backup(
    site: Annotated[Path, typer.Argument(help="The site's folder, which holds site.toml.")],
    archive: Annotated[Path, typer.Argument(help="The file to write; it must not be there yet.")],
    passphrase_file: Passphrase = None,
) -> None:
    """Copy keys, site.toml, ledger and egress log into one file, while the service runs or not.

    Patients' data, prepared cohorts and replies are not in it.
    """
    from client.setup.backup import back_up
    from client.setup.backup_archive import read_passphrase

    made = back_up(site, archive, read_passphrase(passphrase_file))
    typer.echo(f"{archive}: site '{made.site}', {len(made.files)} files, read back and verified")
    if made.ledger:
        typer.echo(f"ledger: {made.ledger.entries} entries, head {made.ledger.head}")
    if made.egress:
        typer.echo(f"egress log: {made.egress.entries} entries, head {made.egress.head}")
    typer.echo("A ledger that is put back later must be the newest one: back up after every study.")
    if passphrase_file is None:
        typer.secho(
            "The file is not sealed and holds the site's keys: lock it away.", fg="yellow", err=True
        )


def restore(
    archive: Annotated[Path, typer.Argument(help="What 'consilium site backup' wrote.")],
    site: Annotated[Path, typer.Argument(help="The site's folder; nothing in it is overwritten.")],
    passphrase_file: Passphrase = None,
    witness: Annotated[
        list[Path] | None,
        typer.Option(help="A coordinator's run: a folder with study.toml and witness.jsonl."),
    ] = None,
    charge_missing: Annotated[
        bool,
        typer.Option("--charge-missing", help="Charge, in full, the rounds that the ledger lacks."),
    ] = False,
    accept_older: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="Restore all the same; the reason enters the ledger."),
    ] = None,
) -> None:
    """Put a backup back, unless its ledger forgets what was spent since.

    What this machine remembers of its ledger, and what coordinators witnessed, must be in it.

    Exit code: 0 restored, 2 nothing tells whether it is the newest, 4 older or damaged, 7 something is in the way.
    """
    from client.setup.backup_archive import read_archive, read_passphrase
    from client.setup.backup_restore import Choices, require_reason, restore

    choices = Choices(tuple(witness or ()), charge_missing, require_reason(accept_older))
    done = restore(read_archive(archive, read_passphrase(passphrase_file)), site, choices)
    typer.echo(f"{site}: site '{done.manifest.site}' as of {done.manifest.made}")
    typer.echo(f"written: {', '.join(done.files)}")
    if done.ledger:
        typer.echo(f"ledger: {done.ledger.entries} entries, head {done.ledger.head}")
        typer.echo(f"confirmed by: {'; '.join(done.confirmed) or 'nobody'}")
    if done.charged:
        typer.echo(f"charged for rounds that it lacked: {done.charged} releases, in full")
    if accept_older:
        typer.secho("The ledger may lack charges; see docs/backup.md.", fg="yellow", err=True)
    typer.echo("Now run 'consilium site doctor', and then 'consilium site start'.")
