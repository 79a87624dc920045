"""Flower's Control API on this machine's loopback: the only module of the coordinator that calls it.

A contract test tells what another version of Flower broke.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from common.errors import MachineError, RunError, StudyError
from server.deployment.flower_records import UNREGISTERED, FlowerRun, NodeState, node_of, run_of
from server.deployment.folder import CoordinatorFolder

if TYPE_CHECKING:
    from flwr.supercore.control import ControlHttpClient

AnswerT = TypeVar("AnswerT")

KEY_IN_USE, NO_NODE, NO_RUN, RUN_FINISHED = 23, 24, 16, 18
"""Flower's numbers for what can be told apart; the contract test compares them with its own."""


class Control:
    """Calls the SuperLink of a coordinator; use `connected`."""

    def __init__(self, client: ControlHttpClient, where: str) -> None:
        self._client = client
        self._where = where

    def register(self, public: str, name: str) -> int:
        """Let a site's node in and return Flower's id of it; a node that is in already is only returned.

        Args:
            public: the site's public node key, as OpenSSH writes it.
            name: of the site.

        Raises:
            StudyError: the key was shut out earlier; Flower never takes it again.
        """
        from flwr.proto.control_pb2 import ListNodesRequest, RegisterNodeRequest

        pem = _pem(public)
        for known in self._call(self._client.ListNodes, ListNodesRequest()).nodes_info:
            if known.public_key == pem and known.status != UNREGISTERED:
                return int(known.node_id)
        request = RegisterNodeRequest(public_key=pem, name=name)
        return int(self._call(self._client.RegisterNode, request).node_id)

    def unregister(self, node: int) -> None:
        """Shut a node out; one that is unknown is out already."""
        from flwr.proto.control_pb2 import UnregisterNodeRequest

        try:
            self._call(self._client.UnregisterNode, UnregisterNodeRequest(node_id=node))
        except _Unknown:
            return

    def nodes(self) -> list[NodeState]:
        """Return every node that was ever registered."""
        from flwr.proto.control_pb2 import ListNodesRequest

        answer = self._call(self._client.ListNodes, ListNodesRequest())
        return [node_of(info) for info in answer.nodes_info]

    def start_run(self, bundle: bytes, sha256: str, run: str) -> int:
        """Start a run of a bundle and return Flower's id of it.

        Args:
            bundle: the bytes.
            sha256: theirs.
            run: the name of the run's folder; the ServerApp is told.

        Raises:
            MachineError: Flower made no run.
        """
        from flwr.proto.control_pb2 import StartRunRequest
        from flwr.proto.fab_pb2 import Fab
        from flwr.proto.transport_pb2 import Scalar

        request = StartRunRequest(
            fab=Fab(hash_str=sha256, content=bundle), override_config={"run": Scalar(string=run)}
        )
        answer = self._call(self._client.StartRun, request)
        if not answer.run_id:
            raise MachineError("The SuperLink started no run.", where=self._where)
        return int(answer.run_id)

    def stop_run(self, run: int) -> None:
        """Stop a run; one that ended already stays as it is."""
        from flwr.proto.control_pb2 import StopRunRequest

        try:
            self._call(self._client.StopRun, StopRunRequest(run_id=run))
        except _Unknown:
            return

    def runs(self, limit: int = 1000) -> list[FlowerRun]:
        """Return the newest runs, the newest first."""
        from flwr.proto.control_pb2 import ListRunsRequest

        answer = self._call(self._client.ListRuns, ListRunsRequest(limit=limit))
        found = [run_of(run) for run in answer.run_dict.values()]
        return sorted(found, key=lambda run: (run.submitted is None, run.submitted), reverse=True)

    def _call(self, method: Callable[[Any], AnswerT], request: Any) -> AnswerT:
        import httpx

        try:
            return method(request)
        except httpx.HTTPStatusError as error:
            raise self._explained(error.response.text) from None
        except (httpx.HTTPError, ValueError) as error:
            raise not_running(self._where, type(error).__name__) from None

    def _explained(self, text: str) -> Exception:
        from flwr.supercore.error import FlowerError

        error = FlowerError.from_json(text)
        if error is None:
            return MachineError(
                "The SuperLink met an error of its own.",
                where=self._where,
                fix="See logs/superlink.log in the coordinator's folder.",
            )
        if error.code in (NO_NODE, NO_RUN, RUN_FINISHED):
            return _Unknown(error.message)
        if error.code == KEY_IN_USE:
            return StudyError(
                "This key was enrolled and removed; it stays shut out for good.",
                fix="Have the site make a new key, and enrol that one.",
            )
        return RunError(f"The SuperLink refuses: {error.message}", where=self._where)


class _Unknown(Exception):
    """What is asked about is gone."""


def not_running(where: str, why: str = "") -> RunError:
    """The error of every command that needs the server."""
    reason = f" ({why})" if why else ""
    return RunError(
        f"The coordinator's server does not answer{reason}.",
        where=where,
        fix="Start it with 'consilium server start', or look at logs/superlink.log.",
    )


@contextmanager
def connected(folder: CoordinatorFolder, seconds: float = 30.0) -> Iterator[Control]:
    """Give a connection to the SuperLink of a coordinator, over TLS on the loopback.

    Args:
        folder: the coordinator's.
        seconds: that a call may take.
    """
    import ssl

    from flwr.supercore.control import ControlHttpClient

    where = f"127.0.0.1:{folder.settings().superlink.port}"
    beside_the_proxies(os.environ)
    context = ssl.create_default_context(cafile=str(folder.authority))
    client = ControlHttpClient(f"https://{where}", verify=context, timeout=seconds)
    try:
        yield Control(client, where)
    finally:
        client.close()


def beside_the_proxies(environment: MutableMapping[str, str]) -> None:
    """Have calls to this machine itself not go through the house's web proxy, where one is set."""
    if any(
        name in environment for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
    ):
        for name in ("NO_PROXY", "no_proxy"):
            listed = [each for each in environment.get(name, "").split(",") if each]
            environment[name] = ",".join(dict.fromkeys([*listed, "127.0.0.1", "localhost"]))


def _pem(public: str) -> bytes:
    """Write a public key as Flower's Control API takes it."""
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_ssh_public_key(public.encode())
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def nodes_if_running(folder: CoordinatorFolder) -> list[NodeState] | None:
    """Return the nodes; None when the server does not answer."""
    return _if_running(folder, Control.nodes)


def runs_if_running(folder: CoordinatorFolder) -> list[FlowerRun] | None:
    """Return the runs; None when the server does not answer."""
    return _if_running(folder, Control.runs)


def _if_running(folder: CoordinatorFolder, ask: Callable[[Control], AnswerT]) -> AnswerT | None:
    try:
        with connected(folder, seconds=5.0) as control:
            return ask(control)
    except RunError:
        return None
