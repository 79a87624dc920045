"""What travels between coordinator and sites, and how it is put into Flower's records.

A request is one packed array and one ConfigRecord; a reply is one packed array, one MetricRecord with the site's
public weight, and one ConfigRecord.
"""

from __future__ import annotations

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
from common.weights import Vector

SITE_ERROR = 1000
"""Error replies carry this plus the exit code of the site's error."""

DAMAGE: tuple[type[Exception], ...] = (
    *(KeyError, ValueError, TypeError, EOFError, OSError, OverflowError, SyntaxError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)
"""What reading an array that another party wrote can raise."""

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
    """

    site: str
    declared_patients: int
    ledger_head: str
    weights: Vector | None
    tally: Floats | None

    @property
    def size(self) -> int:
        """Bytes of patient-dependent content."""
        return sum(part.nbytes for part in (self.weights, self.tally) if part is not None)


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


def sent_weights(record: ArrayRecord) -> Vector:
    """Return packed weights that another party sent, which must be float32 as declared.

    Raises:
        PolicyError: the array is of another type; one that cannot be read raises one of `DAMAGE`.
    """
    with ONE_AT_A_TIME:
        values = record[_VECTOR].numpy()
    if not isinstance(values, np.ndarray) or values.dtype != np.float32:
        raise PolicyError(f"The weights are {getattr(values, 'dtype', 'no array')}, not float32.")
    return values


def for_strategy(content: RecordDict, answer: Answer) -> RecordDict:
    """Return of a checked reply what Flower's strategies may see: the declared array, and the declared weight."""
    seen = RecordDict({_METRICS: MetricRecord({WEIGHT_KEY: float(answer.declared_patients)})})
    if answer.weights is not None:
        checked = content.array_records[ARRAYS_KEY][_VECTOR]
        seen[ARRAYS_KEY] = ArrayRecord({_VECTOR: checked})
    return seen


def strategy_view(content: RecordDict) -> tuple[float, Vector]:
    """Return weight and packed weights of what `for_strategy` or `strategy_content` made."""
    weight = content.metric_records[_METRICS][WEIGHT_KEY]
    if not isinstance(weight, float):
        raise PolicyError("The weight of a reply is not a number.")
    return weight, from_array_record(content.array_records[ARRAYS_KEY])


def strategy_content(weight: float, weights: Vector) -> RecordDict:
    """Return what Flower's strategies take as a reply."""
    metrics = MetricRecord({WEIGHT_KEY: weight})
    return RecordDict({_METRICS: metrics, ARRAYS_KEY: to_array_record(weights)})


def request(instructions: Instructions, weights: Vector) -> RecordDict:
    """Return the content of a request."""
    return RecordDict(
        {ARRAYS_KEY: to_array_record(weights), _INSTRUCTIONS: instructions.to_record()}
    )


def read_request(content: RecordDict) -> tuple[Instructions, Vector]:
    """Return what a request says.

    Raises:
        PolicyError: a part is missing or of another type.
    """
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


def reply(answer: Answer) -> RecordDict:
    """Return the content of a reply."""
    said = ConfigRecord({"site": answer.site, "ledger-head": answer.ledger_head})
    if answer.tally is not None:
        said["tally"] = answer.tally.astype("<f8").tobytes()
    metrics = MetricRecord({WEIGHT_KEY: float(answer.declared_patients)})
    content = RecordDict({_ANSWER: said, _METRICS: metrics})
    if answer.weights is not None:
        content[ARRAYS_KEY] = to_array_record(answer.weights)
    return content


def read_reply(content: RecordDict) -> Answer:
    """Return what a reply says.

    Raises:
        PolicyError: a part is missing or of another type.
    """
    try:
        said = content.config_records[_ANSWER]
        weight = content.metric_records[_METRICS][WEIGHT_KEY]
        arrays = content.array_records.get(ARRAYS_KEY)
        weights = None if arrays is None else sent_weights(arrays)
        tally = said.get("tally")
        flat = np.frombuffer(tally, dtype="<f8") if isinstance(tally, bytes) else None
        declared = int(weight) if isinstance(weight, float) and weight.is_integer() else 0
        return Answer(str(said["site"]), declared, str(said["ledger-head"]), weights, flat)
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
    if not isinstance(declared, int) or declared < 1:
        raise PolicyError(f"Site '{site}' declares no patients.", where="declared_patients")
    return Introduction(site, declared, layout, statistics)
