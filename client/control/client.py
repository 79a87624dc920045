"""Calls a running site's control plane, for the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from client.control.problems import heard
from client.control.sockets import Nearby, answers
from client.control.tls import client_credentials
from common.errors import ConsiliumError, MachineError
from common.proto.site_control_pb2_grpc import SiteControlStub

SECONDS = 20.0
"""A call that takes longer has failed; to account anew for a long ledger takes a few."""


@dataclass(frozen=True)
class Place:
    """Where a control plane is.

    Attributes:
        socket: of a service on this machine; None: it is reached over the network.
        address: host:port.
        certificates: the folder of the caller's key and certificate.
    """

    socket: Path | None
    address: str = ""
    certificates: Path = Path()

    def __str__(self) -> str:
        return str(self.socket or self.address)


@contextmanager
def connected(place: Place) -> Iterator[SiteControlStub]:
    """Call a control plane; whatever goes wrong becomes an error for people.

    Raises:
        MachineError: nobody answers, or it does not let this user in.
        ConsiliumError: what the service answered.
    """
    try:
        if place.socket is not None:
            with _local(place.socket) as channel:
                yield SiteControlStub(channel)
        else:
            credentials = client_credentials(place.certificates)
            with grpc.secure_channel(place.address, credentials, options=_OPTIONS) as channel:
                yield SiteControlStub(channel)
    except grpc.RpcError as error:
        raise explained(error, place) from None


_OPTIONS = (("grpc.max_receive_message_length", 16 << 20), ("grpc.enable_http_proxy", 0))


@contextmanager
def _local(path: Path) -> Iterator[grpc.Channel]:
    """Look first whether somebody listens: what gRPC says about that is not for people."""
    try:
        listening = answers(path)
    except PermissionError:
        raise MachineError(
            "This user may not steer the site.",
            where=str(path),
            fix="Run the command as root or as the user that the service runs as.",
        ) from None
    if not listening:
        raise stopped(str(path))
    with (
        Nearby(path.parent) as near,
        grpc.insecure_channel(f"unix:{near(path.name)}", options=_OPTIONS) as channel,
    ):
        yield channel


def stopped(where: str) -> MachineError:
    """Return the error for a service that does not run."""
    return MachineError(
        "The site's service is not running.",
        where=where,
        fix="Start it with 'consilium site start', and wait for 'agent is ready'; its log says why it ended.",
    )


def explained(error: grpc.RpcError, place: Place) -> ConsiliumError:
    """Turn what gRPC says into what a person can use."""
    told = heard(error)
    if told is not None:
        return told
    code = error.code() if isinstance(error, grpc.Call) else None
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return MachineError(
            f"The service did not answer within {SECONDS:.0f} s.",
            where=str(place),
            fix="See the agent's log and the machine's load; 'consilium site health' tells more once it answers.",
        )
    if code == grpc.StatusCode.PERMISSION_DENIED:
        return MachineError(
            "The certificate shown may not steer the site.",
            where=str(place.certificates),
            fix="Use control-client.crt and its key, not those of a server.",
        )
    if code != grpc.StatusCode.UNAVAILABLE:
        said = error.details() if isinstance(error, grpc.Call) else str(error)
        return MachineError(f"The service could not answer: {said}", where=str(place))
    if place.socket is not None:
        return MachineError(
            "The service hung up: it was just stopped, or does not let this user in.",
            where=str(place),
            fix="Run the command as root or as the service's user, or start it with 'consilium site start'.",
        )
    return MachineError(
        "The service is not reached, or one of the two does not accept the other's certificate.",
        where=str(place),
        fix=f"See that it runs and that {place.certificates} holds ca.crt, control-client.crt and control-client.key "
        "of this site, none of them expired.",
    )
