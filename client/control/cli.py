"""`consilium site status|watch|pause|resume|budget|health`: see and steer a running site."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from client.control.health import Probe

if TYPE_CHECKING:
    from common.proto import site_control_pb2 as pb
    from common.proto.site_control_pb2_grpc import SiteControlStub

Folder = Annotated[Path, typer.Argument(metavar="SITE", help="The folder that holds site.toml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]
Socket = Annotated[
    Path | None, typer.Option(help="The service's Unix socket, where it is not the usual one.")
]
Address = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="A service on another host, over mutual TLS."),
]
Certificates = Annotated[
    Path | None,
    typer.Option(
        help="Folder of ca.crt, control-client.crt and .key; usually SITE/.consilium/tls."
    ),
]


def status(
    site: Folder,
    as_json: AsJson = False,
    socket: Socket = None,
    address: Address = None,
    certificates: Certificates = None,
) -> None:
    """Show what a running site does, whom it reaches, and what is wrong, with the fix.

    Exit code: 0 it answered, whatever it says; 9 it is not running.
    """
    from client.control.client import SECONDS
    from common.proto import site_control_pb2 as pb

    with _connected(site, socket, address, certificates) as stub:
        found = stub.Status(pb.StatusRequest(), timeout=SECONDS).status
    _show_status(found, as_json)


def watch(
    site: Folder,
    as_json: AsJson = False,
    socket: Socket = None,
    address: Address = None,
    certificates: Certificates = None,
) -> None:
    """Show what happens as it happens, until Ctrl-C; with --json one object a line.

    Exit code: 0 after Ctrl-C; 9 it is not running, or was stopped meanwhile.
    """
    from client.control.client import stopped
    from client.control.watching import print_lines, show_live
    from common.proto import site_control_pb2 as pb

    try:
        with _connected(site, socket, address, certificates) as stub:
            (print_lines if as_json else show_live)(stub.Watch(pb.WatchRequest()))
    except KeyboardInterrupt:
        return
    raise stopped(str(_place(site, socket, address, certificates)))


def pause(
    site: Folder,
    as_json: AsJson = False,
    socket: Socket = None,
    address: Address = None,
    certificates: Certificates = None,
) -> None:
    """Have a site finish the round in hand and take no new task, also after a restart, until it is resumed."""
    from client.control.client import SECONDS
    from common.proto import site_control_pb2 as pb

    with _connected(site, socket, address, certificates) as stub:
        found = stub.Pause(pb.PauseRequest(), timeout=SECONDS).status
    hand = "; the round in hand is finished first" if found.work else ""
    _confirm(found, f"Paused{hand}. 'consilium site resume' goes on.", as_json)


def resume(
    site: Folder,
    as_json: AsJson = False,
    socket: Socket = None,
    address: Address = None,
    certificates: Certificates = None,
) -> None:
    """Have a paused site take tasks again."""
    from client.control.client import SECONDS
    from common.proto import site_control_pb2 as pb

    with _connected(site, socket, address, certificates) as stub:
        found = stub.Resume(pb.ResumeRequest(), timeout=SECONDS).status
    _confirm(found, "The site takes tasks again.", as_json)


def budget(
    site: Folder,
    as_json: AsJson = False,
    socket: Socket = None,
    address: Address = None,
    certificates: Certificates = None,
) -> None:
    """Show what each population of patients has spent of its privacy budget, over all studies."""
    from client.control.client import SECONDS
    from common.proto import site_control_pb2 as pb

    with _connected(site, socket, address, certificates) as stub:
        found = stub.Budget(pb.BudgetRequest(), timeout=SECONDS)
    if as_json:
        _print_json(found)
        return
    from client.control.view import budget_view, console

    console().print(budget_view(found.lines))


def health(
    site: Folder,
    probe: Annotated[
        Probe,
        typer.Option(
            help="live: a restart would not help; ready: a task could be taken; progress: all moves on."
        ),
    ] = Probe.PROGRESS,
    as_json: AsJson = False,
    socket: Socket = None,
    address: Address = None,
    certificates: Certificates = None,
) -> None:
    """Tell, for people and for probes, whether a site can make progress; what is wrong is said with its fix.

    Exit code: 0 it passes, 1 it does not, 9 it is not running.
    """
    from client.control.client import SECONDS
    from common.proto import site_control_pb2 as pb

    with _connected(site, socket, address, certificates) as stub:
        found = stub.Status(pb.StatusRequest(), timeout=SECONDS).status.health
    passes = bool(getattr(found, str(probe)))
    if as_json:
        _print_json(found, probe=str(probe), passes=passes)
    else:
        from client.control.view import console, health_lines

        screen = console(soft_wrap=True)
        screen.print(f"{probe}: [green]yes[/]" if passes else f"{probe}: [red]no[/]")
        for line in health_lines(found):
            screen.print(line)
    raise typer.Exit(0 if passes else 1)


def _show_status(found: pb.SiteStatus, as_json: bool) -> None:
    if as_json:
        _print_json(found)
        return
    from client.control.view import console, status_view

    console().print(status_view(found))


def _confirm(found: pb.SiteStatus, sentence: str, as_json: bool) -> None:
    if as_json:
        _print_json(found)
    else:
        typer.echo(sentence)


def _print_json(message: Any, **more: object) -> None:
    from client.control.messages import plain

    typer.echo(json.dumps({**more, **plain(message)}, indent=1))


def _connected(
    site: Path, socket: Path | None, address: str | None, certificates: Path | None
) -> AbstractContextManager[SiteControlStub]:
    from client.control.client import connected

    return connected(_place(site, socket, address, certificates))


def _place(site: Path, socket: Path | None, address: str | None, certificates: Path | None) -> Any:
    """Find the control plane: as told, or where site.toml says."""
    from client.control.client import Place
    from client.site import load_site
    from client.site_folder import SiteFolder
    from common.errors import StudyError

    if socket is not None and address is not None:
        raise StudyError("--socket and --address exclude each other.", where="command line")
    if socket is not None:
        return Place(socket)
    if address is None:
        control = load_site(site).service.control
        address = None if control == "unix" else control
    folder = SiteFolder((site if site.is_dir() else site.parent).resolve())
    if address is None:
        return Place(folder.control_socket)
    return Place(None, address, certificates or folder.tls)
