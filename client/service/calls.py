"""Calls of a SuperNode's runtime API: HTTP, protobuf, and what can go wrong with them.

Part of the executor. All that is read is bounded before it is held.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE
from flwr.supercore.runtime_version_compatibility import RuntimeVersionMetadata

from client.site import Connection
from common.errors import MachineError, PolicyError

SMALL = 4 << 20
"""Bytes of an answer that holds no weights; Flower cuts what is larger into pieces of its own."""

PATHS = {
    "AcquireTask": "acquire-task",
    "SendTaskHeartbeat": "send-task-heartbeat",
    "PullTaskInput": "pull-task-input",
    "PullMessages": "pull-messages",
    "PullObject": "pull-object",
    "ConfirmMessageReceived": "confirm-message-received",
    "PushMessages": "push-messages",
    "PushObject": "push-object",
    "PushTaskOutput": "push-task-output",
}
"""The calls that are made, and where under /v1/runtime/ each is served."""

R = TypeVar("R")


class Unreachable(Exception):
    """The SuperNode does not answer, or refuses us; the text says so for people."""


class Lost(Exception):
    """The SuperNode no longer knows the task: it was restarted, or gave the task up."""


class Calls:
    """Calls of one SuperNode.

    Args:
        connection: where it is, and whose certificates it shows.

    Raises:
        MachineError: the file of certificates cannot be used.
    """

    def __init__(self, connection: Connection) -> None:
        self._version = dict(RuntimeVersionMetadata.from_local_component("consilium").as_metadata())
        secure = connection.runtime_certificates is not None
        self.base = f"{'https' if secure else 'http'}://{connection.runtime}"
        self.address = connection.runtime
        verify = _trusting(connection.runtime_certificates) if secure else False
        # A proxy of the hospital's must never get between agent and SuperNode: no setting of the environment counts.
        self.http = httpx.Client(verify=verify, timeout=30.0, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def call(
        self,
        name: str,
        request: Any,
        kind: Callable[[], R],
        *,
        headers: dict[str, str],
        most: int = SMALL,
    ) -> R:
        """Make one call.

        Args:
            name: of the call, as in `PATHS`.
            request: the message to send.
            kind: the message expected back.
            headers: beside those of the version.
            most: bytes of the answer that are read.

        Raises:
            Unreachable: no answer, or one that makes no sense.
            Lost: the caller is refused: its task is not known (any more).
            PolicyError: the answer is larger than `most`.
        """
        try:
            with self.http.stream(
                "POST",
                f"{self.base}/v1/runtime/{PATHS[name]}",
                content=request.SerializeToString(deterministic=True),
                headers={
                    "content-type": PROTOBUF_MEDIA_TYPE,
                    "accept": PROTOBUF_MEDIA_TYPE,
                    "accept-encoding": "identity",
                    **self._version,
                    **headers,
                },
            ) as response:
                if response.status_code != 200:
                    raise self._refused(response.status_code)
                content = _read(response, most)
            result: Any = kind()
            result.ParseFromString(content)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self.silent(error) from error
        except ValueError as error:  # protobuf's DecodeError is one, too
            raise Unreachable(f"What answers at {self.address} is no SuperNode.") from error
        answer: R = result
        return answer

    def silent(self, error: Exception) -> Unreachable:
        """Return what a call amounts to that nobody answered."""
        kind = type(error).__name__
        return Unreachable(f"The SuperNode at {self.address} does not answer ({kind}).")

    def _refused(self, status: int) -> Exception:
        if status in (400, 401, 403, 404, 409, 410, 412, 422, 428):
            return Lost(f"The SuperNode refused with HTTP status {status}.")
        return Unreachable(f"The SuperNode at {self.address} answers with HTTP status {status}.")


def _read(response: httpx.Response, most: int) -> bytes:
    """Read an answer's body, piece by piece, and stop where it grows too large."""
    content = bytearray()
    for piece in response.iter_raw():
        content += piece
        if len(content) > most:
            raise too_large()
    return bytes(content)


def _trusting(certificates: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(certificates))
    except (OSError, ssl.SSLError) as error:
        raise MachineError(
            "The certificates of the runtime API cannot be used.",
            where=f"{certificates}, [connection] runtime_certificates",
            fix="Name the PEM file of the authority that signed the SuperNode's certificate.",
        ) from error


def too_large() -> PolicyError:
    """Return the refusal of a request that no sound coordinator makes."""
    return PolicyError(
        "The coordinator's request is larger than the study's model allows.",
        fix="Install the same version of consilium at the coordinator and at the site.",
    )
