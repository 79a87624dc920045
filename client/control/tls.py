"""Mutual TLS of the control plane: whoever steers a site over the network shows a certificate of its own authority."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from common.errors import MachineError

Files = tuple[Path, Path, Path]
"""Key, certificate, authority."""


def server_files(folder: Path) -> Files:
    """Return the files of the service."""
    return folder / "control-server.key", folder / "control-server.crt", folder / "ca.crt"


def client_files(folder: Path) -> Files:
    """Return the files of whoever calls it."""
    return folder / "control-client.key", folder / "control-client.crt", folder / "ca.crt"


def server_credentials(folder: Path) -> grpc.ServerCredentials:
    """Return credentials that demand a client's certificate; renewed files are taken up without a restart.

    Raises:
        MachineError: a file is missing.
    """
    files = server_files(folder)
    first = read(files)
    return grpc.dynamic_ssl_server_credentials(
        _configuration(first), _renewed(files, first), require_client_authentication=True
    )


def client_credentials(folder: Path) -> grpc.ChannelCredentials:
    """Return the credentials of a caller.

    Raises:
        MachineError: a file is missing.
    """
    key, certificate, authority = read(client_files(folder))
    return grpc.ssl_channel_credentials(authority, key, certificate)


class ClientsOnly(grpc.ServerInterceptor):  # type: ignore[misc]
    """Refuses a certificate that may stand for a server.

    The same authority signs the certificate of the SuperNode's runtime API, which lies in the DMZ and would otherwise
    open the control plane.
    """

    def intercept_service(
        self, continuation: Callable[[Any], Any], details: grpc.HandlerCallDetails
    ) -> Any:
        """Have every call look at its caller first."""
        handler = continuation(details)
        if handler is None:
            return None
        name = "unary_stream" if handler.response_streaming else "unary_unary"
        return handler._replace(**{name: _guarded(getattr(handler, name))})


def _guarded(answer: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def guarded(request: Any, context: grpc.ServicerContext) -> Any:
        shown = context.auth_context().get("x509_pem_cert", [b""])[0]
        if not may_call(shown):
            context.abort(
                grpc.StatusCode.PERMISSION_DENIED, "This certificate is not one of a client."
            )
        return answer(request, context)

    return guarded


def may_call(certificate: bytes) -> bool:
    """Whether a certificate, which TLS found valid, is that of a client and of no server."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID as Use

    try:
        found = x509.load_pem_x509_certificate(certificate)
        uses = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    return Use.CLIENT_AUTH in uses and Use.SERVER_AUTH not in uses


def read(files: Files) -> tuple[bytes, ...]:
    """Read keys and certificates.

    Raises:
        MachineError: one is missing or may not be read.
    """
    try:
        return tuple(path.read_bytes() for path in files)
    except OSError as error:
        raise MachineError(
            f"A certificate or key of the control plane cannot be read ({error.strerror}).",
            where=str(error.filename),
            fix="Make it with 'consilium site renew', or copy it from the site's .consilium/tls folder.",
        ) from None


def _configuration(content: tuple[bytes, ...]) -> grpc.ServerCertificateConfiguration:
    key, certificate, authority = content
    return grpc.ssl_server_certificate_configuration([(key, certificate)], authority)


def _renewed(
    files: Files, first: tuple[bytes, ...]
) -> Callable[[], grpc.ServerCertificateConfiguration | None]:
    """Return what gRPC asks at each handshake: new files, or None when they are the same or half written."""
    used = first

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal used
        try:
            found = read(files)
        except MachineError:
            return None
        if found == used or not _belong_together(found):
            return None
        used = found
        return _configuration(found)

    return fetch


def _belong_together(content: tuple[bytes, ...]) -> bool:
    """Whether a key is that of a certificate; while they are being renewed, one is new and one is old."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key, certificate, _ = content
    try:
        private = load_pem_private_key(key, None)
        return private.public_key() == x509.load_pem_x509_certificate(certificate).public_key()
    except (ValueError, TypeError):
        return False
