"""The rule before Flower's handler of pushed messages: a hospital may answer, and may not ask."""

from __future__ import annotations

from typing import Any

import pytest
from flwr.common.constant import SUPERLINK_NODE_ID
from flwr.proto.fleet_pb2 import PushMessagesRequest
from flwr.proto.message_pb2 import Message, Metadata, ObjectTree
from flwr.proto.node_pb2 import Node
from flwr.supercore.error import FlowerError

from server.deployment.superlink import broken_by_flower, with_rule

MINE, ANOTHER = 17, 18


def push(count: int = 1, **changes: Any) -> PushMessagesRequest:
    """Return a push of replies by node MINE, with changes in what they say of themselves."""
    said = {"src_node_id": MINE, "dst_node_id": SUPERLINK_NODE_ID, "reply_to_message_id": "asked"}
    message = Message(metadata=Metadata(**{**said, **changes}))
    return PushMessagesRequest(
        node=Node(node_id=MINE),
        messages_list=[message] * count,
        message_object_trees=[ObjectTree()] * count,
    )


def taken(request: PushMessagesRequest) -> bool:
    handler = with_rule(lambda request, state: "taken")
    try:
        return bool(handler(request=request, state=None) == "taken")
    except FlowerError:
        return False


def test_the_installed_flower_is_the_one_that_the_rule_was_written_for() -> None:
    assert broken_by_flower() == []


def test_a_reply_of_its_own_passes() -> None:
    assert taken(push())


@pytest.mark.parametrize(
    "request_",
    [
        push(src_node_id=ANOTHER),
        push(src_node_id=SUPERLINK_NODE_ID),
        push(dst_node_id=ANOTHER),
        push(reply_to_message_id=""),
        push(src_node_id=SUPERLINK_NODE_ID, dst_node_id=ANOTHER, reply_to_message_id=""),
        push(count=2),
        push(count=0),
    ],
    ids=["as another", "as the coordinator", "to another", "no reply", "an order", "two", "none"],
)
def test_anything_else_is_refused(request_: PushMessagesRequest) -> None:
    assert not taken(request_)
