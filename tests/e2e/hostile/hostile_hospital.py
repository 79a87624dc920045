"""A hostile hospital: honest but in two studies, where its replies are twisted after the guard."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message
from flwr.supercore.inflatable.inflatable_object import add_header_to_object_body

from client.service import task
from common.algorithms.base import ARRAYS_KEY, WEIGHT_KEY

HUGE = 128 << 20
"""Bytes of the reply that is too large."""

OTHER = "0" * 64
QUESTION: list[str] = []

MARK = "<script>alert(1)</script>"

Twist = Callable[[Message], Message]


def inject(desk: ModuleType) -> None:
    """Put the twist between the guard and the transport."""
    honest = desk.build

    def build(find: Any, *more: Any) -> Any:
        app = honest(find, *more)

        def answer(message: Message, context: Context) -> Message:
            name = find(context).study.name
            reply: Message = app(message, context)
            if name == "impostor" and message.metadata.message_type == "query.describe":
                reply.content["answer"]["site"] = "hospital-1"
            if name == "wolf" and ARRAYS_KEY in message.content and reply.has_content():
                round_ = int(message.content["config"]["round"])
                return TWISTS.get(round_, lambda honest: honest)(reply)
            return reply

        return answer

    desk.build = build
    task.message_to_proto = as_told(task.message_to_proto)


def with_weights(change: Callable[[Any], Any]) -> Twist:
    """Change the weights."""

    def twist(reply: Message) -> Message:
        values = reply.content[ARRAYS_KEY]["flat"].numpy()
        reply.content[ARRAYS_KEY] = ArrayRecord({"flat": Array(change(values))})
        return reply

    return twist


def damaged_array(reply: Message) -> Message:
    """Send bytes that are no array."""
    values = reply.content[ARRAYS_KEY]["flat"]
    values.data = b"PK\x03\x04" + values.data[4:]
    return reply


def broken_record(reply: Message) -> Message:
    """Send a record which Flower itself cannot read."""
    reply.content["answer"] = Broken(dict(reply.content["answer"]))
    return reply


class Broken(ConfigRecord):
    """Is stored as bytes that are no record."""

    def deflate(self) -> bytes:
        """Return the bytes."""
        return add_header_to_object_body(b"\xff" * 16, self)


Broken.__qualname__ = "ConfigRecord"


def another_name(reply: Message) -> Message:
    """Speak for another hospital."""
    reply.content["answer"]["site"] = "hospital-1"
    return reply


def more_patients(reply: Message) -> Message:
    """Claim more weight in the mean."""
    reply.content["metrics"][WEIGHT_KEY] = 1e9
    return reply


def another_question(reply: Message) -> Message:
    """Answer, inside, another question than the one that the transport is told of."""
    told = copy.copy(reply.metadata)
    QUESTION[:] = [told.reply_to_message_id]
    told.__dict__["_reply_to_message_id"] = OTHER
    reply.__dict__["_metadata"] = told
    return reply


def as_told(proto_of: Callable[[Message], Any]) -> Callable[[Message], Any]:
    """Have the transport believe that the right question is answered."""

    def changed(message: Message) -> Any:
        proto = proto_of(message)
        if proto.metadata.reply_to_message_id == OTHER:
            proto.metadata.reply_to_message_id = QUESTION[0]
        return proto

    return changed


def rude(reply: Message) -> Message:
    """Refuse with text that is meant for a browser and a terminal."""
    reply.__dict__["_content"] = None
    reply.__dict__["_error"] = Error(1006, f"{MARK}\x1b[2J" + "x" * 5000)
    return reply


TWISTS: dict[int, Twist] = {
    2: with_weights(lambda values: np.full_like(values, np.nan)),
    3: with_weights(lambda values: np.append(values, np.float32(0))),
    4: with_weights(lambda values: values.astype(np.float64)),
    5: damaged_array,
    6: broken_record,
    7: another_name,
    8: more_patients,
    9: rude,
    10: another_question,
    11: with_weights(lambda values: np.zeros(HUGE // 4, np.float32)),
}
"""What happens to the replies, by round."""
