"""What the executor needs of Flower, name by name: when another version changes one, the test that fails says which."""

from __future__ import annotations

import importlib
import inspect
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import flwr
import pytest
from flwr.app import Error, Message, RecordDict
from flwr.app.message.message import make_message
from flwr.app.metadata import Metadata
from flwr.supercore.task_identity import TaskIdentity
from runtime_api import RuntimeApi

from client.service import executor, task, worker
from client.service.desk import DESCRIBE, EVALUATE, TRAIN
from client.site import Connection
from common.flower_env import FLOWER_VERSION

FUNCTIONS = {
    "flwr.app.message.message:remove_content_from_message": ("message",),
    "flwr.common.serde:context_from_proto": ("context_proto",),
    "flwr.common.serde:message_from_proto": ("message_proto",),
    "flwr.common.serde:message_to_proto": ("message",),
    "flwr.supercore.auth:create_superexec_auth_metadata": ("auth_secret", "method", "request"),
    "flwr.supercore.auth:derive_auth_secret": ("master_secret",),
    "flwr.supercore.inflatable.inflatable_object:get_all_nested_objects": ("obj",),
    "flwr.supercore.inflatable.inflatable_object:get_object_tree": ("obj",),
    "flwr.supercore.inflatable.inflatable_object:iterate_object_tree": ("tree",),
    "flwr.supercore.inflatable.inflatable_object:no_object_id_recompute": (),
    "flwr.supercore.inflatable.inflatable_utils:inflate_object_from_contents": (
        "object_id",
        "object_contents",
    ),
}
FIELDS = {
    "flwr.proto.runtime_pb2:AcquireTaskRequest": {"supported_task_types"},
    "flwr.proto.runtime_pb2:AcquireTaskResponse": {"task", "token"},
    "flwr.proto.runtime_pb2:PullAppMessagesRequest": set(),
    "flwr.proto.runtime_pb2:PullAppMessagesResponse": {"messages_list", "message_object_trees"},
    "flwr.proto.runtime_pb2:PullTaskInputRequest": set(),
    "flwr.proto.runtime_pb2:PullTaskInputResponse": {"context", "fab"},
    "flwr.proto.runtime_pb2:PushAppMessagesRequest": {"messages_list", "message_object_trees"},
    "flwr.proto.runtime_pb2:PushAppMessagesResponse": {"objects_to_push", "session_id"},
    "flwr.proto.runtime_pb2:PushTaskOutputRequest": {"sub_status", "details"},
    "flwr.proto.runtime_pb2:PushTaskOutputResponse": set(),
    "flwr.proto.runtime_pb2:SendTaskHeartbeatRequest": set(),
    "flwr.proto.runtime_pb2:SendTaskHeartbeatResponse": {"success"},
    "flwr.proto.message_pb2:ObjectTree": {"object_id", "children"},
    "flwr.proto.message_pb2:PullObjectRequest": {"node", "run_id", "object_id"},
    "flwr.proto.message_pb2:PullObjectResponse": {
        "object_found",
        "object_available",
        "object_content",
    },
    "flwr.proto.message_pb2:PushObjectRequest": {
        "node",
        "run_id",
        "object_id",
        "object_content",
        "session_id",
    },
    "flwr.proto.message_pb2:PushObjectResponse": {"stored"},
    "flwr.proto.message_pb2:ConfirmMessageReceivedRequest": {
        "node",
        "run_id",
        "message_object_id",
    },
    "flwr.proto.message_pb2:ConfirmMessageReceivedResponse": set(),
    "flwr.proto.node_pb2:Node": {"node_id"},
    "flwr.proto.fab_pb2:Fab": {"content"},
}
CONSTANTS = {
    "flwr.supercore.constant:TASK_TOKEN_HEADER": "flwr-task-token",
    "flwr.supercore.constant:TaskType.CLIENT_APP": "flwr-clientapp",
    "flwr.common.constant:SubStatus.COMPLETED": "completed",
    "flwr.supercore.protobuf.constants:PROTOBUF_MEDIA_TYPE": "application/protobuf",
}


def found(place: str) -> Any:
    module, _, path = place.partition(":")
    value: Any = importlib.import_module(module)
    for name in path.split("."):
        assert hasattr(value, name), f"Flower {flwr.__version__} has no {place} any more"
        value = getattr(value, name)
    return value


def test_the_version_is_the_one_that_the_adapter_was_written_for() -> None:
    assert flwr.__version__ == FLOWER_VERSION


@pytest.mark.parametrize("place", FUNCTIONS)
def test_functions_take_what_they_took(place: str) -> None:
    names = list(inspect.signature(found(place)).parameters)
    wanted = FUNCTIONS[place]
    assert tuple(n for n in names if n in wanted) == wanted, f"{place} now takes {names}"
    users = [each for each in (executor, task) if hasattr(each, place.partition(":")[2])]
    assert users, f"{place} is not used any more"


@pytest.mark.parametrize("place", FIELDS)
def test_messages_have_the_fields_they_had(place: str) -> None:
    missing = FIELDS[place] - set(found(place).DESCRIPTOR.fields_by_name)
    assert not missing, f"{place} has no {sorted(missing)} any more"


@pytest.mark.parametrize("place", CONSTANTS)
def test_constants_are_what_they_were(place: str) -> None:
    assert found(place) == CONSTANTS[place], f"{place} has another value"


@pytest.mark.parametrize("name", executor.PATHS)
def test_calls_are_served_where_they_were(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = found("flwr.supercore.runtime:RuntimeHttpClient")("http://nowhere")
    seen: dict[str, Any] = {}
    monkeypatch.setattr(client, "_unary_unary", lambda **given: seen.update(given))
    getattr(client, name)(None)
    client.close()
    assert seen["path"] == f"/v1/runtime/{executor.PATHS[name]}"
    assert seen["rpc_method"] == f"/flwr.proto.Runtime/{name}"


def test_the_version_s_headers_can_be_made() -> None:
    made = found("flwr.supercore.runtime_version_compatibility:RuntimeVersionMetadata")
    headers = dict(made.from_local_component("x").as_metadata())
    assert headers["flwr-package-version"] == FLOWER_VERSION


def test_replies_say_nothing_of_the_process_that_makes_them() -> None:
    """Flower keeps the identity of "the" task in its process; two connections have two."""
    before = (TaskIdentity._task_id, TaskIdentity._run_id, TaskIdentity._node_id)
    TaskIdentity._task_id = TaskIdentity._run_id = TaskIdentity._node_id = None
    try:
        asked = Metadata(3, "m", 1, 77, "", "2", time.time(), 60.0, "train", 5, 6)
        message = make_message(metadata=asked, content=RecordDict())
        reply = Message(Error(1, "x"), reply_to=message).metadata
    finally:
        TaskIdentity._task_id, TaskIdentity._run_id, TaskIdentity._node_id = before
    assert (reply.run_id, reply.src_node_id, reply.dst_node_id) == (3, 77, 1)
    assert (reply.src_task_id, reply.dst_task_id, reply.reply_to_message_id) == (6, 5, "m")


def test_the_kinds_of_messages_are_flower_s_own() -> None:
    valid = found("flwr.app.message_type:MessageType").__dict__.values()
    for kind in (DESCRIBE, TRAIN, EVALUATE):
        assert kind.partition(".")[0] in valid


def test_heartbeats_come_well_before_a_task_is_given_up() -> None:
    first = found("flwr.common.constant:HEARTBEAT_DEFAULT_INTERVAL")
    assert first >= 3 * worker._BEAT_SECONDS


@pytest.fixture
def runtime(api: RuntimeApi) -> Iterator[executor.Runtime]:
    made = executor.Runtime(Connection(server="x:1", runtime=api.address), b"shared secret")
    yield made
    made.close()


def expire(api: RuntimeApi) -> None:
    for record in api.state.task_token_store.values():
        record.active_until -= timedelta(days=1)


def test_an_agent_that_dies_before_it_begins_is_replaced(
    api: RuntimeApi, runtime: executor.Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message is taken first, then the task is begun: in between, nobody waits for ever."""
    monkeypatch.setattr(task, "_PATIENCE", 0.05)
    identity = api.ask(api.new_run(b"x"), DESCRIBE)
    first = runtime.acquire()
    assert first is not None
    first._call("PullMessages", task.PullAppMessagesRequest(), task.PullAppMessagesResponse)
    expire(api)
    again = runtime.acquire()
    assert again is not None
    assert not again.open(), "there is no message to answer any more"
    expire(api)
    assert api.reply(identity, timeout=2).has_error(), "so the SuperNode itself says so"


def test_a_task_that_was_given_up_is_lost(api: RuntimeApi, runtime: executor.Runtime) -> None:
    api.ask(api.new_run(b"x"), DESCRIBE)
    task = runtime.acquire()
    assert task is not None
    assert task.open()
    assert task.beat()
    expire(api)
    assert not task.beat()
    with pytest.raises(executor.Lost):
        task.send(task.reply(Error(1, "too late")))


def test_a_task_beats_and_outlives_its_first_token(
    api: RuntimeApi, runtime: executor.Runtime
) -> None:
    api.ask(api.new_run(b"x"), DESCRIBE)
    task = runtime.acquire()
    assert task is not None
    (record,) = api.state.task_token_store.values()
    before = record.active_until
    assert task.beat()
    assert record.active_until > before
    assert runtime.acquire() is None, "it is in hand"
