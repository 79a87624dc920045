"""How a site describes longitudinal records in site.toml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from client.data.config_base import Dataset, Filtered, Join, LocalPath, TextFormat


class RecordDataset(Dataset, TextFormat, Filtered):
    """Readings over time and, in a second table, one row a record (a stay, a pregnancy, a patient) with its outcome.

    Readings are wide (one column a variable) or long (`variable` and `value` are columns). `filter` and `join` are
    for the table of outcomes.

    Attributes:
        outcomes: the table with one row a record: key, patient, target, and what `features` need.
        record: key column, in both tables.
        patient: column of the outcomes with the patient's identifier.
        time: column of the readings with the time of a reading.
        time_unit: unit of a time that is a plain number.
        time_format: strptime format of a time that is a date; none: recognised (ISO 8601 and the like).
        anchor: column of the outcomes with the time that counts as zero; none: times count from it already.
        outcome_time: column of the outcomes with the time at which the outcome was known, on the readings' clock.
        variable: column of long readings with the variable's name.
        value: column of long readings with the value.
        split: column of the outcomes that fixes the split (train or test).
        join: tables whose columns are added to the outcomes.
        absent: variables and features of the study that this site does not record.
    """

    kind: Literal["records"]
    outcomes: LocalPath
    record: str = Field(min_length=1)
    patient: str = Field(min_length=1)
    time: str = "time"
    time_unit: Literal["milliseconds", "seconds", "minutes", "hours", "days"] | None = None
    time_format: str | None = None
    anchor: str | None = None
    outcome_time: str | None = None
    variable: str | None = None
    value: str | None = None
    split: str | None = None
    join: tuple[Join, ...] = ()
    absent: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _long_or_wide(self) -> RecordDataset:
        if (self.variable is None) != (self.value is None):
            raise ValueError("variable and value go together (long readings), or are both left out")
        return self
