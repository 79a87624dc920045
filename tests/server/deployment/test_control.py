"""The contract with Flower's Control API: what the coordinator relies on is still there.

When one of these fails after another version of Flower was installed, server/deployment/control.py must be mended.
"""

from __future__ import annotations

import httpx
import pytest
from flwr.common.constant import Status
from flwr.proto.control_pb2 import ListNodesRequest, ListRunsRequest, StartRunRequest
from flwr.proto.node_pb2 import NodeInfo
from flwr.proto.run_pb2 import Run, RunStatus
from flwr.supercore.constant import NodeStatus
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.error import ApiErrorCode

from common.errors import MachineError, RunError, StudyError
from common.flower_env import FLOWER_VERSION
from server.deployment import control, flower_records
from server.deployment.control import Control, beside_the_proxies


class Answering:
    """A client whose every call ends as told."""

    def __init__(self, outcome: httpx.Response | Exception) -> None:
        self.outcome = outcome

    def __getattr__(self, name: str) -> object:
        assert hasattr(ControlHttpClient, name), f"Flower's client has no {name} any more"

        def call(request: object) -> object:
            if isinstance(self.outcome, Exception):
                raise self.outcome
            self.outcome.raise_for_status()
            raise AssertionError

        return call


def failing(code: int) -> Control:
    """A control whose SuperLink refuses with one of Flower's numbers."""
    request = httpx.Request("POST", "https://127.0.0.1")
    body = {"code": code, "detail": "said"}
    return Control(Answering(httpx.Response(412, json=body, request=request)), "here")  # type: ignore[arg-type]


def test_flower_is_the_version_that_was_tried() -> None:
    from importlib.metadata import version

    assert version("flwr") == FLOWER_VERSION


def test_numbers_and_words_are_those_of_flower() -> None:
    assert control.KEY_IN_USE == ApiErrorCode.PUBLIC_KEY_ALREADY_IN_USE
    assert control.NO_NODE == ApiErrorCode.NODE_NOT_FOUND
    assert control.NO_RUN == ApiErrorCode.RUN_ID_NOT_FOUND
    assert control.RUN_FINISHED == ApiErrorCode.RUN_ALREADY_FINISHED
    assert (flower_records.PENDING, flower_records.STARTING) == (Status.PENDING, Status.STARTING)
    assert (flower_records.RUNNING, flower_records.FINISHED) == (Status.RUNNING, Status.FINISHED)
    assert (flower_records.REGISTERED, flower_records.ONLINE) == (
        NodeStatus.REGISTERED,
        NodeStatus.ONLINE,
    )
    assert (flower_records.OFFLINE, flower_records.UNREGISTERED) == (
        NodeStatus.OFFLINE,
        NodeStatus.UNREGISTERED,
    )


def test_messages_have_the_fields_that_are_read() -> None:
    node = NodeInfo(
        node_id=7, name="a", status="online", last_activated_at="2026-01-02T03:04:05+00:00"
    )
    assert flower_records.node_of(node).since is not None
    run = Run(run_id=3, fab_hash="ab", status=RunStatus(status="finished", sub_status="failed"))
    assert flower_records.run_of(run).outcome == "failed"
    assert StartRunRequest().DESCRIPTOR.fields_by_name["override_config"]
    assert ListRunsRequest(limit=3).limit == 3
    assert ListNodesRequest() is not None


def test_a_key_that_was_shut_out_is_explained() -> None:
    with pytest.raises(StudyError, match="for good"):
        failing(control.KEY_IN_USE).nodes()


def test_stopping_what_is_over_and_removing_what_is_gone_is_fine() -> None:
    failing(control.RUN_FINISHED).stop_run(3)
    failing(control.NO_RUN).stop_run(3)
    failing(control.NO_NODE).unregister(3)


def test_another_refusal_is_told_in_flowers_words() -> None:
    with pytest.raises(RunError, match="refuses: said"):
        failing(15).start_run(b"", "", "run")


def test_a_superlink_that_is_not_there_is_told_to_be_started() -> None:
    gone = Control(Answering(httpx.ConnectError("refused")), "here")  # type: ignore[arg-type]
    with pytest.raises(RunError, match="consilium server start"):
        gone.runs()


def test_an_error_of_the_superlinks_own_names_its_log() -> None:
    request = httpx.Request("POST", "https://127.0.0.1")
    broken = Control(Answering(httpx.Response(500, text="oops", request=request)), "here")  # type: ignore[arg-type]
    with pytest.raises(MachineError, match=r"superlink\.log"):
        broken.runs()


def test_the_loopback_never_goes_through_a_web_proxy() -> None:
    environment = {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "example.org"}
    beside_the_proxies(environment)
    assert environment["NO_PROXY"] == "example.org,127.0.0.1,localhost"
    untouched: dict[str, str] = {}
    beside_the_proxies(untouched)
    assert untouched == {}
