"""Unix sockets in the site's private folder: made safely, and reachable however long the folder's own path is."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import stat
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from common.errors import RunError
from common.files import explain_os_error

_LONGEST = 100
"""The kernel takes about 107 bytes for a socket's path."""


class Nearby:
    """Short names for the files of a folder, however long its own path is; for as long as it is not closed.

    Args:
        folder: an existing folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._handle = os.open(folder, os.O_PATH | os.O_DIRECTORY)

    def __call__(self, name: str) -> str:
        """Return a path for a file of the folder."""
        plain = str(self._folder.absolute() / name)
        if len(os.fsencode(plain)) <= _LONGEST:
            return plain
        return f"/proc/self/fd/{self._handle}/{name}"

    def close(self) -> None:
        """Forget the folder."""
        os.close(self._handle)

    def __enter__(self) -> Nearby:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def answers(path: Path) -> bool:
    """Whether somebody listens at a socket.

    Raises:
        PermissionError: this user may not ask.
    """
    if not path.parent.is_dir():
        return False
    with Nearby(path.parent) as near, socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(5.0)
        try:
            probe.connect(near(path.name))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except TimeoutError:
            return True
        return True


class OwnSocket:
    """A listening socket with mode 600 in a folder with mode 700, and a private folder beside it.

    Whoever holds the lock beside it may take the place of a socket that nobody listens at any more.

    Args:
        path: of the socket.

    Attributes:
        door: the listening socket.
        inner: where the service may put another socket, for itself.

    Raises:
        RunError: another service listens there, or something that is no socket is in the way.
        MachineError: the folder cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rooms = path.parent / f"{path.stem}.inner"
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.parent.chmod(0o700)
            self._near = Nearby(path.parent)
            self._lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
            self._take()
            self.door = self._listen()
        except OSError as error:
            raise explain_os_error(error, path) from error
        self.inner = self._near(f"{self._rooms.name}/grpc.sock")

    def close(self) -> None:
        """Remove what was made; the door itself belongs to whoever listens."""
        self._path.unlink(missing_ok=True)
        shutil.rmtree(self._rooms, ignore_errors=True)
        os.close(self._lock)
        self._near.close()

    def _take(self) -> None:
        """Clear away what a crash left behind, but nothing that is in use."""
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            taken = answers(self._path)
        except BlockingIOError:
            taken = True
        if taken:
            self._give_up()
            raise RunError(
                "The site's service runs already: another process listens at its control socket.",
                where=str(self._path),
                fix="See 'consilium site status', or stop the other one first.",
            )
        with suppress(FileNotFoundError):
            if not stat.S_ISSOCK(self._path.lstat().st_mode):
                self._give_up()
                raise RunError(
                    "Something that is no socket lies where the control socket belongs.",
                    where=str(self._path),
                    fix="Move it away and start the service again.",
                )
            self._path.unlink()
        shutil.rmtree(self._rooms, ignore_errors=True)
        self._rooms.mkdir(mode=0o700)

    def _give_up(self) -> None:
        os.close(self._lock)
        self._near.close()

    def _listen(self) -> socket.socket:
        door = socket.socket(socket.AF_UNIX)
        before = os.umask(0o177)
        try:
            door.bind(self._near(self._path.name))
        except OSError:
            door.close()
            raise
        finally:
            os.umask(before)
        door.listen(64)
        return door
