"""Where a coordinator keeps what its server needs: keys, secrets, enrolled sites, runs, logs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from common.errors import StudyError
from common.study_file import read_toml
from server.deployment.config import FILE_NAME, ServerFile, parse_server_file
from server.run_folder import RunFolder


@dataclass(frozen=True)
class CoordinatorFolder:
    """The paths below the folder of a server.toml.

    Attributes:
        path: the folder that holds server.toml.
    """

    path: Path

    @property
    def file(self) -> Path:
        """The server.toml itself."""
        return self.path / FILE_NAME

    @property
    def tls(self) -> Path:
        """Certificates and their keys."""
        return self.path / "tls"

    @property
    def authority(self) -> Path:
        """The certificate of the coordinator's own authority; hospitals trust it, unless the server's is another's."""
        return self.tls / "ca.crt"

    @property
    def authority_key(self) -> Path:
        """What signs certificates; needed only to issue new ones."""
        return self.tls / "ca.key"

    @property
    def certificate(self) -> Path:
        """What the proxy shows to hospitals."""
        return self.tls / "server.crt"

    @property
    def key(self) -> Path:
        """The key of that certificate."""
        return self.tls / "server.key"

    @property
    def loopback_certificate(self) -> Path:
        """What the SuperLink shows to the proxy and to the commands on this machine."""
        return self.tls / "loopback.crt"

    @property
    def loopback_key(self) -> Path:
        """The key of that certificate."""
        return self.tls / "loopback.key"

    @property
    def proxy_config(self) -> Path:
        """What nginx reads; written anew from server.toml at every start."""
        return self.path / "nginx.conf"

    @property
    def database(self) -> Path:
        """The SuperLink's state."""
        return self.path / "superlink.db"

    @property
    def superexec_secret(self) -> Path:
        """What the SuperLink and its SuperExec share."""
        return self.path / "superexec.secret"

    @property
    def flower_home(self) -> Path:
        """FLWR_HOME of the coordinator's Flower processes."""
        return self.path / "flower"

    @property
    def sites(self) -> Path:
        """The enrolled sites, by name."""
        return self.path / "sites.json"

    @property
    def runs(self) -> Path:
        """One folder a run."""
        return self.path / "runs"

    @property
    def logs(self) -> Path:
        """Logs of the server's processes."""
        return self.path / "logs"

    @property
    def running(self) -> Path:
        """Locks and temporary files of the running server."""
        return self.path / "run"

    @property
    def lock(self) -> Path:
        """Held by the running server."""
        return self.running / "server.lock"

    def run(self, name: str) -> RunFolder:
        """Return the folder of one run."""
        return RunFolder(self.runs / name)

    def settings(self) -> ServerFile:
        """Read and check server.toml.

        Raises:
            StudyError: it is missing, or naming the key that is wrong and the nearest known one.
        """
        if not self.file.exists():
            raise StudyError(
                "This is not the folder of a coordinator.",
                where=str(self.file),
                fix="Give the folder that 'consilium server init' made.",
            )
        return parse_server_file(read_toml(self.file, "server"), where=str(self.file))


def open_folder(path: Path) -> CoordinatorFolder:
    """Return the folder of a coordinator, checked to be one; its server.toml may be named instead.

    Raises:
        StudyError: there is no server.toml.
    """
    path = Path(path).resolve()
    folder = CoordinatorFolder(path.parent if path.name == FILE_NAME else path)
    folder.settings()
    return folder
