"""The control plane over the network: mutual TLS, and nobody else."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from processes import wait_until

from client.control.client import Place, connected
from client.control.server import ControlServer
from client.site_folder import SiteFolder
from common.certificates import Pair, describe, issue, make_authority
from common.errors import MachineError
from common.proto import site_control_pb2 as pb

LOCAL = "127.0.0.1:0"


def pair(folder: Path, name: str) -> Pair:
    """The files of a certificate."""
    return Pair(folder / f"{name}.crt", folder / f"{name}.key")


def certificates(folder: Path, *, hosts: tuple[str, ...] = ("127.0.0.1",), days: int = 30) -> Pair:
    """Make an authority with the certificates of service and caller; returns the authority."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = pair(folder, "ca")
    make_authority(authority, "site authority")
    issue(pair(folder, "control-server"), authority, "control-server", hosts, days=days)
    issue(pair(folder, "control-client"), authority, "control-client")
    return authority


def site_of(place: Place) -> str:
    """Call once."""
    with connected(place) as stub:
        return str(stub.Status(pb.StatusRequest(), timeout=10).status.site)


@pytest.fixture
def served(start: Callable[..., ControlServer], folder: SiteFolder) -> Place:
    """A control plane on a port."""
    certificates(folder.tls)
    return Place(None, start(control=LOCAL).address, folder.tls)


def test_the_sites_own_certificate_is_let_in(served: Place) -> None:
    assert site_of(served) == "north"


def test_a_certificate_of_another_authority_is_refused(served: Place, tmp_path: Path) -> None:
    certificates(tmp_path / "foreign")
    stolen = tmp_path / "stolen"  # knows the true authority, but holds a certificate of another
    stolen.mkdir()
    for name in ("control-client.crt", "control-client.key"):
        (stolen / name).write_bytes((tmp_path / "foreign" / name).read_bytes())
    (stolen / "ca.crt").write_bytes((served.certificates / "ca.crt").read_bytes())
    with pytest.raises(MachineError, match="accept"):
        site_of(replace(served, certificates=stolen))
    with pytest.raises(MachineError, match="accept"):
        site_of(replace(served, certificates=tmp_path / "foreign"))


def test_no_certificate_and_no_tls_are_refused(served: Place) -> None:
    authority = (served.certificates / "ca.crt").read_bytes()
    trusting = grpc.ssl_channel_credentials(authority)
    for channel in (
        grpc.secure_channel(served.address, trusting),
        grpc.insecure_channel(served.address),
    ):
        with channel, pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/consilium.v1.SiteControl/Status")(b"", timeout=10)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


def test_a_servers_certificate_of_the_same_authority_steers_nothing(
    served: Place, tmp_path: Path
) -> None:
    """The SuperNode's certificate lies in the DMZ."""
    tls = served.certificates
    issue(pair(tmp_path, "control-client"), pair(tls, "ca"), "runtime", ("dmz-host",))
    (tmp_path / "ca.crt").write_bytes((tls / "ca.crt").read_bytes())
    with pytest.raises(MachineError, match="may not steer"):
        site_of(replace(served, certificates=tmp_path))
    watching = pytest.raises(MachineError, match="may not steer")
    with watching, connected(replace(served, certificates=tmp_path)) as stub:
        next(stub.Watch(pb.WatchRequest(), timeout=10))


def test_a_caller_refuses_a_service_of_another_name(
    start: Callable[..., ControlServer], folder: SiteFolder
) -> None:
    certificates(folder.tls, hosts=("elsewhere.example",))
    with pytest.raises(MachineError, match="accept"):
        site_of(Place(None, start(control=LOCAL).address, folder.tls))


def test_garbage_on_the_port_changes_nothing(served: Place) -> None:
    host, _, port = served.address.rpartition(":")
    for content in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(4000), b"\x16\x03\x01\xff\xff" * 100):
        with socket.create_connection((host, int(port)), timeout=5) as raw:
            raw.sendall(content)
    assert site_of(served) == "north"


def test_a_renewed_certificate_is_taken_up_without_a_restart(served: Place) -> None:
    tls = served.certificates
    before = describe(tls / "control-server.crt").fingerprint
    issue(pair(tls, "control-server"), pair(tls, "ca"), "control-server", ("127.0.0.1",), days=60)
    renewed = describe(tls / "control-server.crt").fingerprint
    assert renewed != before
    assert shown(served) == renewed
    (tls / "control-server.crt").write_text("half written")
    assert shown(served) == renewed


def shown(place: Place) -> str:
    """The fingerprint of the certificate that the service shows."""
    import hashlib
    import ssl

    context = ssl.create_default_context(cafile=place.certificates / "ca.crt")
    context.load_cert_chain(
        place.certificates / "control-client.crt", place.certificates / "control-client.key"
    )
    context.set_alpn_protocols(["h2"])
    host, _, port = place.address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname=host) as connection,
    ):
        certificate = connection.getpeercert(binary_form=True)
    assert certificate is not None
    return hashlib.sha256(certificate).hexdigest()


def test_missing_certificates_say_how_to_make_them(start: Callable[..., ControlServer]) -> None:
    with pytest.raises(MachineError, match="cannot be read") as caught:
        start(control=LOCAL)
    assert "site renew" in caught.value.fix


def test_a_port_in_use_is_said(start: Callable[..., ControlServer], served: Place) -> None:
    with pytest.raises(MachineError, match="cannot listen"):
        start(control=served.address)
    assert site_of(served) == "north"


def test_an_expired_certificate_of_the_control_plane_is_unhealthy(
    start: Callable[..., ControlServer], folder: SiteFolder
) -> None:
    """Nobody can call then, but the metrics page and the log still tell."""
    certificates(folder.tls, days=-1)
    server = start(control=LOCAL)
    wait_until(lambda: "certificate" in {r.check for r in server.monitor.health().reasons})
