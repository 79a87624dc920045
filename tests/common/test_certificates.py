"""Certificates: what is made can be used by TLS, and what is read is said right."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from common.certificates import (
    Pair,
    describe,
    fits,
    issue,
    load_certificate,
    make_authority,
    signed_by,
)
from common.errors import MachineError, StudyError


def pair(folder: Path, name: str) -> Pair:
    """The files of a certificate."""
    return Pair(folder / f"{name}.crt", folder / f"{name}.key")


@pytest.fixture
def authority(tmp_path: Path) -> Pair:
    """An authority of its own."""
    files = pair(tmp_path, "ca")
    make_authority(files, "Consilium of the north")
    return files


def handshake(server: Pair, authority: Pair, host: str, client: Pair | None = None) -> str:
    """Connect over TLS; return the error, or nothing."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(server.certificate, server.key)
    if client is not None:
        serving.verify_mode = ssl.CERT_REQUIRED
        serving.load_verify_locations(authority.certificate)
    calling = ssl.create_default_context(cafile=str(authority.certificate))
    calling.verify_flags |= ssl.VERIFY_X509_STRICT
    if client is not None and client.key.exists():
        calling.load_cert_chain(client.certificate, client.key)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_serve, args=(listening, serving))
        thread.start()
        try:
            with (
                socket.create_connection(listening.getsockname(), timeout=5) as raw,
                calling.wrap_socket(raw, server_hostname=host) as secure,
            ):
                return "" if secure.recv(5) == b"hello" else "no answer"
        except OSError as error:
            return str(error)
        finally:
            thread.join()


def _serve(listening: socket.socket, context: ssl.SSLContext) -> None:
    raw, _ = listening.accept()
    try:
        with context.wrap_socket(raw, server_side=True) as secure:
            secure.sendall(b"hello")
    except OSError:
        raw.close()


def test_a_server_is_who_it_says(tmp_path: Path, authority: Pair) -> None:
    server = pair(tmp_path, "server")
    issue(server, authority, "fl.example.org", ["fl.example.org", "127.0.0.1"])
    assert handshake(server, authority, "fl.example.org") == ""
    assert handshake(server, authority, "127.0.0.1") == ""
    assert "mismatch" in handshake(server, authority, "other.example.org")


def test_a_client_proves_itself(tmp_path: Path, authority: Pair) -> None:
    server, client, nobody = (pair(tmp_path, name) for name in ("server", "client", "nobody"))
    issue(server, authority, "server", ["localhost"])
    issue(client, authority, "console")
    assert handshake(server, authority, "localhost", client) == ""
    assert handshake(server, authority, "localhost", nobody) != ""


def test_a_client_certificate_serves_nobody(tmp_path: Path, authority: Pair) -> None:
    client = pair(tmp_path, "client")
    issue(client, authority, "console")
    assert "purpose" in handshake(client, authority, "localhost")


def test_another_authority_is_not_believed(tmp_path: Path, authority: Pair) -> None:
    other, server = pair(tmp_path, "other"), pair(tmp_path, "server")
    make_authority(other, "Consilium of the north")
    issue(server, authority, "server", ["localhost"])
    assert "verify failed" in handshake(server, other, "localhost")
    certificate = load_certificate(server.certificate)
    assert signed_by(certificate, load_certificate(authority.certificate))
    assert not signed_by(certificate, load_certificate(other.certificate))


def test_files_have_the_right_modes(tmp_path: Path, authority: Pair) -> None:
    assert authority.key.stat().st_mode & 0o777 == 0o600
    assert authority.certificate.stat().st_mode & 0o777 == 0o644


def test_what_a_certificate_says(tmp_path: Path, authority: Pair) -> None:
    server = pair(tmp_path, "server")
    issue(server, authority, "a server", ["fl.example.org", "10.0.0.7", "::1"], days=90)
    found = describe(server.certificate)
    assert (found.subject, found.issuer) == ("a server", "Consilium of the north")
    assert found.names == ("fl.example.org", "10.0.0.7", "::1")
    assert found.days_left in (89, 90)
    assert not found.authority
    assert describe(authority.certificate).authority
    assert describe(authority.certificate).days_left > 3600


def test_which_hosts_match(tmp_path: Path, authority: Pair) -> None:
    server = pair(tmp_path, "server")
    issue(server, authority, "server", ["FL.example.org", "*.hospital.example", "::1"])
    found = describe(server.certificate)
    assert found.matches("fl.EXAMPLE.org.")
    assert found.matches("a.hospital.example")
    assert found.matches("[0:0:0:0:0:0:0:1]")
    for other in ("example.org", "b.a.hospital.example", "hospital.example", "127.0.0.1"):
        assert not found.matches(other), other


def test_a_renewal_keeps_the_key_and_outlives_the_old(tmp_path: Path, authority: Pair) -> None:
    server = pair(tmp_path, "server")
    issue(server, authority, "server", ["localhost"], days=-1)
    assert describe(server.certificate).days_left < 0
    assert "expired" in handshake(server, authority, "localhost")
    before = server.key.read_bytes()
    issue(server, authority, "server", ["localhost"])
    assert server.key.read_bytes() == before
    assert fits(server)
    assert handshake(server, authority, "localhost") == ""


def test_a_certificate_does_not_outlive_its_authority(tmp_path: Path) -> None:
    short, server = pair(tmp_path, "short"), pair(tmp_path, "server")
    make_authority(short, "short", days=10)
    issue(server, short, "server", ["localhost"])
    assert describe(server.certificate).expires == describe(short.certificate).expires


def test_a_key_of_another_certificate_does_not_fit(tmp_path: Path, authority: Pair) -> None:
    server = pair(tmp_path, "server")
    issue(server, authority, "server", ["localhost"])
    assert not fits(Pair(server.certificate, authority.key))


def test_unusable_files_say_so(tmp_path: Path, authority: Pair) -> None:
    junk = tmp_path / "junk"
    junk.write_text("hello")
    with pytest.raises(MachineError, match="holds no certificate"):
        describe(junk)
    with pytest.raises(MachineError, match="no such certificate"):
        describe(tmp_path / "missing")
    with pytest.raises(MachineError, match="private key"):
        issue(pair(tmp_path, "server"), Pair(authority.certificate, junk), "server")
    with pytest.raises(StudyError, match="neither a host name"):
        issue(pair(tmp_path, "server"), authority, "server", ["exa\ud800mple"])


def test_openssl_accepts_the_chain(tmp_path: Path, authority: Pair) -> None:
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("openssl is not installed")
    server = pair(tmp_path, "server")
    issue(server, authority, "server", ["localhost"])
    command = [openssl, "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile"]
    ran = subprocess.run(
        [*command, str(authority.certificate), str(server.certificate)],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
