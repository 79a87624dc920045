"""Runs stock flower-superlink with two rules added: a hospital may answer, and may not ask; and it fills no disk.

Flower's Fleet API checks that a message comes from an enrolled node, but not that the message says so itself: any
enrolled hospital could put instructions for the others into a run, in the coordinator's name. Sites would still refuse
what they did not approve, but an approved study's budget could be spent on another's questions. Nor does it ask how
much a node stores: see `server.deployment.storing`.

Only this module and `server.flower_messages` touch Flower's internals at the coordinator, beside the Control client.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from common.errors import PolicyError
from server.allowances import Allowances
from server.deployment.programs import COORDINATOR
from server.deployment.refused import Refusals
from server.deployment.storing import NotStored, Storing, TooMany
from server.enrolled import Enrolled

REFUSED = 1000 + PolicyError.exit_code
"""`common.wire` has this number too, and would bring all of torch into the SuperLink."""

Refused = Callable[[int, str], None]
"""Told which node pushed what was not stored, and why."""


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


def with_room(push: Any, storing: Storing, refused: Refused) -> Any:
    """Return Flower's handler of pushed messages, which keeps replies that somebody waits for.

    In the place of one that is not stored the coordinator gets an error, so that it does not wait for the deadline.
    """
    from fastapi import HTTPException
    from flwr.proto.fleet_pb2 import PushMessagesResponse, Reconnect

    def push_messages(request: Any, state: Any) -> Any:
        try:
            wanted = storing.message(request, state)
        except TooMany:
            raise HTTPException(503, "Earlier replies wait to be fetched; try again.") from None
        except NotStored as why:
            refused(int(request.node.node_id), str(why))
            _answer_for(request, state, str(why))
            wanted = False
        if not wanted:  # what Flower answers as well, after it made a session that nobody would end
            message = request.messages_list[0].metadata.message_id
            return PushMessagesResponse(reconnect=Reconnect(reconnect=5), results={message: 0})
        response = push(request=request, state=state)
        storing.begun(request, response.session_id)
        return response

    return push_messages


def _answer_for(request: Any, state: Any, why: str) -> None:
    """Put an error in the place of a hospital's reply."""
    from flwr.app import Error
    from flwr.app.message.message import make_message, remove_content_from_message
    from flwr.app.metadata import Metadata
    from flwr.supercore.inflatable.inflatable_object import get_object_tree

    said = request.messages_list[0].metadata
    asked = said.reply_to_message_id
    about = Metadata(
        *(said.run_id, "", said.src_node_id, said.dst_node_id, asked, ""),
        *(said.created_at, said.ttl, said.message_type),
    )
    error = make_message(metadata=about, error=Error(REFUSED, why))
    error.metadata.__dict__["_message_id"] = error.object_id
    session = state.start_session(said.run_id)
    told = remove_content_from_message(error)
    _, missing = state.store_message_and_object_tree(told, get_object_tree(error), session)
    for each in missing:
        state.store_object(said.run_id, session, each, error.deflate())


def with_bounds(push: Any, storing: Storing, refused: Refused) -> Any:
    """Return Flower's handler of a reply's pieces, which keeps no more of them than agreed."""
    from flwr.supercore.error import ApiErrorCode, FlowerError

    def push_object(request: Any, state: Any) -> Any:
        try:
            return storing.piece(
                request,
                lambda: push(request=request, state=state),
                lambda response: bool(response.stored),
            )
        except NotStored as why:
            node = int(request.node.node_id)
            refused(node, str(why))
            raise FlowerError(
                ApiErrorCode.NO_PERMISSIONS, f"Node {node} was refused: {why}."
            ) from None

    return push_object


def bounded(handlers: Any, home: Path) -> None:
    """Put both rules into Flower's handlers, for the coordinator whose folder this is."""
    allowances, names = Allowances.of(home), Enrolled(home / "sites.json")
    refusals = Refusals(allowances.folder, lambda line: print(line, flush=True))
    storing = Storing(allowances)

    def refused(node: int, why: str) -> None:
        refusals.note(node, names().get(node, f"node {node}"), why)

    handlers.push_messages = with_rule(with_room(handlers.push_messages, storing, refused))
    handlers.push_object = with_bounds(handlers.push_object, storing, refused)


def broken_by_flower() -> list[str]:
    """Return what this module relies on and does not find in the installed Flower."""
    modules = _modules()
    from flwr.proto.fleet_pb2 import PushMessagesRequest
    from flwr.proto.message_pb2 import Metadata, PushObjectRequest

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
        "the router calls the handler of objects through the module": "fleet_handlers.push_object(request=request, "
        "state=state)" in inspect.getsource(modules.router.fleet_push_object),
        "the handlers take request and state": all(
            list(inspect.signature(each).parameters) == ["request", "state"]
            for each in (modules.handlers.push_messages, modules.handlers.push_object)
        ),
        "a piece names its node, run and session": {
            *("node", "run_id", "session_id", "object_content")
        }
        <= set(PushObjectRequest.DESCRIPTOR.fields_by_name),
        "its state finds a question, and knows what is stored": hasattr(
            modules.state, "get_valid_message_ins"
        )
        and hasattr(modules.store, "__contains__"),
        "an error for what is not allowed": hasattr(modules.codes, "NO_PERMISSIONS"),
    }
    return [name for name, found in wanted.items() if not found]


def _modules() -> SimpleNamespace:
    from flwr.server.superlink.linkstate.sql_linkstate import SqlLinkState
    from flwr.supercore.error import ApiErrorCode
    from flwr.supercore.object_store.sql_object_store import SqlObjectStore
    from flwr.superlink.cli import flower_superlink
    from flwr.superlink.routers.fleet import router
    from flwr.superlink.servicer.fleet import fleet_handlers

    return SimpleNamespace(
        run=flower_superlink,
        router=router,
        handlers=fleet_handlers,
        codes=ApiErrorCode,
        state=SqlLinkState,
        store=SqlObjectStore,
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
    home = os.environ.get(COORDINATOR, "")
    if not home:
        sys.exit("The SuperLink does not know the coordinator's folder: 'consilium server start'.")
    bounded(modules.handlers, Path(home))
    modules.run()


if __name__ == "__main__":
    main()
