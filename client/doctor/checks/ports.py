"""The ports on which the site itself listens: its SuperNodes' runtime APIs, control plane and metrics page."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from client.doctor.findings import Finding, Patient, green, red
from client.service.link import listening_host
from client.service.start import Half, lock_of
from common.errors import StudyError
from common.supervise import holder

_NEIGHBOURS = 50
"""Ports after a taken one that are tried for one to suggest."""
_LAST = 65535


@dataclass(frozen=True)
class _Listener:
    """Something that will listen: its address, the key of site.toml that says so, and the half that it belongs to."""

    address: str
    key: str
    half: Half

    @property
    def place(self) -> tuple[str, int]:
        """Where it listens."""
        host, _, port = self.address.rpartition(":")
        host = host.strip("[]")
        return listening_host(host) if self.half is Half.SUPERNODE else host, int(port)


def check(patient: Patient) -> Iterator[Finding]:
    """Try each port of the halves that this machine runs; those of a half that runs already are its own."""
    mine = [each for each in _listeners(patient) if patient.half in (None, each.half)]
    running = {half for half in Half if holder(lock_of(patient.folder, half)) is not None}
    bad = [*_same(mine)]
    for each in mine:
        if each.half not in running:
            bad += _taken(each)
    if bad or not mine:
        yield from bad
    elif running:
        yield green("the site runs, and has its ports")
    else:
        yield green(f"free for the site: {', '.join(each.address for each in mine)}")


def _listeners(patient: Patient) -> Iterator[_Listener]:
    site = patient.site
    for name, connection in sorted(site.connections.items()):
        yield _Listener(connection.runtime, f"[connection.{name}] runtime", Half.SUPERNODE)
    if site.service.control != "unix":
        yield _Listener(site.service.control, "[service] control", Half.AGENT)
    if site.service.metrics is not None:
        yield _Listener(site.service.metrics, "[service] metrics", Half.AGENT)


def _same(listeners: list[_Listener]) -> Iterator[Finding]:
    """Two that are to listen at one port."""
    seen: dict[str, str] = {}
    for each in listeners:
        first = seen.setdefault(each.address, each.key)
        if first != each.key:
            yield red(
                f"{first} and {each.key} name the same port, {each.address}.",
                f"Give {each.key} a port of its own.",
                kind=StudyError,
            )


def _taken(listener: _Listener) -> Iterator[Finding]:
    host, port = listener.place
    problem = _bind(host, port)
    if problem is None:
        return
    key, address = listener.key, listener.address
    if problem == errno.EADDRINUSE:
        yield red(
            f"Another program listens at {address} already, so the site could not start.",
            f"Stop it ('ss -ltnp sport = :{port}' names it; it may be another site or an older start of this one), or "
            f"set {key} to a free port{_suggested(listener)}{_both(listener)}.",
        )
    elif problem in (errno.EACCES, errno.EPERM):
        yield red(
            f"This user may not listen at {address}.", f"Set {key} to a port of 1024 or above."
        )
    else:
        yield red(
            f"Nothing can listen at {address}: it is no address of this machine.",
            f"Correct the host in {key}.",
            kind=StudyError,
        )


def _both(listener: _Listener) -> str:
    """The other half of a site calls its SuperNode by that address."""
    return ", on both halves alike" if listener.half is Half.SUPERNODE else ""


def _suggested(listener: _Listener) -> str:
    host, port = listener.place
    following = range(port + 1, min(port + _NEIGHBOURS, _LAST) + 1)
    free = next((other for other in following if _bind(host, other) is None), None)
    return f", such as {listener.address.rpartition(':')[0]}:{free}" if free else ""


def _bind(host: str, port: int) -> int | None:
    """Return why nothing can listen there; None: something can. Nothing answers in the meantime."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(place)
            tried.listen(1)
    except socket.gaierror:
        return errno.EADDRNOTAVAIL
    except OSError as error:
        return error.errno or errno.EADDRNOTAVAIL
    return None
