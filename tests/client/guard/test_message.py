"""The record that leaves: nothing in it but what the guard passed, however it is smuggled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from client.guard.egress import Declared
from client.guard.message import inspect_introduction, inspect_message
from common import wire
from common.algorithms.base import ARRAYS_KEY, WEIGHT_KEY
from common.errors import PolicyError
from common.weights import Layout, rounded
from common.wire import Answer, Introduction

DECLARED = Declared(Layout((("a", (7,)),)), {"counts": (2,)})
ANSWER = Answer("north", 40, "0" * 64, np.linspace(-1, 1, 7, dtype=np.float32), np.array([1.0, 2]))
TOLD = Introduction("north", 40, "f" * 64, "noisy")


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
@pytest.mark.parametrize("lacking", [{}, {"weights": None}, {"tally": None}])
def test_what_the_wire_makes_of_an_answer_may_leave(kind: str, lacking: dict[str, None]) -> None:
    answer = replace(ANSWER, weights=rounded(ANSWER.weights, kind), wire=kind)  # type: ignore[arg-type]
    answer = replace(answer, **lacking)  # type: ignore[arg-type]
    inspect_message(wire.reply(answer), answer, replace(DECLARED, wire=kind))


def record(content: RecordDict) -> None:
    content["more"] = ConfigRecord({"patient": "ZQX"})


def empty_record(content: RecordDict) -> None:
    content["ZQX-0001"] = MetricRecord()


def text(content: RecordDict) -> None:
    content.config_records["answer"]["note"] = "ZQX"


def site(content: RecordDict) -> None:
    content.config_records["answer"]["site"] = "north ZQX"


def head(content: RecordDict) -> None:
    content.config_records["answer"]["ledger-head"] = "ZQX"


def tally(content: RecordDict) -> None:
    content.config_records["answer"]["tally"] = np.array([1.0, 2.0000001]).tobytes()


def longer_tally(content: RecordDict) -> None:
    content.config_records["answer"]["tally"] = np.array([1.0, 2, 3]).tobytes()


def weight(content: RecordDict) -> None:
    content.metric_records["metrics"][WEIGHT_KEY] = 39.0


def another_number(content: RecordDict) -> None:
    content.metric_records["metrics"]["patients"] = 39


def whole_number(content: RecordDict) -> None:
    content.metric_records["metrics"][WEIGHT_KEY] = 40


def second_array(content: RecordDict) -> None:
    content.array_records[ARRAYS_KEY]["more"] = Array(np.zeros(1, np.float32))


def changed(change: Callable[[Array], Array]) -> Callable[[RecordDict], None]:
    def act(content: RecordDict) -> None:
        content[ARRAYS_KEY] = ArrayRecord(
            {"flat": change(content.array_records[ARRAYS_KEY]["flat"])}
        )

    return act


def appended(array: Array) -> Array:
    return Array(array.dtype, array.shape, array.stype, array.data + b"ZQX")


def in_the_header(array: Array) -> Array:
    data = array.data.replace(b"   \n", b"ZQX\n", 1)
    assert data != array.data
    return Array(array.dtype, array.shape, array.stype, data)


def named(array: Array) -> Array:
    return Array(array.dtype, array.shape, "ZQX", array.data)


def said_otherwise(array: Array) -> Array:
    return Array("float64", array.shape, array.stype, array.data)


def last_bit(array: Array) -> Array:
    data = array.data[:-1] + bytes([array.data[-1] ^ 1])
    return Array(array.dtype, array.shape, array.stype, data)


@pytest.mark.parametrize(
    "smuggle",
    [record, empty_record, text, site, head, tally, longer_tally, weight, another_number]
    + [whole_number, second_array]
    + [changed(how) for how in (appended, in_the_header, named, said_otherwise, last_bit)],
)
def test_whatever_else_is_in_the_record_keeps_it_in(smuggle: Callable[[RecordDict], None]) -> None:
    content = wire.reply(ANSWER)
    smuggle(content)
    with pytest.raises(PolicyError) as caught:
        inspect_message(content, ANSWER, DECLARED)
    assert "ZQX" not in str(caught.value)


@pytest.mark.parametrize("part", ["weights", "tally"])
def test_a_part_that_was_not_passed_stays(part: str) -> None:
    with pytest.raises(PolicyError):
        inspect_message(wire.reply(ANSWER), replace(ANSWER, **{part: None}), DECLARED)
    with pytest.raises(PolicyError):
        inspect_message(wire.reply(replace(ANSWER, **{part: None})), ANSWER, DECLARED)


def test_a_description_holds_its_four_public_values_and_no_more() -> None:
    inspect_introduction(wire.introduction(TOLD), TOLD)
    for change in (record, text, site):
        content = wire.introduction(TOLD)
        change(content)
        with pytest.raises(PolicyError):
            inspect_introduction(content, TOLD)
    with pytest.raises(PolicyError):
        inspect_introduction(wire.introduction(TOLD), replace(TOLD, declared_patients=39))
