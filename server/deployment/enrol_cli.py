"""`consilium server enrol` and `sites`: which hospitals may connect, and which do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def enrol(
    coordinator: Annotated[Path, typer.Argument(help="The coordinator's folder.")],
    file: Annotated[
        Path | None, typer.Argument(help="The site's public key, node.pub, as it sent it.")
    ] = None,
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Read the key from standard input.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="The site's name, as in its site.toml.")] = None,
    fingerprint: Annotated[
        str | None,
        typer.Option(
            metavar="SHA256:…", help="What the site read over the phone; no question is asked then."
        ),
    ] = None,
    remove: Annotated[
        str | None, typer.Option(metavar="NAME", help="Shut this site out instead.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask whether the fingerprint is right.")
    ] = False,
) -> None:
    """Let a hospital in by its public key, after its fingerprint was compared by phone."""
    from server.deployment import sites
    from server.deployment.folder import open_folder

    folder = open_folder(coordinator)
    if remove is not None:
        gone = sites.remove(folder, remove)
        typer.echo(f"{gone.name} is shut out. Its key {gone.fingerprint} is never let in again.")
        return
    public = _public_key(file, stdin)
    named = _named(name)
    sites.check_new(folder, named, public)
    _compare(named, public, fingerprint, yes)
    site = sites.enrol(folder, named, public)
    typer.echo(f"{site.name} is enrolled; it can connect to {folder.settings().server.address}.")


def sites(
    coordinator: Annotated[Path, typer.Argument(help="The coordinator's folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """List the enrolled hospitals and whether they are connected."""
    import json
    from dataclasses import asdict

    from server.deployment.control import nodes_if_running
    from server.deployment.folder import open_folder
    from server.deployment.sites import lines

    folder = open_folder(coordinator)
    found = lines(folder, nodes_if_running(folder))
    if as_json:
        typer.echo(json.dumps([asdict(line) for line in found], indent=1))
        return
    if not found:
        typer.echo("No site is enrolled yet: consilium server enrol … --name NAME")
    for line in found:
        since = f"since {line.since}" if line.since else ""
        typer.echo(f"{line.name:<24} {line.standing:<8} {since:<32} {line.fingerprint}".rstrip())
        if line.refused:
            typer.echo(f"{'':<24} REFUSED: what it pushed was not stored: {line.refused}")


def _public_key(file: Path | None, stdin: bool) -> str:
    import sys

    from common.errors import StudyError
    from common.files import explain_os_error
    from common.keys import read_node_key

    if (file is None) == (not stdin):
        raise StudyError(
            "Give the site's public key either as a file or with --stdin.",
            fix="For example: consilium server enrol COORDINATOR node.pub --name hospital-1",
        )
    if file is None:
        return read_node_key(sys.stdin.read(_LARGEST), where="standard input")
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            text = opened.read(_LARGEST)
    except FileNotFoundError:
        raise StudyError("There is no such file.", where=str(file)) from None
    except OSError as error:
        raise explain_os_error(error, file) from error
    if "PRIVATE KEY" in text:
        raise StudyError(
            "This is a private key; it must never leave the site.",
            where=str(file),
            fix="Delete it here, have the site make a new key, and ask for its node.pub.",
        )
    return read_node_key(text, where=str(file))


_LARGEST = 1 << 16


def _named(name: str | None) -> str:
    from common.errors import StudyError

    if name is None:
        raise StudyError("--name is missing.", fix="Give the [site] name of the site's site.toml.")
    return name


def _compare(name: str, public: str, told: str | None, yes: bool) -> None:
    """Have a person, or the fingerprint that a person typed, say that the key is the site's."""
    import sys

    from common.errors import Interrupted, StudyError
    from common.keys import fingerprint

    found = fingerprint(public)
    typer.echo(f"The key of {name} has the fingerprint\n  {found}")
    if told is not None:
        if told.strip().removeprefix("SHA256:") != found.removeprefix("SHA256:"):
            raise StudyError(
                f"The site read another fingerprint: {told}.",
                where=f"site '{name}'",
                fix="Do not enrol this key. Ask the site to send its node.pub again, another way.",
            )
        return
    if yes:
        return
    if not sys.stdin.isatty():
        raise StudyError(
            "Nobody has compared the fingerprint.",
            where=f"site '{name}'",
            fix="Add --fingerprint with what the site reads over the phone, or --yes.",
        )
    if not typer.confirm("Does the site read the same over the phone?"):
        raise Interrupted("The site was not enrolled.")
