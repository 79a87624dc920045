"""Runs stock flower-superlink with one rule added: a hospital may answer, and may not ask.

Flower's Fleet API checks that a message comes from an enrolled node, but not that the message says so itself: any
enrolled hospital could put instructions for the others into a run, in the coordinator's name. Sites would still refuse
what they did not approve, but an approved study's budget could be spent on another's questions.

Only this module and `server.flower_messages` touch Flower's internals at the coordinator, beside the Control client.
"""

from __future__ import annotations

import inspect
import sys
from types import SimpleNamespace
from typing import Any


def may_push(request: Any) -> bool:
    """Return whether a push is one reply of the node that sends it, to the coordinator."""
    from flwr.common.constant import SUPERLINK_NODE_ID

    if len(request.messages_list) != 1 or len(request.message_object_trees) != 1:
        return False
    said = request.messages_list[0].metadata
    return (
        said.src_node_id == request.node.node_id
        and said.dst_node_id == SUPERLINK_NODE_ID
        and bool(said.reply_to_message_id)
    )


def with_rule(push: Any) -> Any:
    """Return Flower's handler of pushed messages with the rule before it."""
    from flwr.supercore.error import ApiErrorCode, FlowerError

    def push_messages(request: Any, state: Any) -> Any:
        if not may_push(request):
            raise FlowerError(
                ApiErrorCode.NO_PERMISSIONS,
                f"Node {request.node.node_id} pushed what is no reply of its own; it was refused.",
            )
        return push(request=request, state=state)

    return push_messages


def broken_by_flower() -> list[str]:
    """Return what this module relies on and does not find in the installed Flower."""
    modules = _modules()
    from flwr.proto.fleet_pb2 import PushMessagesRequest
    from flwr.proto.message_pb2 import Metadata

    fields = set(PushMessagesRequest.DESCRIPTOR.fields_by_name)
    said = set(Metadata.DESCRIPTOR.fields_by_name)
    wanted = {
        "the router calls its handler through the module": "fleet_handlers.push_messages(request=request, state=state)"
        in inspect.getsource(modules.router.fleet_push_messages),
        "a push names its node and its messages": {"node", "messages_list", "message_object_trees"}
        <= fields,
        "a message names source, destination and question": {
            "src_node_id",
            "dst_node_id",
            "reply_to_message_id",
        }
        <= said,
        "the handler takes request and state": list(
            inspect.signature(modules.handlers.push_messages).parameters
        )
        == ["request", "state"],
        "an error for what is not allowed": hasattr(modules.codes, "NO_PERMISSIONS"),
    }
    return [name for name, found in wanted.items() if not found]


def _modules() -> SimpleNamespace:
    from flwr.supercore.error import ApiErrorCode
    from flwr.superlink.cli import flower_superlink
    from flwr.superlink.routers.fleet import router
    from flwr.superlink.servicer.fleet import fleet_handlers

    return SimpleNamespace(
        run=flower_superlink, router=router, handlers=fleet_handlers, codes=ApiErrorCode
    )


def main() -> None:
    """Start the SuperLink with the arguments of the command line.

    A Flower in which the rule cannot be put is not started: it would look like a server that has it.
    """
    if missing := broken_by_flower():
        sys.exit(
            f"This version of Flower is not the one that Consilium knows: {'; '.join(missing)}."
        )
    modules = _modules()
    modules.handlers.push_messages = with_rule(modules.handlers.push_messages)
    modules.run()


if __name__ == "__main__":
    main()
