"""The very last look: the record that the transport takes holds what the guard passed, and not one key or byte more.

It is written down here on its own, and not taken from the code that makes the record: what that code might add by
mistake, a name, a record, a longer header, would leave with every reply.
"""

from __future__ import annotations

import io

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from client.guard.egress import Declared
from common.algorithms.base import ARRAYS_KEY, WEIGHT_KEY
from common.errors import PolicyError
from common.weights import Vector, to_bfloat16
from common.wire import Answer, Introduction

_ANSWER, _METRICS, _VECTOR, _NUMPY = "answer", "metrics", "flat", "numpy.ndarray"


def inspect_message(content: RecordDict, answer: Answer, declared: Declared) -> None:
    """Check the record of a reply.

    Args:
        content: about to leave.
        answer: what the agent let out.
        declared: by the study and the policy.

    Raises:
        PolicyError: the record holds something else, or more. It must not be sent then.
    """
    said: dict[str, object] = {"site": answer.site, "ledger-head": answer.ledger_head}
    if answer.tally is not None:
        said["tally"] = answer.tally.astype("<f8").tobytes()
    kinds: dict[str, type] = {_ANSWER: ConfigRecord, _METRICS: MetricRecord}
    if answer.weights is not None:
        kinds[ARRAYS_KEY] = ArrayRecord
    _check_records(content, kinds)
    _check_values(content[_ANSWER], said)
    _check_values(content[_METRICS], {WEIGHT_KEY: float(answer.declared_patients)})
    if answer.weights is not None:
        _check_arrays(content.array_records[ARRAYS_KEY], answer.weights, declared.wire)


def inspect_introduction(content: RecordDict, told: Introduction) -> None:
    """Check the record of a description, which holds public values only.

    Raises:
        PolicyError: the record holds something else, or more.
    """
    _check_records(content, {_ANSWER: ConfigRecord})
    values = {
        "site": told.site,
        "declared-patients": told.declared_patients,
        "layout": told.layout,
        "statistics": told.statistics,
    }
    _check_values(content[_ANSWER], values)


def _check_records(content: RecordDict, kinds: dict[str, type]) -> None:
    if {name: type(record) for name, record in content.items()} != kinds:
        raise _other("records")


def _check_values(record: object, values: dict[str, object]) -> None:
    held = dict(record) if isinstance(record, ConfigRecord | MetricRecord) else {}
    if held != values or any(type(held[name]) is not type(values[name]) for name in values):
        raise _other("values")


def _check_arrays(record: ArrayRecord, weights: Vector, wire: str) -> None:
    if list(record) != [_VECTOR]:
        raise _other("arrays")
    sent = weights if wire == "float32" else to_bfloat16(weights)
    array = record[_VECTOR]
    if (array.dtype, tuple(array.shape), array.stype) != (str(sent.dtype), sent.shape, _NUMPY):
        raise _other("an array")
    if not _same_bytes(array, sent):
        raise _other("bytes")


def _same_bytes(array: Array, sent: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> bool:
    """Whether the array's bytes are NumPy's file of `sent`: its plain header, then the values."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(sent))
    header = file.getvalue()
    if len(array.data) != len(header) + sent.nbytes or not array.data.startswith(header):
        return False
    values = np.frombuffer(array.data, np.uint8, offset=len(header))
    return bool(np.array_equal(values, np.ascontiguousarray(sent).view(np.uint8)))


def _other(what: str) -> PolicyError:
    return PolicyError(
        f"The message about to leave holds {what} that the guard did not pass; it was not sent.",
        fix="Please report it: this is a fault of Consilium, or of something that changed it.",
    )
