"""`consilium site studies`, `show`, `approve` and `revoke`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from common.errors import PolicyError

if TYPE_CHECKING:
    from client.service.studies import Studies, StudyRecord

SiteArgument = Annotated[Path, typer.Argument(metavar="SITE", help="The site's folder.")]
StudyArgument = Annotated[
    str,
    typer.Argument(
        metavar="STUDY",
        help="Its name, the beginning of its bundle's sha256, or a study file that you were sent.",
    ),
]
By = Annotated[str, typer.Option(help="Who decides; otherwise the user of this machine.")]


def studies(
    site: SiteArgument,
    as_json: Annotated[bool, typer.Option("--json", help="For programs, to stdout.")] = False,
) -> None:
    """List the studies that coordinators sent, and what was decided about them."""
    from client.service.explain import FINGERPRINT_SHOWN

    records = _open(site).all()
    if as_json:
        _print_json(records)
        return
    if not records:
        typer.echo("No study has arrived yet.")
    for each in records:
        came = each.connection or "from a file"
        changed = f", changed: {', '.join(each.changed_from)}" if each.changed_from else ""
        by = f" by {each.by}" if each.by else ""
        shown = each.bundle[:FINGERPRINT_SHOWN]
        typer.echo(f"{each.study.name}  {shown}  {came}  {each.standing}{by}{changed}")
    waiting = sum(each.standing in ("pending", "changed") for each in records)
    if waiting:
        typer.echo(f"{waiting} waiting. Read one with: consilium site show {site} NAME")


def show(site: SiteArgument, study: StudyArgument) -> None:
    """Say in plain words what a study does with which patients, what leaves, and what it costs."""
    known = _open(site)
    _print(known, _find(known, study))


def approve(
    site: SiteArgument,
    study: StudyArgument,
    by: By = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Approve a study, as it is: the site's agent answers it from then on. Signed and kept in the ledger.

    Exit code: 0 approved, 6 not confirmed.
    """
    from client.service.studies import whoami

    known = _open(site)
    record = _find(known, study)
    if record.standing == "approved":
        typer.echo(f"The study '{record.study.name}' is approved already, by {record.by}.")
        return
    _print(known, record)
    if not yes:
        _confirm(record)
    done = known.approve(record.bundle, by or whoami())
    typer.echo(f"\nApproved '{done.study.name}' ({done.bundle[:16]}) as {done.by}.")


def revoke(site: SiteArgument, study: StudyArgument, by: By = "") -> None:
    """Take an approval back: nothing more leaves for the study. What it cost so far stays spent."""
    from client.service.studies import whoami

    known = _open(site)
    done = known.revoke(_find(known, study).bundle, by or whoami())
    typer.echo(f"Revoked '{done.study.name}' ({done.bundle[:16]}) as {done.by}.")


def _open(site: Path) -> Studies:
    from client.service.studies import Studies
    from client.site import load_site
    from client.site_folder import SiteFolder

    loaded = load_site(site)
    return Studies(loaded, SiteFolder(loaded.folder))


def _find(known: Studies, study: str) -> StudyRecord:
    from client.service.studies import bundle_file
    from common.study_file import load_study

    path = Path(study)
    return known.take_file(load_study(path)) if bundle_file(path) else known.find(study)


def _print(known: Studies, record: StudyRecord) -> None:
    from client.service.explain import as_text, explain

    _say(as_text(explain(known, record)))


def _say(text: str) -> None:
    """Print, with words for what the terminal has no letters for."""
    from client.audit.legible import spell

    typer.echo(spell(text, sys.stdout.encoding or "ascii"))


def _confirm(record: StudyRecord) -> None:
    name = record.study.name
    typed = typer.prompt(f"\nType '{name}' to approve it", default="", show_default=False)
    if typed.strip() != name:
        raise PolicyError(
            "The study was not approved: its name was not typed.",
            where=f"bundle {record.bundle[:16]}",
            fix="Run the command again, or add --yes.",
        )


def _print_json(records: list[StudyRecord]) -> None:
    import json

    listed = [
        {
            "study": each.study.name,
            "fingerprint": each.study.fingerprint,
            "bundle": each.bundle,
            "connection": each.connection,
            "first_seen": each.first_seen,
            "standing": each.standing,
            "changed": list(each.changed_from),
            "by": each.by,
            "at": each.at,
        }
        for each in records
    ]
    typer.echo(json.dumps(listed, indent=2))
