"""`consilium site deidentify`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from client.data.deidentify.run import Done


class Dates(StrEnum):
    """What becomes of dates."""

    REMOVE = "remove"
    SHIFT = "shift"
    KEEP = "keep"


class BurntIn(StrEnum):
    """What becomes of images into which text may be burnt."""

    BLOCK = "block"
    WARN = "warn"


def deidentify(
    site: Annotated[Path, typer.Argument(metavar="SITE", help="The site's folder.")],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder for the copies.")],
    data: Annotated[str | None, typer.Option(help="The data set, as site.toml names it.")] = None,
    dates: Annotated[
        Dates, typer.Option(help="Remove, move by a secret number of days a patient, or keep.")
    ] = Dates.REMOVE,
    characteristics: Annotated[
        bool,
        typer.Option("--characteristics", help="Keep sex, age (at most 90), size and weight."),
    ] = False,
    burnt_in: Annotated[
        BurntIn, typer.Option(help="Leave images out that may have text in them, or copy and warn.")
    ] = BurntIn.BLOCK,
    as_json: Annotated[
        bool, typer.Option("--json", help="Counts for programs, to stdout.")
    ] = False,
) -> None:
    """Write copies of DICOM files without identity, by the basic profile of DICOM PS3.15.

    A study does not need them: what trains here never leaves. They are for those who must hand files on.

    Exit code: 0 copies written, 2 settings refused, 5 no file could be copied, 9 disk or permission.
    """
    from client.data.deidentify.rules import Choices
    from client.data.deidentify.run import deidentify as run
    from client.site import load_site

    done = run(
        load_site(site),
        output,
        data=data,
        choices=Choices(dates.value, characteristics),
        allow_possible=burnt_in is BurntIn.WARN,
    )
    _print_json(done) if as_json else _print(done, output)


def _print(done: Done, output: Path) -> None:
    typer.secho(f"{done.files} files of {done.patients} patients: {output}", fg="green")
    if done.labels:
        typer.echo(f"labels under pseudonyms: {done.labels} rows in labels.csv")
    for reason, count in sorted(done.left_out.counts.items()):
        typer.echo(f"left out: {count} × {reason}")
    if done.repeated:
        typer.echo(f"emptied: {done.repeated} texts that repeated an identifier")
    if done.doubtful:
        typer.secho(
            f"look at {done.doubtful} copies before you hand them on: text may be burnt into them",
            fg="yellow",
            err=True,
        )
    typer.echo(f"who is who: {done.key} - it stays here")


def _print_json(done: Done) -> None:
    import json

    counts = {name: getattr(done, name) for name in ("files", "patients", "doubtful", "repeated")}
    left_out = dict(done.left_out.counts)
    typer.echo(
        json.dumps({"data": done.data, **counts, "labels": done.labels, "left_out": left_out})
    )
