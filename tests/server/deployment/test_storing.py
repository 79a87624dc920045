"""A hospital cannot fill the coordinator's disk: Flower's own handlers over Flower's own database, with the rules."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fastapi import HTTPException
from flwr.app import Array, ArrayRecord, Error, Message, RecordDict
from flwr.app.message.message import make_message, remove_content_from_message
from flwr.app.metadata import Metadata
from flwr.common.constant import SUPERLINK_NODE_ID
from flwr.common.serde import message_to_proto
from flwr.proto.fleet_pb2 import PullMessagesRequest, PushMessagesRequest
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest, ObjectTree, PushObjectRequest
from flwr.proto.node_pb2 import Node
from flwr.server.superlink.linkstate.linkstate_factory import LinkStateFactory
from flwr.supercore.constant import NOOP_FEDERATION_ID, TaskType
from flwr.supercore.error import FlowerError
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.superlink.federation.noop_federation_manager import NoOpFederationManager
from flwr.superlink.servicer.fleet import fleet_handlers
from flwr.superlink.servicer.runtime import runtime_handlers

from common import wire
from common.errors import PolicyError
from server.allowances import SMALL, SUFFIX, Allowances, pieces
from server.deployment import refused, superlink
from server.deployment.storing import LARGEST_HEAD, WAITING
from server.deployment.superlink import bounded

MIB = 1 << 20
FLOWER = fleet_handlers.push_messages, fleet_handlers.push_object


@dataclass
class House:
    """A SuperLink's database behind the rules, a run, and two hospitals."""

    home: Path

    def __post_init__(self) -> None:
        objects = ObjectStoreFactory(str(self.home / "superlink.db"))
        self.state: Any = LinkStateFactory(
            str(self.home / "superlink.db"), NoOpFederationManager(), objects
        ).state()
        self.nodes = [self.state.create_node("me", "me", key, 0) for key in (b"a", b"b")]
        for node in self.nodes:
            self.state.activate_node(node, 600.0)
        self.run = self.new_run()
        self.restart()

    def new_run(self) -> int:
        run = self.state.create_run(
            "x", "1", "0" * 64, {}, NOOP_FEDERATION_ID, None, "me", TaskType.SERVER_APP
        )
        token = self.state.claim_task(self.state.get_run_info(run_ids=[run])[0].primary_task_id)
        assert token
        self.state.activate_task(self.state.get_run_info(run_ids=[run])[0].primary_task_id)
        return int(run)

    def restart(self) -> None:
        """Another process of the SuperLink, over the same database."""
        made = SimpleNamespace(push_messages=FLOWER[0], push_object=FLOWER[1])
        bounded(made, self.home)
        self.push_message, self.push_object = made.push_messages, made.push_object

    def ask(self, node: int, run: int | None = None) -> str:
        """Have the coordinator put a question; return its id."""
        metadata = Metadata(
            run or self.run, "", SUPERLINK_NODE_ID, node, "", "", time.time(), 600.0, "train"
        )
        question = make_message(metadata=metadata, content=RecordDict())
        identity = question.object_id
        question.metadata.__dict__["_message_id"] = identity
        session = self.state.start_session(run or self.run)
        _, missing = self.state.store_message_and_object_tree(
            remove_content_from_message(question), get_object_tree(question), session
        )
        for each, part in get_all_nested_objects(question).items():
            if each in missing:
                self.state.store_object(run or self.run, session, each, part.deflate())
        return str(identity)

    def reply(self, node: int, to: str, size: int, salt: int = 0, **changes: Any) -> Message:
        values = np.full(size // 4, salt, np.float32)
        content = RecordDict({"arrays": ArrayRecord({"flat": Array(values)})})
        said = {"run_id": self.run, "src_node_id": node, "reply_to_message_id": to} | changes
        metadata = Metadata(
            said["run_id"],
            "",
            said["src_node_id"],
            SUPERLINK_NODE_ID,
            said["reply_to_message_id"],
            "",
            time.time(),
            60.0,
            "train",
        )
        message = make_message(metadata=metadata, content=content)
        message.metadata.__dict__["_message_id"] = message.object_id
        return message

    def announce(self, node: int, message: Message, tree: ObjectTree | None = None) -> Any:
        request = PushMessagesRequest(
            node=Node(node_id=node),
            messages_list=[message_to_proto(remove_content_from_message(message))],
            message_object_trees=[tree or get_object_tree(message)],
        )
        return self.push_message(request=request, state=self.state)

    def deliver(self, node: int, message: Message) -> int:
        """Push a reply as a SuperNode does; return how many pieces were stored."""
        answer, stored = self.announce(node, message), 0
        for each, part in get_all_nested_objects(message).items():
            if each in answer.objects_to_push:
                stored += self.piece(node, answer.session_id, each, part.deflate())
        return stored

    def piece(self, node: int, session: str, identity: str, content: bytes) -> bool:
        request = PushObjectRequest(
            node=Node(node_id=node),
            run_id=self.run,
            object_id=identity,
            object_content=content,
            session_id=session,
        )
        return bool(self.push_object(request=request, state=self.state).stored)

    def rows(self, table: str) -> int:
        import sqlite3

        with sqlite3.connect(self.home / "superlink.db") as connection:
            return int(connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])

    @property
    def tables(self) -> dict[str, int]:
        """How many rows each table has."""
        import sqlite3

        with sqlite3.connect(self.home / "superlink.db") as connection:
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            found = [name for (name,) in names]
        return {name: self.rows(name) for name in found}

    @property
    def bytes(self) -> int:
        import sqlite3

        with sqlite3.connect(self.home / "superlink.db") as connection:
            columns = "SELECT COALESCE(SUM(LENGTH(content)), 0) FROM objects"
            return int(connection.execute(columns).fetchone()[0])


@pytest.fixture
def house(tmp_path: Path) -> House:
    Allowances.of(tmp_path).folder.mkdir()
    return House(tmp_path)


def test_a_reply_within_its_allowance_is_stored_whole(house: House) -> None:
    Allowances.of(house.home).give(house.run, 9 * MIB)
    for salt, node in enumerate(house.nodes):  # equal pieces would be stored once
        message = house.reply(node, house.ask(node), 8 * MIB, salt=salt)
        assert house.deliver(node, message) == len(get_all_nested_objects(message))
    assert refused.read(house.home / "run") == {}


def test_a_reply_that_is_too_large_is_cut_off_and_the_others_go_on(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    Allowances.of(house.home).give(house.run, 9 * MIB)
    (house.home / "sites.json").write_text(json.dumps({"north": {"node": house.nodes[0]}}))
    north, south = house.nodes
    large = house.reply(north, house.ask(north), 24 * MIB)
    large_parts = get_all_nested_objects(large)
    assert len(large_parts) > 5
    with pytest.raises(FlowerError, match="larger"):
        house.deliver(north, large)
    assert house.bytes < 9 * MIB + 6 * MIB, "one piece too many, so that whoever fetches it sees"
    assert house.deliver(south, house.reply(south, house.ask(south), 8 * MIB, 5))
    (why,) = refused.read(house.home / "run").values()
    assert "larger" in why.why
    assert "what north pushed was not stored" in capsys.readouterr().out


def test_a_run_that_has_told_nothing_takes_descriptions_only(house: House) -> None:
    (node, _) = house.nodes
    assert house.deliver(node, house.reply(node, house.ask(node), SMALL // 2))
    with pytest.raises(FlowerError):
        house.deliver(node, house.reply(node, house.ask(node), 2 * SMALL, 1))
    Allowances.of(house.home).give(house.run, 4 * MIB)
    assert house.deliver(node, house.reply(node, house.ask(node), 2 * SMALL, 2))
    Allowances.of(house.home).withdraw(house.run)
    assert not list((house.home / "run").glob(f"*{SUFFIX}"))
    with pytest.raises(FlowerError):
        house.deliver(node, house.reply(node, house.ask(node), 2 * SMALL, 3))


def test_what_began_before_a_restart_shares_one_allowance(house: House) -> None:
    Allowances.of(house.home).give(house.run, 12 * MIB)
    (node, _) = house.nodes
    messages = [house.reply(node, house.ask(node), 9 * MIB, salt) for salt in (1, 2)]
    sessions = [house.announce(node, message).session_id for message in messages]
    house.restart()

    def push(number: int) -> bool:
        parts = get_all_nested_objects(messages[number]).items()
        return all(house.piece(node, sessions[number], i, part.deflate()) for i, part in parts)

    assert push(0)
    with pytest.raises(FlowerError):
        push(1)
    assert house.bytes <= 12 * MIB + 6 * MIB


def test_a_piece_that_comes_again_is_not_counted_again(house: House) -> None:
    Allowances.of(house.home).give(house.run, 5 * MIB)
    (node, _) = house.nodes
    message = house.reply(node, house.ask(node), 4 * MIB)
    session = house.announce(node, message).session_id
    parts = {i: part.deflate() for i, part in get_all_nested_objects(message).items()}
    largest = max(parts, key=lambda i: len(parts[i]))
    assert house.piece(node, session, largest, parts[largest])
    for _ in range(5):  # its answer was lost, and it comes again
        assert not house.piece(node, session, largest, parts[largest])
    assert all(house.piece(node, session, i, p) for i, p in parts.items() if i != largest)


def test_another_s_session_is_no_room(house: House) -> None:
    Allowances.of(house.home).give(house.run, 5 * MIB)
    north, south = house.nodes
    message = house.reply(south, house.ask(south), 4 * MIB)
    session = house.announce(south, message).session_id
    with pytest.raises(FlowerError):
        house.piece(north, session, message.object_id, b"x")


@pytest.mark.parametrize("what", ["pieces", "depth", "another", "head"])
def test_what_is_no_reply_leaves_nothing_behind(house: House, what: str) -> None:
    (node, _) = house.nodes
    message = house.reply(node, house.ask(node), 100)
    before = house.tables
    count = pieces(SMALL) + 1
    tree = get_object_tree(message)
    names = [f"{number:064x}" for number in range(count)]
    if what == "pieces":
        tree.children.extend(ObjectTree(object_id=name) for name in names)
    elif what == "depth":
        for name in names:
            tree = ObjectTree(object_id=name, children=[tree])
    elif what == "another":
        tree = ObjectTree(object_id="0" * 64)
    else:
        message = make_message(metadata=message.metadata, error=Error(1000, "x" * LARGEST_HEAD))
        message.metadata.__dict__["_message_id"] = message.object_id
        tree = get_object_tree(message)
    for _ in range(3):
        assert list(house.announce(node, message, tree).objects_to_push) == []
    grown = {name: count - before[name] for name, count in house.tables.items()}
    assert {count for name, count in grown.items()} <= {0, 1}
    question = message.metadata.reply_to_message_id
    (told,) = house.state.get_message_res({question}, house.run)
    assert told.metadata.src_node_id == node
    assert house.state.get_object(house.run, told.metadata.message_id), "an error, which is whole"
    assert refused.read(house.home / "run")[node].times == 1


def test_replies_that_nobody_waits_for_leave_nothing_behind(house: House) -> None:
    """Flower would make a session for each, and end it with the run."""
    north, south = house.nodes
    question = house.ask(north)
    assert house.deliver(north, house.reply(north, question, 100))
    before = house.tables
    for salt in range(50):
        for node, to in ((north, "f" * 64), (north, question), (south, question)):
            answer = house.announce(node, house.reply(node, to, 100, salt + 1))
            assert list(answer.objects_to_push) == []
    assert house.tables == before


def test_only_so_many_replies_wait_to_be_fetched(house: House) -> None:
    north, south = house.nodes
    messages = [house.reply(north, house.ask(north), 400, salt) for salt in range(WAITING + 1)]
    for message in messages[:WAITING]:
        house.deliver(north, message)
    house.deliver(north, messages[0])  # a push that is repeated is no other
    for _ in range(2):
        with pytest.raises(HTTPException) as caught:
            house.announce(north, messages[-1])
        assert caught.value.status_code == 503, "its SuperNode tries again"
    assert house.deliver(south, house.reply(south, house.ask(south), 400, 77))
    confirm(house, messages[0].metadata.message_id)
    assert house.deliver(north, messages[-1])


def test_the_operator_is_told_once_a_minute(tmp_path: Path) -> None:
    said: list[str] = []
    refusals = refused.Refusals(tmp_path, said.append)
    for _ in range(100):
        refusals.note(1, "north", "too large")
        refusals.note(2, "south", "too many")
    assert [line.split(",")[0] for line in said] == [
        "REFUSED: what north pushed was not stored",
        "REFUSED: what south pushed was not stored",
    ]
    assert sorted(refused.read(tmp_path)) == [1, 2]
    for damage in ("", "[]", '{"1": 3}', '{"x": {}}'):
        (tmp_path / refused.FILE).write_text(damage)
        assert refused.read(tmp_path) == {}


def test_the_error_is_one_of_a_site_and_the_superlink_stays_small() -> None:
    assert wire.SITE_ERROR + PolicyError.exit_code == superlink.REFUSED
    look = "import sys, server.deployment.superlink; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], check=False).returncode == 0


def confirm(house: House, message: str) -> None:
    """What the coordinator calls to have a message's content deleted."""
    request = ConfirmMessageReceivedRequest(message_object_id=message)
    runtime_handlers.confirm_message_received(request, house.state, None)  # type: ignore[arg-type]


def pulled(house: House, node: int) -> list[str]:
    request = PullMessagesRequest(node=Node(node_id=node))
    answer = fleet_handlers.pull_messages(request, house.state, house.state.object_store)
    return [message.metadata.message_id for message in answer.messages_list]


def test_a_question_that_was_taken_back_is_never_handed_out(house: House) -> None:
    """The contract that `server.flower_messages.discard` relies on."""
    (node, _) = house.nodes
    first, second = house.ask(node), house.ask(node)
    confirm(house, first)
    assert [*pulled(house, node), *pulled(house, node)] == [second]
    confirm(house, second)  # too late: its answer still counts
    assert house.deliver(node, house.reply(node, second, 100))
    assert pulled(house, node) == []
