"""Machines that are none: network namespaces with cables between them, which vanish with the process that made them.

A namespace lives as long as a file of this process is open, or a process is in it, so that nothing is left behind.
Processes that are started, and sockets that are opened, within `Machine.entered` belong to that machine.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

_NEW_NETWORK = 0x40000000
_OUTGOING = 4
_EVERY_PROTOCOL, _IP = 0x0003, 0x0800
_TCP, _UDP = 6, 17
_SYN, _ACK = 0x02, 0x10
_OWN = "/proc/thread-self/ns/net"

_libc = ctypes.CDLL(None, use_errno=True)


def unavailable() -> str:
    """Return why there can be no namespaces here, or nothing."""
    if shutil.which("ip") is None:
        return "iproute2 is not installed"
    try:
        probe = Machine("probe")
    except OSError as error:
        return f"network namespaces are not permitted: {error.strerror}"
    probe.close()
    return ""


class Call(NamedTuple):
    """An attempt to reach another machine.

    Attributes:
        protocol: tcp, udp, or a number.
        host, port: whom.
    """

    protocol: str
    host: str
    port: int


class Machine:
    """A network namespace with a loopback of its own, which forwards nothing.

    Args:
        name: for messages.

    Raises:
        OSError: it is not permitted.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._file = _new_namespace()
        self.ip("link", "set", "lo", "up")
        self._set("ipv4/ip_forward", "0")
        self._set("ipv6/conf/all/disable_ipv6", "1")

    @property
    def path(self) -> str:
        """Where other programs find the namespace, while this process lives."""
        return f"/proc/{os.getpid()}/fd/{self._file}"

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Have the calling thread, and what it starts, be on this machine."""
        back = os.open(_OWN, os.O_RDONLY)
        try:
            _enter(self._file)
            yield
        finally:
            _enter(back)
            os.close(back)

    def ip(self, *words: str) -> None:
        """Run iproute2's `ip` on it."""
        with self.entered():
            subprocess.run(["ip", *words], check=True, capture_output=True)

    def listening(self) -> set[tuple[str, int]]:
        """Return the addresses and ports that other machines could reach, if they had a way."""
        found = set()
        for line in self._read("tcp").splitlines()[1:]:
            local, _, state = line.split()[1:4]
            host, port = local.split(":")
            address = socket.inet_ntoa(struct.pack("=I", int(host, 16)))
            if state == "0A" and not address.startswith("127."):
                found.add((address, int(port, 16)))
        return found

    def without_route(self) -> int:
        """Return how often something here called an address to which no way leads."""
        names, values = (
            line.split() for line in self._read("snmp").splitlines() if line.startswith("Ip:")
        )
        return int(values[names.index("OutNoRoutes")])

    def close(self) -> None:
        """Let go of it; it vanishes when the last process in it has ended."""
        os.close(self._file)

    def _read(self, name: str) -> str:
        with self.entered():
            return Path(f"/proc/thread-self/net/{name}").read_text()

    def _set(self, key: str, value: str) -> None:
        with self.entered():
            path = Path("/proc/sys/net") / key
            if path.exists():
                path.write_text(value)


@dataclass
class Cable:
    """A cable between two machines.

    Attributes:
        ends: the machines, and what each calls its end.
    """

    ends: dict[str, tuple[Machine, str]]

    @classmethod
    def lay(cls, one: tuple[Machine, str], other: tuple[Machine, str]) -> Cable:
        """Connect two machines, each with its address, such as 10.0.0.1/30."""
        (first, first_address), (second, second_address) = one, other
        names = (f"to-{second.name}"[:15], f"to-{first.name}"[:15])
        first.ip("link", "add", names[0], "type", "veth", "peer", names[1], "netns", second.path)
        cable = cls({first.name: (first, names[0]), second.name: (second, names[1])})
        for machine, end, address in zip(
            (first, second), names, (first_address, second_address), strict=True
        ):
            machine.ip("address", "add", address, "dev", end)
            machine.ip("link", "set", end, "up")
        return cable

    def pull(self, at: Machine) -> None:
        """Unplug it at one machine: the other one sends into the void."""
        _, end = self.ends[at.name]
        at.ip("link", "set", end, "down")

    def plug(self, at: Machine) -> None:
        """Put it back."""
        _, end = self.ends[at.name]
        at.ip("link", "set", end, "up")

    @contextmanager
    def pulled(self, at: Machine) -> Iterator[None]:
        """Have it unplugged for a while."""
        self.pull(at)
        try:
            yield
        finally:
            self.plug(at)


@dataclass
class Listener:
    """Notes whom a machine calls over its cables, while it is entered; answers to others' calls are none.

    Attributes:
        machine: that is watched.
        calls: each destination once.
    """

    machine: Machine
    calls: set[Call] = field(default_factory=set)

    def __enter__(self) -> Listener:
        with self.machine.entered():
            self._socket = socket.socket(
                socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_EVERY_PROTOCOL)
            )
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._socket.settimeout(0.2)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                packet, (interface, protocol, direction, *_) = self._socket.recvfrom(128)
            except TimeoutError:
                continue
            if direction != _OUTGOING or interface == "lo":
                continue
            if protocol == _IP and (call := _call(packet)) is not None:
                self.calls.add(call)


def _call(packet: bytes) -> Call | None:
    """Return whom an IPv4 packet calls; None where it belongs to a conversation that goes on."""
    protocol, header = packet[9], 4 * (packet[0] & 15)
    host = socket.inet_ntoa(packet[16:20])
    if protocol not in (_TCP, _UDP):
        return Call(str(protocol), host, 0)
    (port,) = struct.unpack("!H", packet[header + 2 : header + 4])
    if protocol == _TCP and packet[header + 13] & (_SYN | _ACK) != _SYN:
        return None
    return Call("tcp" if protocol == _TCP else "udp", host, port)


def _new_namespace() -> int:
    """Make a namespace and return a file that keeps it; the calling thread stays where it is."""
    back = os.open(_OWN, os.O_RDONLY)
    try:
        _checked(_libc.unshare(_NEW_NETWORK))
        try:
            return os.open(_OWN, os.O_RDONLY)
        finally:
            _enter(back)
    finally:
        os.close(back)


def _enter(file: int) -> None:
    _checked(_libc.setns(file, _NEW_NETWORK))


def _checked(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
