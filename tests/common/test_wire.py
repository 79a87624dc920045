"""Messages: what is said is what is heard, and damage ends in a PolicyError and nothing else."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from common import wire
from common.algorithms.base import ARRAYS_KEY, WEIGHT_KEY
from common.errors import PolicyError
from common.weights import rounded
from common.wire import Answer, Instructions, Introduction

vectors = arrays(np.float32, st.integers(0, 9), elements=st.floats(width=32, allow_nan=False))
tallies = arrays(np.float64, st.integers(1, 9), elements=st.floats(allow_nan=False))


def stored(values: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, values)
    return content.getvalue()


@given(weights=vectors, round_=st.integers(1, 10**6), evaluate=st.booleans())
def test_a_request_is_heard_as_it_was_said(
    weights: np.ndarray, round_: int, evaluate: bool
) -> None:
    said = Instructions("f" * 64, round_, evaluate)
    heard, arrived = wire.read_request(wire.request(said, weights))
    assert heard == said
    assert arrived.tobytes() == weights.tobytes()


@given(weights=st.none() | vectors, tally=st.none() | tallies, patients=st.integers(1, 10**9))
def test_a_reply_is_heard_as_it_was_said(
    weights: np.ndarray | None, tally: np.ndarray | None, patients: int
) -> None:
    heard = wire.read_reply(wire.reply(Answer("north", patients, "a" * 64, weights, tally)))
    assert (heard.site, heard.declared_patients, heard.ledger_head) == ("north", patients, "a" * 64)
    for said, came in ((weights, heard.weights), (tally, heard.tally)):
        assert (said is None) == (came is None)
        assert said is None or came is None or said.tobytes() == came.tobytes()


def test_a_reply_in_bfloat16_takes_half_the_bytes_and_loses_nothing_more() -> None:
    weights = rounded(np.random.default_rng(1).standard_normal(1000).astype(np.float32), "bfloat16")
    said = Answer("north", 4, "a" * 64, weights, np.zeros(2), "bfloat16")
    content = wire.reply(said)
    sent = content.array_records[ARRAYS_KEY]["flat"]
    assert (sent.dtype, len(sent.data) < 2200) == ("uint16", True)
    heard = wire.read_reply(content, "bfloat16")
    assert heard.weights is not None
    assert heard.weights.tobytes() == weights.tobytes()
    assert heard.size == said.size == 2 * 1000 + 16
    assert wire.reply(Answer("north", 4, "a", weights, None)).array_records[ARRAYS_KEY]


@pytest.mark.parametrize(("sent", "declared"), [("float32", "bfloat16"), ("bfloat16", "float32")])
def test_weights_of_another_type_than_the_studys_are_refused(sent: str, declared: str) -> None:
    content = wire.reply(Answer("north", 4, "a", np.zeros(3, np.float32), None, sent))
    with pytest.raises(PolicyError, match=f"not {declared}"):
        wire.read_reply(content, declared)


@pytest.mark.parametrize("name", ["", "..", "a/b", "a.b", "-a", "a-", "a b", "ä", "x" * 65, "a\n"])
def test_a_name_that_could_be_a_path_is_no_name(name: str) -> None:
    content = wire.introduction(Introduction(name, 40, "b", "none"))
    with pytest.raises(PolicyError, match="letters, digits and dashes"):
        wire.read_introduction(content)


def test_an_introduction_is_heard_as_it_was_said() -> None:
    told = Introduction("north", 40, "b" * 64, "noisy")
    assert wire.read_introduction(wire.introduction(told)) == told


def test_a_reply_carries_nothing_else() -> None:
    answer = Answer("north", 40, "a" * 64, np.zeros(3, np.float32), np.zeros(2))
    content = wire.reply(answer)
    assert {key: set(record) for key, record in content.items()} == {
        "answer": {"site", "ledger-head", "tally"},
        "metrics": {WEIGHT_KEY},
        ARRAYS_KEY: {"flat"},
    }


HEADER = stored(np.zeros(4, np.float32))


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, len(HEADER) - 1), byte=st.integers(0, 255), cut=st.integers(0, 200))
@example(place=0, byte=0, cut=len(HEADER))
def test_damaged_arrays_are_refused_or_read(place: int, byte: int, cut: int) -> None:
    data = bytearray(HEADER)
    data[place] = byte
    data = data[: max(0, len(data) - cut)]
    check(bytes(data))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04",
        b"PK\x05\x06" + bytes(18),
        b"\x93NUMPY",
        b"\x80\x04K\x01.",
        bytes(300),
        HEADER.replace(b"(4,)", b"(4" + b"0" * 12 + b",)"),
        stored(np.array(["a"])),
        stored(np.array([1 + 2j])),
        stored(np.zeros(3, "M8[s]")),
    ],
)
def test_other_bytes_are_refused_or_read(data: bytes) -> None:
    check(data)


@pytest.mark.filterwarnings("ignore")
def check(data: bytes) -> None:
    array = Array(dtype="float32", shape=(4,), stype="numpy.ndarray", data=data)
    request = wire.request(Instructions("f", 1, True), np.zeros(1, np.float32))
    request[ARRAYS_KEY] = ArrayRecord({"flat": array})
    reply = wire.reply(Answer("north", 1, "h", None, None))
    reply[ARRAYS_KEY] = ArrayRecord({"flat": array})
    for read, content in ((wire.read_request, request), (wire.read_reply, reply)):
        try:
            read(content)  # type: ignore[operator]
        except PolicyError:
            continue


def without(content: RecordDict, record: str, key: str | None = None) -> RecordDict:
    if key is None:
        del content[record]
    else:
        del content[record][key]
    return content


@pytest.mark.parametrize(
    ("record", "key"),
    [
        ("config", None),
        (ARRAYS_KEY, None),
        ("config", "round"),
        ("config", "fingerprint"),
        ("config", "evaluate"),
        (ARRAYS_KEY, "flat"),
    ],
)
def test_a_request_that_lacks_a_part_is_refused(record: str, key: str | None) -> None:
    content = wire.request(Instructions("f", 1, True), np.zeros(1, np.float32))
    with pytest.raises(PolicyError):
        wire.read_request(without(content, record, key))


MORE = {
    "a record": lambda content: content.update({"more": ConfigRecord({"epsilon": 9.0})}),
    "a second array record": lambda content: content.update({"more": ArrayRecord()}),
    "metrics": lambda content: content.update({"metrics": MetricRecord({"steps": 9})}),
    "an array": lambda content: content[ARRAYS_KEY].update({"more": Array(np.zeros(1))}),
    "a key": lambda content: content["config"].update({"local-steps": 100}),
    "text for a strategy's number": lambda content: content["config"].update(
        {"server-round": "import os"}
    ),
}


@pytest.mark.parametrize("more", MORE.values(), ids=MORE.keys())
def test_a_request_that_says_more_than_a_site_knows_is_refused(more: Any) -> None:
    content = wire.request(Instructions("f", 1, True), np.zeros(1, np.float32))
    wire.read_request(content)
    more(content)
    with pytest.raises(PolicyError, match=r"does not know|wrong type"):
        wire.read_request(content)


def test_what_flowers_strategies_add_is_let_in() -> None:
    content = wire.request(Instructions("f", 1, True), np.zeros(1, np.float32))
    content["config"].update({"server-round": 1, "proximal-mu": 0.1})
    assert wire.read_request(content)[0] == Instructions("f", 1, True)


def test_a_question_for_a_description_brings_nothing() -> None:
    wire.check_empty(RecordDict())
    with pytest.raises(PolicyError, match="does not know"):
        wire.check_empty(RecordDict({"config": ConfigRecord({"statistics": "exact"})}))


@pytest.mark.parametrize(
    ("key", "value"), [("round", "1"), ("round", 1.0), ("round", True), ("evaluate", 1)]
)
def test_a_request_with_values_of_another_type_is_refused(key: str, value: object) -> None:
    content = wire.request(Instructions("f", 1, True), np.zeros(1, np.float32))
    content["config"][key] = value
    with pytest.raises(PolicyError, match="wrong type"):
        wire.read_request(content)


@pytest.mark.parametrize(
    ("record", "key"),
    [("answer", None), ("metrics", None), ("answer", "site"), ("metrics", WEIGHT_KEY)],
)
def test_a_reply_that_lacks_a_part_is_refused(record: str, key: str | None) -> None:
    content = wire.reply(Answer("north", 1, "h", None, np.zeros(2)))
    with pytest.raises(PolicyError):
        wire.read_reply(without(content, record, key))


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), 1.5])
def test_a_reply_whose_weight_is_no_number_declares_nobody(weight: float) -> None:
    content = wire.reply(Answer("north", 1, "h", None, None))
    content["metrics"] = MetricRecord({WEIGHT_KEY: weight})
    assert wire.read_reply(content).declared_patients == 0


def test_a_torn_tally_is_refused() -> None:
    content = wire.reply(Answer("north", 1, "h", None, np.zeros(2)))
    content["answer"]["tally"] = bytes(13)
    with pytest.raises(PolicyError):
        wire.read_reply(content)


@pytest.mark.parametrize("patients", [0, -3, "40", 1.5])
def test_a_site_without_patients_is_refused(patients: object) -> None:
    content = wire.introduction(Introduction("north", 40, "b", "none"))
    content["answer"]["declared-patients"] = patients
    with pytest.raises(PolicyError, match="declares no patients"):
        wire.read_introduction(content)
    with pytest.raises(PolicyError):
        wire.read_introduction(RecordDict({"answer": ConfigRecord()}))
