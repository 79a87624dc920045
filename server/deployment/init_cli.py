"""`consilium server init` and `renew`: make a coordinator, and keep its certificate valid."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from common.certificates import Pair
    from server.deployment.folder import CoordinatorFolder

CertificateOption = Annotated[
    Path | None,
    typer.Option(help="A certificate of your own for that address (PEM, with its chain)."),
]
KeyOption = Annotated[Path | None, typer.Option(help="The key of your own certificate (PEM).")]


def init(
    folder: Annotated[Path, typer.Argument(help="A new folder for the coordinator.")],
    name: Annotated[
        str | None, typer.Option(help="The coordinator's name: letters, digits and dashes.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="What hospitals call.")
    ] = None,
    certificate: CertificateOption = None,
    key: KeyOption = None,
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="What the proxy binds; otherwise every interface."),
    ] = None,
    internal_port: Annotated[
        int, typer.Option(help="Port of the SuperLink on this machine's loopback.")
    ] = 9091,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
) -> None:
    """Make a coordinator: its authority, certificates, secret, settings and proxy."""
    from server.deployment.config import parse_server_file
    from server.deployment.init import Wanted, make

    name = _asked("name", name, "Name of the coordinator", yes)
    address = _asked("address", address, "Address that hospitals call (host:port)", yes)
    server = {"name": name, "address": address} | ({"listen": listen} if listen else {})
    content = {"server": server, "superlink": {"port": internal_port}}
    settings = parse_server_file(content, where="the command line")
    typer.echo(_handover(make(folder, Wanted(settings, _pair(certificate, key)))))


def renew(
    folder: Annotated[Path, typer.Argument(help="The coordinator's folder.")],
    certificate: CertificateOption = None,
    key: KeyOption = None,
) -> None:
    """Put a new server certificate in place; a running proxy takes it over at once, hospitals change nothing."""
    from server.deployment import init as making
    from server.deployment.folder import open_folder
    from server.deployment.proxy import reload

    opened = open_folder(folder)
    found = making.renew(opened, _pair(certificate, key))
    taken = "the running proxy uses it" if reload(opened) else "it is used from the next start on"
    typer.echo(f"{opened.certificate}: valid until {found.expires:%Y-%m-%d}; {taken}.")


def _asked(option: str, given: str | None, question: str, yes: bool) -> str:
    from common.errors import StudyError

    if given is not None:
        return given
    if yes:
        raise StudyError(f"--{option} is missing.", fix=f"Add --{option}, or leave out --yes.")
    answer: str = typer.prompt(question)
    return answer


def _pair(certificate: Path | None, key: Path | None) -> Pair | None:
    from common.certificates import Pair
    from common.errors import StudyError

    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise StudyError("--certificate and --key belong together.", fix="Give both, or neither.")
    return Pair(certificate, key)


def _handover(folder: CoordinatorFolder) -> str:
    """Return what to tell hospitals and the people of the firewalls."""
    from common.certificates import describe
    from server.deployment.config import split_address
    from server.deployment.init import signed_by_us

    settings = folder.settings()
    host, port = split_address(settings.server.address)
    if signed_by_us(folder):
        trust = [
            f"  certificate  {folder.authority}",
            f"               its SHA-256, to be compared by phone: {describe(folder.authority).fingerprint}",
        ]
    else:
        trust = [
            f"  certificate  that of the authority '{describe(folder.certificate).issuer}', "
            "unless their machines trust it already"
        ]
    lines = [
        f"The coordinator '{settings.server.name}' is in {folder.path}.",
        "",
        "For the hospitals:",
        f"  address      {settings.server.address}",
        *trust,
        "",
        "For the people of the firewalls:",
        f"  hospitals    outgoing TCP to {host} port {port} (TLS); nothing comes in",
        f"  here         incoming TCP on {settings.server.bound}; nothing else",
        "",
        f"Start it: consilium server start {folder.path}",
    ]
    return "\n".join(lines)
