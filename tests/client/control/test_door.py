"""Who may come in at the Unix socket."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import wait_until

from client.control.relay import Peer, Relay, peer_of, permitted
from client.control.server import serve
from client.site import Site
from client.site_folder import SiteFolder

NOBODY = 65534
# Becomes another user, connects, and prints how many bytes the service says to it.
STRANGER = f"""
import os, socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.settimeout(10)
if sys.argv[2] == "stranger":
    os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
connection.connect(sys.argv[1])
try:
    connection.sendall(b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n\\x00\\x00\\x00\\x04\\x00\\x00\\x00\\x00\\x00")
    print(len(connection.recv(1000)))
except (BrokenPipeError, ConnectionResetError):
    print(0)
"""


def test_root_and_the_services_own_user_may_come_in() -> None:
    assert permitted(Peer(1, 0, 0))
    assert permitted(Peer(1, os.geteuid(), 12345))


@pytest.mark.parametrize("uid", [os.geteuid() + 1, NOBODY, 2**31 - 1])
def test_everybody_else_may_not(uid: int) -> None:
    assert not permitted(Peer(1, uid, 0))


def test_the_kernel_tells_who_is_there() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert peer_of(one) == Peer(os.getpid(), os.geteuid(), os.getegid())


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user may enter."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_turned_away_even_where_the_files_let_him_in(
    running: Any, site: Site, public_folder: Path
) -> None:
    folder = SiteFolder(public_folder)
    server = serve(running, site=site, folder=folder)
    try:
        for path in (folder.private, folder.running):
            path.chmod(0o755)
        folder.control_socket.chmod(0o666)
        said = {}
        for who in ("owner", "stranger"):
            command = [sys.executable, "-c", STRANGER, str(folder.control_socket), who]
            ran = subprocess.run(command, capture_output=True, text=True, timeout=30)
            assert ran.returncode == 0, ran.stderr
            said[who] = int(ran.stdout)
    finally:
        server.stop(0.5)
    assert said["owner"] > 0
    assert said["stranger"] == 0


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[tuple[Path, Callable[..., Relay]]]:
    """A door in front of a service that gives back what it gets: its path, and the function that opens it."""
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    service = socket.socket(socket.AF_UNIX)
    service.bind(str(inner))
    service.listen()

    def answer(connection: socket.socket) -> None:
        with connection:
            while content := connection.recv(1 << 16):
                connection.sendall(content)

    def accept() -> None:
        while True:
            try:
                connection, _ = service.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    made: list[Relay] = []

    def open_door(lets_in: Callable[[Peer], bool] = permitted) -> Relay:
        door = socket.socket(socket.AF_UNIX)
        door.bind(str(outer))
        door.listen()
        made.append(Relay(door, str(inner), lets_in))
        return made[-1]

    yield outer, open_door
    for relay in made:
        relay.close()
    service.shutdown(socket.SHUT_RDWR)
    service.close()


def connected(path: Path) -> socket.socket:
    """Connect to a door."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(str(path))
    return connection


def test_bytes_come_through_unchanged_both_ways(
    echo: tuple[Path, Callable[..., Relay]],
) -> None:
    path, open_door = echo
    open_door()
    sent = os.urandom(3_000_000)
    with connected(path) as connection:
        threading.Thread(target=connection.sendall, args=(sent,)).start()
        got = b""
        while len(got) < len(sent):
            got += connection.recv(1 << 20)
    assert got == sent


def test_who_may_not_come_in_is_hung_up_on(echo: tuple[Path, Callable[..., Relay]]) -> None:
    path, open_door = echo
    asked: list[Peer] = []
    open_door(lambda peer: bool(asked.append(peer)))
    with connected(path) as connection:
        assert connection.recv(10) == b""
    assert asked[0].uid == os.geteuid()


def test_places_are_bounded_and_given_back(
    echo: tuple[Path, Callable[..., Relay]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.control.relay.CONNECTIONS", 3)
    path, open_door = echo
    open_door()

    def served() -> bool:
        with connected(path) as connection:
            try:
                connection.sendall(b"x")
                return connection.recv(1) == b"x"
            except OSError:
                return False

    held = [connected(path) for _ in range(3)]
    for each in held:
        each.sendall(b"x")
        assert each.recv(1) == b"x"
    assert not served()
    for each in held:
        each.close()
    wait_until(served)


def test_closing_hangs_up_on_everybody(echo: tuple[Path, Callable[..., Relay]]) -> None:
    path, open_door = echo
    relay = open_door()
    with connected(path) as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        relay.close()
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
