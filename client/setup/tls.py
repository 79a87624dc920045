"""The site's own certificates: for the runtime API between its two halves, and for its control plane.

They serve inside the hospital only. The coordinator's certificate is another matter: see `[connection] certificates`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from client.site_folder import SiteFolder
from common.certificates import Pair, describe, issue, make_authority


@dataclass(frozen=True)
class SiteTls:
    """The files of a site's certificates.

    Attributes:
        folder: of the site.
    """

    folder: SiteFolder

    @property
    def authority(self) -> Pair:
        """The site's own authority; its key is needed for renewals only and may be kept elsewhere."""
        return self._pair("ca")

    @property
    def runtime(self) -> Pair:
        """What the SuperNode shows to the agent."""
        return self._pair("runtime")

    @property
    def control_server(self) -> Pair:
        """What the control plane shows where it listens on a port."""
        return self._pair("control-server")

    @property
    def control_client(self) -> Pair:
        """What the command line shows to such a control plane."""
        return self._pair("control-client")

    def issue(
        self, name: str, *, runtime_hosts: Sequence[str], control_hosts: Sequence[str]
    ) -> None:
        """Make or renew the certificates; the authority is made once.

        Raises:
            MachineError: a file cannot be read or written.
            StudyError: a host is neither a name nor an address.
        """
        if not self.authority.certificate.exists():
            make_authority(self.authority, f"{name}: authority of the site")
        issue(self.runtime, self.authority, f"{name}: runtime", runtime_hosts)
        issue(self.control_server, self.authority, f"{name}: control plane", control_hosts)
        issue(self.control_client, self.authority, f"{name}: command line")

    def hosts(self, files: Pair) -> tuple[str, ...]:
        """Return the host names that a certificate stands for, to renew it for the same ones."""
        return describe(files.certificate).names

    def _pair(self, name: str) -> Pair:
        return Pair(self.folder.tls / f"{name}.crt", self.folder.tls / f"{name}.key")
