"""The way to each coordinator: name, port, TLS, expiry, clock."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from email.utils import parsedate_to_datetime

from client.doctor.findings import Finding, Patient, amber, green, red
from client.site import Connection
from common.certificates import Description, describe

_SECONDS = 6.0
_SOON_DAYS = 30
_SKEW_AMBER, _SKEW_RED = 30.0, 240.0


def check(patient: Patient) -> Iterator[Finding]:
    """Try every connection."""
    for name, connection in sorted(patient.site.connections.items()):
        yield from _connection(name, connection)


def _connection(name: str, connection: Connection) -> Iterator[Finding]:
    host, _, port = connection.server.rpartition(":")
    host = host.strip("[]")
    if connection.certificates is not None and not connection.certificates.exists():
        yield red(
            f"{name}: the certificate file of the coordinator is missing [{connection.certificates}].",
            "Copy the file there that the coordinator sent, or correct [connection] certificates.",
        )
        return
    try:
        raw = socket.create_connection((host, int(port)), timeout=_SECONDS)
    except (OSError, OverflowError) as error:
        yield _unreachable(name, connection.server, error)
        return
    with raw:
        yield green(f"{name}: {connection.server} is reachable")
        yield from _tls(name, host, connection, raw)


def _unreachable(name: str, server: str, error: Exception) -> Finding:
    if isinstance(error, socket.gaierror):
        return red(
            f"{name}: the host name of {server} is not known here.",
            "Check [connection] server, and the DNS of this machine: getent hosts NAME.",
        )
    if isinstance(error, ConnectionRefusedError):
        return red(
            f"{name}: nothing listens at {server}.",
            "Check the port in [connection] server, and ask the coordinator whether its server runs.",
        )
    return red(
        f"{name}: {server} does not answer.",
        "Have the firewall let this machine open TCP connections to that host and port; nothing comes inward.",
    )


def _tls(name: str, host: str, connection: Connection, raw: socket.socket) -> Iterator[Finding]:
    authority = None if connection.certificates is None else str(connection.certificates)
    try:
        context = ssl.create_default_context(cafile=authority)
        with context.wrap_socket(raw, server_hostname=host) as secure:
            shown = secure.getpeercert(binary_form=True)
            yield from _certificate(name, _described(shown))
            yield from _clock(name, host, secure)
    except ssl.SSLCertVerificationError as error:
        yield _distrusted(name, host, connection, error)
    except (ssl.SSLError, OSError):
        yield red(
            f"{name}: what listens at {connection.server} does not speak TLS.",
            "Check host and port. If a firewall inspects TLS, have it leave this connection alone.",
        )


def _certificate(name: str, found: Description | None) -> Iterator[Finding]:
    if found is None:
        return
    if found.days_left < _SOON_DAYS:
        yield amber(
            f"{name}: the coordinator's certificate expires in {found.days_left} days.",
            "Tell the coordinator; after that day no round runs.",
        )
    else:
        yield green(f"{name}: TLS holds, the certificate is valid for {found.days_left} days")


def _distrusted(
    name: str, host: str, connection: Connection, error: ssl.SSLCertVerificationError
) -> Finding:
    reason = error.verify_message.lower()
    found = _peek(connection.server, host)
    if "expired" in reason:
        when = f" on {found.expires:%Y-%m-%d}" if found and found.days_left < 0 else ""
        return red(
            f"{name}: the coordinator's certificate, or its authority's, expired{when}.",
            "Ask the coordinator to renew it, and for the new certificate file if the authority changed. "
            "If it has not expired, set this machine's clock.",
        )
    if "not yet valid" in reason:
        return red(
            f"{name}: the coordinator's certificate is not valid yet.",
            "Set this machine's clock: timedatectl.",
        )
    if found is not None and not found.matches(host):
        return red(
            f"{name}: the coordinator's certificate is for {', '.join(found.names) or 'no host'}, not for {host}.",
            "Use the name in [connection] server that the coordinator gave you.",
        )
    whose = f" (it names '{found.issuer}')" if found else ""
    return red(
        f"{name}: the coordinator's certificate was signed by an authority that this site does not know{whose}.",
        "Put the certificate file that the coordinator sent in [connection] certificates; get it by a way you trust. "
        "If a firewall inspects TLS, have it leave this connection alone.",
    )


def _peek(server: str, host: str) -> Description | None:
    """Look at a certificate without believing it, to say what is wrong with it."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    address = (host, int(server.rpartition(":")[2]))
    with (
        suppress(OSError),
        socket.create_connection(address, timeout=_SECONDS) as raw,
        context.wrap_socket(raw, server_hostname=host) as secure,
    ):
        return _described(secure.getpeercert(binary_form=True))
    return None


def _described(der: bytes | None) -> Description | None:
    from cryptography import x509

    return describe(x509.load_der_x509_certificate(der)) if der else None


def _clock(name: str, host: str, secure: ssl.SSLSocket) -> Iterator[Finding]:
    """Compare clocks by the Date line of any answer; a signature older than 5 minutes is refused."""
    secure.sendall(f"HEAD / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    answer = b""
    with suppress(OSError):
        while b"\r\n\r\n" not in answer and len(answer) < 1 << 14 and (part := secure.recv(4096)):
            answer += part
    lines = answer.decode("latin-1").split("\r\n")
    dates = [line.partition(":")[2] for line in lines if line.lower().startswith("date:")]
    try:
        skew = time.time() - parsedate_to_datetime(dates[0].strip()).timestamp()
    except (IndexError, ValueError):
        yield amber(f"{name}: the coordinator does not tell its time, so clocks were not compared.")
        return
    fix = "Set this machine's clock with NTP: timedatectl set-ntp true."
    words = f"this machine's clock is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}"
    if abs(skew) >= _SKEW_RED:
        yield red(f"{name}: {words}; more than 300 s, and the site is refused.", fix)
    elif abs(skew) >= _SKEW_AMBER:
        yield amber(f"{name}: {words}.", fix)
    else:
        yield green(f"{name}: the clocks agree")
