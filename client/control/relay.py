"""The door of the control plane: a Unix socket that lets in root and the service's own user, and nobody else.

gRPC cannot tell who is at the other end of a Unix socket. So this door, which people find in the site's private folder,
is a socket of our own: the kernel says who connects (SO_PEERCRED), and what it lets in it passes on, byte for byte, to
gRPC's socket in a folder that only the service's user may enter.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

CONNECTIONS = 64
_CHUNK = 1 << 16

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Peer:
    """Who connects, as the kernel says.

    Attributes:
        pid, uid, gid: of the process, when it connected.
    """

    pid: int
    uid: int
    gid: int


def peer_of(connection: socket.socket) -> Peer:
    """Ask the kernel who is at the other end."""
    shape = struct.Struct("iii")
    return Peer(
        *shape.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, shape.size))
    )


def permitted(peer: Peer) -> bool:
    """Whether somebody may steer the site: root, or the user that the service runs as."""
    return peer.uid in (0, os.geteuid())


class Relay:
    """Passes on the connections of those who may come in; runs in a thread of its own.

    Args:
        door: the listening socket; the relay closes it.
        inner: path of gRPC's socket.
        lets_in: decides.
    """

    def __init__(
        self, door: socket.socket, inner: str, lets_in: Callable[[Peer], bool] = permitted
    ) -> None:
        self._door = door
        self._inner = inner
        self._lets_in = lets_in
        self._inside: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="control door", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Shut the door and hang up on everybody."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        loop = self._loop
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(asyncio.start_unix_server(self._enter, sock=self._door))
        loop.run_forever()
        server.close()
        for writer in self._inside:
            writer.transport.abort()
        if left := asyncio.all_tasks(loop):
            loop.run_until_complete(asyncio.wait(left, timeout=5.0))
        loop.close()

    async def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Let one in, or hang up at once."""
        peer = peer_of(writer.get_extra_info("socket"))
        if not self._lets_in(peer):
            log.warning("user id %d (process %d) was refused at the door", peer.uid, peer.pid)
        elif len(self._inside) >= CONNECTIONS:
            log.warning("%d others are connected; process %d was refused", CONNECTIONS, peer.pid)
        else:
            self._inside.add(writer)
            await self._serve(reader, writer)
            self._inside.discard(writer)
        await _hang_up(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass bytes on in both directions until one side hangs up."""
        try:
            inner_reader, inner_writer = await asyncio.open_unix_connection(self._inner)
        except OSError:
            return
        directions = [
            asyncio.ensure_future(_pass_on(reader, inner_writer)),
            asyncio.ensure_future(_pass_on(inner_reader, writer)),
        ]
        await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        for each in directions:
            each.cancel()
        await _hang_up(inner_writer)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while content := await reader.read(_CHUNK):
            writer.write(content)
            await writer.drain()


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
