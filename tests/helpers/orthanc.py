"""A real PACS on loopback: Orthanc from the distribution's packages, started and stopped by a test."""

from __future__ import annotations

import getpass
import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage
from superlink import free_port

from common.certificates import Pair, issue, make_authority

USER, PASSWORD = "fetcher", "let-me-in"
TITLE, OURS = "ORTHANC", "CONSILIUM"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def program() -> str:
    """Return where Orthanc is; skips the test where it is not installed."""
    found = shutil.which("Orthanc", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if found is None or not PLUGIN.exists():
        pytest.skip("needs Debian's packages orthanc and orthanc-dicomweb")
    return found


@dataclass
class Orthanc:
    """A running server.

    Attributes:
        folder: its storage and settings.
        web, dicom: ports.
        listen: port at which a C-MOVE to `OURS` arrives.
        authority: PEM file of the authority of its certificates; none: no encryption.
        front: port of the HTTPS that an nginx serves before it: Debian's own build crashes at its first HTTPS answer.
    """

    folder: Path
    web: int
    dicom: int
    listen: int
    authority: Path | None = None
    front: int = 0
    processes: list[Any] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Root of its HTTP services, as a client sees them."""
        return f"https://127.0.0.1:{self.front}" if self.front else f"http://127.0.0.1:{self.web}"

    def ask(self, path: str, **keys: Any) -> requests.Response:
        """Ask its own interface."""
        verify = str(self.authority) if self.front else True
        call = requests.post if "data" in keys else requests.get
        return call(self.url + path, auth=(USER, PASSWORD), verify=verify, timeout=20, **keys)

    def instances(self) -> int:
        """How many images it holds."""
        return int(self.ask("/statistics").json()["CountInstances"])

    def start(self) -> None:
        """Start, and wait until it answers."""
        commands = [[program(), str(self.folder / "orthanc.json")]]
        if self.front:
            commands.append(
                ["nginx", "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]
            )
        log = (self.folder / "log").open("ab")
        with log:
            self.processes = [
                subprocess.Popen(each, cwd=self.folder, stdout=log, stderr=log) for each in commands
            ]
        end = time.monotonic() + 30
        while True:
            with suppress(requests.RequestException):
                if self.ask("/dicom-web/studies?limit=1").ok:
                    return
            alive = all(each.poll() is None for each in self.processes)
            assert alive, (self.folder / "log").read_text()
            assert time.monotonic() < end, (self.folder / "log").read_text()
            time.sleep(0.1)

    def stop(self) -> None:
        """Pull the plug."""
        for each in self.processes:
            each.terminate() if each is not self.processes[0] else each.kill()
        for each in self.processes:
            each.wait(20)
        self.processes = []

    def store(self, files: Sequence[Path]) -> None:
        """Send by C-STORE."""
        entity = AE(ae_title="SCANNER")
        datasets = [dcmread(file) for file in files]
        for syntax in {each.file_meta.TransferSyntaxUID for each in datasets}:
            entity.add_requested_context(CTImageStorage, syntax)
        association = entity.associate("127.0.0.1", self.dicom, ae_title=TITLE)
        assert association.is_established
        for each in datasets:
            assert association.send_c_store(each).Status == 0
        association.release()

    def stow(self, files: Sequence[Path]) -> None:
        """Send by STOW-RS."""
        parts = b"".join(
            b"--X\r\nContent-Type: application/dicom\r\n\r\n" + file.read_bytes() + b"\r\n"
            for file in files
        )
        kind = 'multipart/related; type="application/dicom"; boundary=X'
        answer = self.ask(
            "/dicom-web/studies", data=parts + b"--X--\r\n", headers={"Content-Type": kind}
        )
        assert answer.ok, answer.text


@contextmanager
def orthanc(folder: Path, *, encrypted: bool = False) -> Iterator[Orthanc]:
    """Start one, and stop it whatever happens."""
    folder.mkdir(parents=True)
    server = Orthanc(folder, free_port(), free_port(), free_port())
    settings: dict[str, Any] = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "HttpPort": server.web,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "DicomPort": server.dicom,
        "DicomAet": TITLE,
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "DicomModalities": {"us": {"AET": OURS, "Host": "127.0.0.1", "Port": server.listen}},
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    if encrypted:
        settings |= _certificates(folder, server)
    (folder / "orthanc.json").write_text(json.dumps(settings))
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _certificates(folder: Path, server: Orthanc) -> dict[str, Any]:
    """Make an authority and the server's certificate; return the settings that use them."""
    authority = Pair(folder / "ca.crt", folder / "ca.key")
    own = Pair(folder / "server.crt", folder / "server.key")
    make_authority(authority, "Test authority")
    issue(own, authority, "127.0.0.1", hosts=["127.0.0.1"])
    server.authority, server.front = authority.certificate, free_port()
    (folder / "nginx.conf").write_text(
        f"user {getpass.getuser()}; daemon off; pid {folder}/nginx.pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; client_max_body_size 0; client_body_temp_path {folder}/body;\n"
        f"proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;\n"
        f"scgi_temp_path {folder}/s; server {{ listen 127.0.0.1:{server.front} ssl;\n"
        f"ssl_certificate {own.certificate}; ssl_certificate_key {own.key};\n"
        f"location / {{ proxy_pass http://127.0.0.1:{server.web}; }} }} }}\n"
    )
    return {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(own.certificate),
        "DicomTlsPrivateKey": str(own.key),
        "DicomTlsTrustedCertificates": str(authority.certificate),
        "DicomTlsRemoteCertificateRequired": False,
    }
