"""Opens DIMSE associations, and says in plain words why one cannot be opened."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Sequence
from typing import Any

from pynetdicom import AE, _config, evt
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.presentation import PresentationContext

from client.data.pacs.config import DimseServer
from client.data.pacs.credentials import Credentials
from client.data.pacs.server import Lost
from common.errors import MachineError, StudyError

_config.LOG_HANDLER_LEVEL = "none"
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)  # it logs what it is asked for
_USER = 1  # source of a rejection: the server itself, not the network layer
_CALLING, _CALLED = 3, 7
_WITH_PASSWORD = 2


def _promptly(event: Any) -> None:
    """Send small packets at once: otherwise each message waits up to 40 ms for an acknowledgement."""
    plain = getattr(event.assoc.dul.socket, "socket", None)
    if plain is not None:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


PROMPT = (evt.EVT_CONN_OPEN, _promptly)


def application_entity(server: DimseServer) -> AE:
    """Return this site's application entity, with the server's timeouts."""
    entity = AE(ae_title=server.calling_aet)
    entity.connection_timeout = server.timeout_seconds
    entity.acse_timeout = server.timeout_seconds
    entity.dimse_timeout = server.timeout_seconds
    entity.network_timeout = server.timeout_seconds
    return entity


def associate(
    entity: AE,
    server: DimseServer,
    credentials: Credentials | None,
    contexts: Sequence[PresentationContext],
    *,
    negotiate: Sequence[Any] = (),
    handlers: Sequence[Any] = (),
) -> Any:
    """Return an open association.

    Raises:
        StudyError: the server does not know the titles, the credentials or the certificates.
        Lost: it cannot be reached.
    """
    where = f"{server.host}:{server.port}"
    association = entity.associate(
        server.host,
        server.port,
        contexts=list(contexts),
        ae_title=server.called_aet,
        ext_neg=[*negotiate, *_identity(credentials)],
        evt_handlers=[*handlers, PROMPT],
        tls_args=(client_context(server), server.host) if server.tls else None,
    )
    if association.is_established:
        return association
    if association.is_rejected:
        raise _rejected(association, server, where)
    if association.is_aborted and _reached(server):
        raise StudyError(
            "The PACS ended the association before it began.",
            where=where,
            fix="Check tls, certificates and credentials in [data.NAME.pacs] with the PACS's people.",
        )
    raise Lost("no connection")


def client_context(server: DimseServer) -> ssl.SSLContext:
    """Return how this site calls with TLS."""
    return _context(server, ssl.Purpose.SERVER_AUTH)


def listening_context(server: DimseServer) -> ssl.SSLContext | None:
    """Return how this site is called with TLS; None without."""
    if not (server.tls and server.client_certificate):
        return None
    context = _context(server, ssl.Purpose.CLIENT_AUTH)
    if server.certificates:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _context(server: DimseServer, purpose: ssl.Purpose) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(
            purpose, cafile=str(server.certificates) if server.certificates else None
        )
        if server.client_certificate:
            context.load_cert_chain(str(server.client_certificate), str(server.client_key))
    except (OSError, ssl.SSLError):
        raise StudyError(
            "The certificates of [data.NAME.pacs] cannot be read.",
            where=str(server.certificates or server.client_certificate),
            fix="They are PEM files; the key must not have a passphrase.",
        ) from None
    return context


def _identity(credentials: Credentials | None) -> list[UserIdentityNegotiation]:
    if credentials is None:
        return []
    if credentials.token:
        raise StudyError(
            "A token cannot be offered with DIMSE.",
            where="[data.NAME.pacs] credentials",
            fix="Write user:password into the file, leave credentials out, or use DICOMweb.",
        )
    item = UserIdentityNegotiation()
    item.user_identity_type = _WITH_PASSWORD
    item.primary_field = credentials.user.encode()
    item.secondary_field = credentials.password.encode()
    return [item]


def _rejected(association: Any, server: DimseServer, where: str) -> Exception:
    answer = association.acceptor.primitive
    source = getattr(answer, "result_source", None)
    reason = getattr(answer, "diagnostic", None)
    if source == _USER and reason == _CALLED:
        return StudyError(
            f"The PACS does not answer to the title '{server.called_aet}'.",
            where=where,
            fix="Set called_aet in [data.NAME.pacs] to the PACS's own title.",
        )
    if source == _USER and reason == _CALLING:
        return StudyError(
            f"The PACS does not know this site's title '{server.calling_aet}'.",
            where=where,
            fix="Ask the PACS's people to register it, with this machine's address.",
        )
    if source == _USER:
        return StudyError(
            "The PACS refuses the association.",
            where=where,
            fix="Check titles and credentials in [data.NAME.pacs] with the PACS's people.",
        )
    return Lost("the PACS is busy and refuses more associations")


def _reached(server: DimseServer) -> bool:
    """Tell a server that hangs up from none; an untrusted certificate has words of its own."""
    try:
        with socket.create_connection((server.host, server.port), server.timeout_seconds) as plain:
            if server.tls:
                context = client_context(server)
                context.wrap_socket(plain, server_hostname=server.host).close()
    except ssl.SSLError:
        raise StudyError(
            "The PACS's certificate is not trusted, or it does not trust this site's.",
            where=f"{server.host}:{server.port}",
            fix="Set certificates in [data.NAME.pacs] to the PEM file of the hospital's authority.",
        ) from None
    except OSError:
        return False
    return True


def unsupported(what: str, where: str) -> MachineError:
    """Return the error of a server that lacks a service."""
    return MachineError(
        f"The PACS does not offer {what}.",
        where=where,
        fix='Set retrieve to "get" or "move", whichever it offers, or use DICOMweb.',
    )
