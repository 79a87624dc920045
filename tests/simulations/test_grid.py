"""The grid in this process: ids, errors, lateness, many nodes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flwr.app import ConfigRecord, Context, Message, MessageType, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from simulations.grid import FIRST_NODE, InProcessGrid

App = Callable[[Message, Context], Message]


@contextmanager
def grid_for(app: App, nodes: int = 3, workers: int = 2) -> Iterator[InProcessGrid]:
    grid = InProcessGrid(app, nodes, workers)  # type: ignore[arg-type]
    try:
        yield grid
    finally:
        grid.close()


def to_all(grid: InProcessGrid, **said: Any) -> list[Message]:
    content = RecordDict({"config": ConfigRecord(said)})
    return [Message(content, node, MessageType.TRAIN) for node in grid.get_node_ids()]


def echo(message: Message, context: Context) -> Message:
    node = ConfigRecord({"part": int(context.node_config["partition-id"])})
    return Message(RecordDict({"answer": node}), reply_to=message)


def test_a_message_can_be_made_before_any_is_sent() -> None:
    TaskIdentity.run_id = None  # type: ignore[assignment]
    with grid_for(echo) as grid:
        message = Message(RecordDict(), FIRST_NODE, MessageType.TRAIN)
        assert message.metadata.run_id == TaskIdentity.run_id == 1
        made = grid.create_message(RecordDict(), MessageType.TRAIN, FIRST_NODE, "group")
        assert made.metadata.group_id == "group"


def test_every_node_answers_for_its_own_partition() -> None:
    with grid_for(echo, nodes=300, workers=3) as grid:
        replies = list(grid.send_and_receive(to_all(grid)))
        parts = {r.metadata.src_node_id: r.content["answer"]["part"] for r in replies}
        assert parts == {node: node - FIRST_NODE for node in grid.get_node_ids()}
        assert len(parts) == 300


def test_ids_are_unique_and_a_reply_names_its_message() -> None:
    with grid_for(echo) as grid:
        messages = to_all(grid) + to_all(grid)
        ids = list(grid.push_messages(messages[:3]))
        first = [reply for i in ids for reply in _pulled(grid, i)]
        ids += grid.push_messages(messages[3:])
        second = [reply for i in ids[3:] for reply in _pulled(grid, i)]
        assert len(set(ids)) == 6
        assert [r.metadata.reply_to_message_id for r in first + second] == ids
        assert list(grid.pull_messages(ids)) == []


def _pulled(grid: InProcessGrid, message_id: str) -> list[Message]:
    end = time.monotonic() + 5
    while time.monotonic() < end:
        found = list(grid.pull_messages([message_id]))
        if found:
            return found
        time.sleep(0.005)
    raise AssertionError("no reply")


def test_an_exception_is_an_error_reply_that_says_nothing_of_the_data() -> None:
    def fails(message: Message, context: Context) -> Message:
        if context.node_config["partition-id"] == 1:
            raise KeyError("ZZPATIENT0001")
        return echo(message, context)

    with grid_for(fails) as grid:
        replies = {r.metadata.src_node_id: r for r in grid.send_and_receive(to_all(grid))}
    assert [replies[node].has_error() for node in sorted(replies)] == [False, True, False]
    error = replies[FIRST_NODE + 1].error
    assert "KeyError" in error.reason
    assert "ZZ" not in error.reason


def test_an_exception_prints_no_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    def fails(message: Message, context: Context) -> Message:
        raise ValueError("ZZPATIENT0001")

    with grid_for(fails) as grid:
        list(grid.send_and_receive(to_all(grid)))
    shown = "".join(capfd.readouterr())
    assert "Traceback" not in shown
    assert "ZZPATIENT" not in shown


class Gate:
    """An app whose second node waits until it is let go."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.asked: list[int] = []

    def __call__(self, message: Message, context: Context) -> Message:
        part = int(context.node_config["partition-id"])
        self.asked.append(part)
        if part == 1:
            self.open.wait(10)
        return echo(message, context)


def test_who_is_late_is_left_behind_and_forgotten() -> None:
    gate = Gate()
    with grid_for(gate, workers=3) as grid:
        began = time.monotonic()
        came = list(grid.send_and_receive(to_all(grid), timeout=0.2))
        assert time.monotonic() - began < 2
        assert [r.metadata.src_node_id - FIRST_NODE for r in came] == [0, 2]
        assert grid._running == {}
        again = list(grid.send_and_receive(to_all(grid), timeout=2))
        late = {r.metadata.src_node_id - FIRST_NODE: r for r in again}
        assert late[1].has_error()
        assert "busy" in late[1].error.reason
        assert not late[0].has_error()
        assert gate.asked.count(1) == 1
        gate.open.set()


def test_what_waits_behind_a_late_node_is_never_begun_after_the_deadline() -> None:
    gate = Gate()
    with grid_for(gate, nodes=4, workers=1) as grid:
        came = list(grid.send_and_receive(to_all(grid), timeout=0.2))
        assert len(came) == 1
        gate.open.set()
    assert gate.asked == [0, 1]


def test_all_replies_are_waited_for_without_a_deadline() -> None:
    def slow(message: Message, context: Context) -> Message:
        time.sleep(0.02 * (3 - int(context.node_config["partition-id"])))
        return echo(message, context)

    with grid_for(slow, workers=3) as grid:
        assert len(list(grid.send_and_receive(to_all(grid)))) == 3


def test_no_messages_no_replies() -> None:
    with grid_for(echo) as grid:
        assert list(grid.send_and_receive([])) == []
