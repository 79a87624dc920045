"""Where a hospital keeps what its service needs: keys, secrets, ledger, logs; all private (modes 700 and 600)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SiteFolder:
    """The paths below the folder of a site.toml.

    Attributes:
        path: the folder that holds site.toml.
    """

    path: Path

    @property
    def private(self) -> Path:
        """What must not be read by others."""
        return self.path / ".consilium"

    @property
    def node_key(self) -> Path:
        """The node key, which proves to a coordinator who calls; its public half lies beside it as node.pub."""
        return self.private / "node"

    @property
    def node_key_public(self) -> Path:
        """What the coordinator enrols."""
        return self.private / "node.pub"

    @property
    def signing_key(self) -> Path:
        """The key that signs approvals."""
        return self.private / "signing"

    @property
    def secret(self) -> Path:
        """32 random bytes that key pseudonyms and the split."""
        return self.private / "secret"

    @property
    def superexec_secret(self) -> Path:
        """What the agent and its SuperNode share."""
        return self.private / "superexec.secret"

    @property
    def ledger(self) -> Path:
        """The site's privacy ledger."""
        return self.private / "site.ledger"

    @property
    def egress_log(self) -> Path:
        """The log of everything that left."""
        return self.private / "site.egress"

    @property
    def inbox(self) -> Path:
        """Studies that coordinators sent, one folder each, named by their bundle's sha256."""
        return self.private / "studies"

    @property
    def states(self) -> Path:
        """Spool and status, one folder a study, named by its fingerprint."""
        return self.private / "state"

    @property
    def cohorts(self) -> Path:
        """Prepared cohorts."""
        return self.private / "cohorts"

    @property
    def logs(self) -> Path:
        """Logs of the service's processes."""
        return self.private / "logs"

    @property
    def tls(self) -> Path:
        """Certificates of the site's own: of the runtime API and of the control plane."""
        return self.private / "tls"

    @property
    def running(self) -> Path:
        """Sockets, locks and notes of the running service; nothing in it outlives the service's use of it."""
        return self.private / "run"

    @property
    def control_socket(self) -> Path:
        """Where the control plane listens."""
        return self.running / "control.sock"

    @property
    def flower_home(self) -> Path:
        """FLWR_HOME of the site's Flower processes."""
        return self.private / "flower"
