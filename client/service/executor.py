"""The adapter to Flower: takes tasks from a SuperNode's runtime API and brings replies back.

With `calls` and `task` this is all of the agent that knows Flower's internals; a contract test checks each and says
what broke.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any

import httpx
from flwr.proto.runtime_pb2 import AcquireTaskRequest, AcquireTaskResponse
from flwr.supercore.auth import create_superexec_auth_metadata, derive_auth_secret
from flwr.supercore.constant import TaskType

from client.service.calls import PATHS, SMALL, Calls, Lost, Unreachable
from client.service.link import BEGIN_PATH, LINK_HEADER, LINK_PATH, link_key
from client.service.patience import Patience
from client.service.task import Task
from client.site import Connection

__all__ = ["PATHS", "Lost", "Patience", "Runtime", "Task", "Unreachable"]

CLOCKS_DIFFER = 300.0
"""Seconds that Flower lets a site's clock be behind the coordinator's, or its signature travel."""


class Runtime(Calls):
    """The runtime API of one SuperNode.

    Args:
        connection: where it is, and whose certificates it shows.
        secret: what agent and SuperNode share.

    Raises:
        MachineError: the file of certificates cannot be used.
    """

    def __init__(self, connection: Connection, secret: bytes) -> None:
        super().__init__(connection)
        self._secret = secret
        self._auth = derive_auth_secret(secret)

    def acquire(self) -> Task | None:
        """Take the oldest waiting task of a ClientApp, if there is one.

        Raises:
            Unreachable: the SuperNode does not answer, or refuses the secret.
        """
        request = AcquireTaskRequest(supported_task_types=[TaskType.CLIENT_APP])
        signed = create_superexec_auth_metadata(
            auth_secret=self._auth, method="/flwr.proto.Runtime/AcquireTask", request=request
        )
        try:
            response = self.call("AcquireTask", request, AcquireTaskResponse, headers=signed)
        except Lost:
            raise Unreachable(
                f"The SuperNode at {self.address} refuses this agent: the secrets or the versions differ."
            ) from None
        if not response.HasField("task") or not response.token:
            return None
        return Task(self, response.token)

    def begin(self) -> bool:
        """Say that this agent begins; False: the SuperNode begins anew, too, for the last agent left a task behind.

        A stock SuperNode does not understand, and gives such a task up after a minute.

        Raises:
            Unreachable: the SuperNode does not answer.
        """
        headers = {LINK_HEADER: link_key(self._secret, BEGIN_PATH)}
        try:
            return self.http.post(self.base + BEGIN_PATH, headers=headers).status_code != 205
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self.silent(error) from error

    def link(self) -> dict[str, Any]:
        """Return what our launcher tells of the SuperNode's own way to the coordinator; empty from a stock one.

        Raises:
            Unreachable: the SuperNode does not answer.
        """
        try:
            answer = self.http.get(
                self.base + LINK_PATH, headers={LINK_HEADER: link_key(self._secret)}
            )
            found = json.loads(answer.content[:SMALL]) if answer.status_code == 200 else {}
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self.silent(error) from error
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def time_there(self) -> float:
        """Return the coordinator's time, in seconds since 1970, as its last answer to our SuperNode told it.

        Where that is not known it is this machine's, less what Flower lets the two clocks differ: later than the
        truth it cannot be then, and a site whose clock is wrong by more is not let in.
        """
        with suppress(Unreachable):
            told = self.link().get("there")
            if isinstance(told, int | float) and not isinstance(told, bool) and told > 0:
                return float(told)
        return time.time() - CLOCKS_DIFFER
