"""What travels between coordinator and sites, and how it is put into Flower's records.

A request is one packed array and one ConfigRecord; a reply is one packed array, one MetricRecord with the site's
public weight, and one ConfigRecord. Requests are float32, so that the model which is evaluated is the one that is kept;
replies are float32, or by the study bfloat16, which travels as uint16.
"""

from __future__ import annotations

import re
import tokenize
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from common.algorithms.base import ARRAYS_KEY, WEIGHT_KEY
from common.errors import PolicyError
from common.npy import ONE_AT_A_TIME
from common.tasks.base import Floats
from common.weights import Vector, from_bfloat16, to_bfloat16

FLOAT32 = "float32"

SITE_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?", re.ASCII)
"""Names of sites become names of files at the coordinator."""

SITE_ERROR = 1000
"""Error replies carry this plus the exit code of the site's error."""

DAMAGE: tuple[type[Exception], ...] = (
    *(KeyError, ValueError, TypeError, EOFError, OSError, OverflowError, SyntaxError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)
"""What reading an array that another party wrote can raise."""

STRATEGY_ADDS = {"server-round", "proximal-mu"}
"""Numbers that Flower's strategies write beside the instructions; sites do not read them."""

_INSTRUCTIONS, _ANSWER, _METRICS, _VECTOR = "config", "answer", "metrics", "flat"


@dataclass(frozen=True)
class Instructions:
    """What a request says besides the weights.

    Attributes:
        fingerprint: of the study.
        round: 1 … rounds, and rounds + 1 for the last evaluation.
        evaluate: whether to evaluate the incoming weights.
    """

    fingerprint: str
    round: int
    evaluate: bool

    def to_record(self) -> ConfigRecord:
        """Return the record that Flower's strategies add their own keys to."""
        return ConfigRecord(
            {"fingerprint": self.fingerprint, "round": self.round, "evaluate": self.evaluate}
        )


@dataclass(frozen=True)
class Answer:
    """A site's reply.

    Attributes:
        site: its name.
        declared_patients: its public weight.
        ledger_head: hash of its ledger's last entry.
        weights: packed, or None.
        tally: flat, or None.
        wire: type of the weights on the wire; they are rounded to it already.
    """

    site: str
    declared_patients: int
    ledger_head: str
    weights: Vector | None
    tally: Floats | None
    wire: str = FLOAT32

    @property
    def size(self) -> int:
        """Bytes of patient-dependent content, as they travel."""
        weights = 0 if self.weights is None else self.weights.nbytes
        statistics = 0 if self.tally is None else self.tally.nbytes
        return (weights if self.wire == FLOAT32 else weights // 2) + statistics


@dataclass(frozen=True)
class Introduction:
    """What a site says about itself before the first round; public numbers only.

    Attributes:
        site: its name.
        declared_patients: its public number of patients.
        layout: digest of the packed weights' layout that it builds from the study.
        statistics: none, noisy or exact.
    """

    site: str
    declared_patients: int
    layout: str
    statistics: str


def to_array_record(weights: Vector) -> ArrayRecord:
    """Return packed weights as one array."""
    return ArrayRecord({_VECTOR: Array(weights)})


def from_array_record(record: ArrayRecord) -> Vector:
    """Return the packed weights of a record."""
    with ONE_AT_A_TIME:
        return np.asarray(record[_VECTOR].numpy(), dtype=np.float32)


def sent_weights(record: ArrayRecord, wire: str = FLOAT32) -> Vector:
    """Return packed weights that another party sent, which must be of the declared type.

    Raises:
        PolicyError: the array is of another type; one that cannot be read raises one of `DAMAGE`.
    """
    with ONE_AT_A_TIME:
        values = record[_VECTOR].numpy()
    wanted = np.dtype(np.float32 if wire == FLOAT32 else np.uint16)
    if not isinstance(values, np.ndarray) or values.dtype != wanted:
        raise PolicyError(f"The weights are {getattr(values, 'dtype', 'no array')}, not {wire}.")
    return values if wire == FLOAT32 else from_bfloat16(values)


def strategy_content(weight: float, weights: Array) -> RecordDict:
    """Return what Flower's strategies take as a reply."""
    arrays = ArrayRecord()
    arrays[_VECTOR] = weights  # the constructor would copy it
    return RecordDict({_METRICS: MetricRecord({WEIGHT_KEY: weight}), ARRAYS_KEY: arrays})


def request(instructions: Instructions, weights: Vector) -> RecordDict:
    """Return the content of a request."""
    return RecordDict(
        {ARRAYS_KEY: to_array_record(weights), _INSTRUCTIONS: instructions.to_record()}
    )


def read_request(content: RecordDict) -> tuple[Instructions, Vector]:
    """Return what a request says, where it says nothing else: what a site does not know it must not pass over.

    Raises:
        PolicyError: a part is missing, of another type, or one too many.
    """
    _refuse_more(content)
    try:
        said = content.config_records[_INSTRUCTIONS]
        weights = sent_weights(content.array_records[ARRAYS_KEY])
        fingerprint, round_, evaluate = said["fingerprint"], said["round"], said["evaluate"]
    except DAMAGE as error:
        raise PolicyError(
            "The coordinator's request lacks a part, or a part is damaged.",
            fix="Install the same version of consilium at the coordinator and at the site.",
        ) from error
    if type(round_) is not int or not isinstance(evaluate, bool):
        raise PolicyError("The coordinator's request holds values of the wrong type.")
    return Instructions(str(fingerprint), round_, evaluate), weights


def check_empty(content: RecordDict) -> None:
    """Refuse a question that brings anything with it.

    Raises:
        PolicyError: it does.
    """
    _refuse_names("records", set(content))


def _refuse_more(content: RecordDict) -> None:
    """Refuse records, arrays and keys that no request of this version has."""
    _refuse_names("records", set(content) - {_INSTRUCTIONS, ARRAYS_KEY})
    arrays = content.array_records.get(ARRAYS_KEY, ())
    _refuse_names("arrays", set(arrays) - {_VECTOR})
    said = content.config_records.get(_INSTRUCTIONS, ConfigRecord())
    _refuse_names("keys", set(said) - {"fingerprint", "round", "evaluate"} - STRATEGY_ADDS)
    if any(type(said[key]) not in (int, float) for key in STRATEGY_ADDS.intersection(said)):
        raise PolicyError("The coordinator's request holds values of the wrong type.")


def _refuse_names(what: str, unknown: set[str]) -> None:
    if unknown:
        first = "".join(c if c.isprintable() else "?" for c in min(unknown)[:40])
        raise PolicyError(
            f"The coordinator's request holds {len(unknown)} {what} that this site does not know, such as '{first}'.",
            fix="Install the same version of consilium at the coordinator and at the site.",
        )


def reply(answer: Answer) -> RecordDict:
    """Return the content of a reply."""
    said = ConfigRecord({"site": answer.site, "ledger-head": answer.ledger_head})
    if answer.tally is not None:
        said["tally"] = answer.tally.astype("<f8").tobytes()
    metrics = MetricRecord({WEIGHT_KEY: float(answer.declared_patients)})
    content = RecordDict({_ANSWER: said, _METRICS: metrics})
    if answer.weights is not None:
        as_float32 = answer.wire == FLOAT32
        sent = answer.weights if as_float32 else to_bfloat16(answer.weights)
        content[ARRAYS_KEY] = ArrayRecord({_VECTOR: Array(sent)})
    return content


def read_reply(content: RecordDict, wire: str = FLOAT32) -> Answer:
    """Return what a reply says.

    Args:
        content: the reply.
        wire: the type that the study declares for weights.

    Raises:
        PolicyError: a part is missing or of another type.
    """
    try:
        said = content.config_records[_ANSWER]
        weight = content.metric_records[_METRICS][WEIGHT_KEY]
        arrays = content.array_records.get(ARRAYS_KEY)
        weights = None if arrays is None else sent_weights(arrays, wire)
        tally = said.get("tally")
        flat = np.frombuffer(tally, dtype="<f8") if isinstance(tally, bytes) else None
        declared = int(weight) if isinstance(weight, float) and weight.is_integer() else 0
        site, head = str(said["site"]), str(said["ledger-head"])
        return Answer(site, declared, head, weights, flat, wire)
    except DAMAGE as error:
        raise PolicyError("The site's reply lacks a part, or a part is damaged.") from error


def introduction(told: Introduction) -> RecordDict:
    """Return the content of a description."""
    values: dict[str, str | int] = {
        "site": told.site,
        "declared-patients": told.declared_patients,
        "layout": told.layout,
        "statistics": told.statistics,
    }
    return RecordDict({_ANSWER: ConfigRecord(dict(values))})


def read_introduction(content: RecordDict) -> Introduction:
    """Return what a site says about itself.

    Raises:
        PolicyError: a part is missing or of another type.
    """
    try:
        said = content.config_records[_ANSWER]
        declared = said["declared-patients"]
        site, layout, statistics = (str(said[key]) for key in ("site", "layout", "statistics"))
    except KeyError as error:
        raise PolicyError("A site's description lacks a part.") from error
    if not SITE_NAME.fullmatch(site):
        raise PolicyError("A site's name is not made of letters, digits and dashes.")
    if not isinstance(declared, int) or declared < 1:
        raise PolicyError(f"Site '{site}' declares no patients.", where="declared_patients")
    return Introduction(site, declared, layout, statistics)
