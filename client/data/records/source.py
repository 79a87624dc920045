"""Records: irregular readings of a patient over time, on a grid that starts at an anchor, and their outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.data import cells, tabular
from client.data.quarantine import QuarantineLog
from client.data.records.config import RecordDataset
from client.data.records.grid import Floats, Steps
from client.data.records.outcomes import Outcomes, read_outcomes
from client.data.records.visits import last_visits
from client.data.samples import RawSamples
from client.data.units import conversion
from common.data_spec import RecordSpec, Variable
from common.errors import DataError


class RecordSource:
    """Reads `kind = "records"`."""

    def load(
        self, dataset: RecordDataset, spec: RecordSpec, classes: Sequence[str] | None
    ) -> RawSamples:
        """Read the outcomes, then the readings block by block (see `Source.load`)."""
        log = QuarantineLog()
        return read_readings(dataset, spec, read_outcomes(dataset, spec, classes, log), log)


def read_readings(
    dataset: RecordDataset, spec: RecordSpec, outcomes: Outcomes, log: QuarantineLog
) -> RawSamples:
    """Read the readings of records, block by block.

    Raises:
        DataError: no reading belongs to any record.
    """
    collected = _Readings(dataset, spec, outcomes)
    for block in tabular.blocks(dataset.path, dataset, _columns(dataset, spec)):
        collected.add(block)
    return collected.samples(outcomes, log)


def _columns(dataset: RecordDataset, spec: RecordSpec) -> set[str]:
    """Return the columns of the readings that are needed."""
    needed = {dataset.record, dataset.time}
    if dataset.variable and dataset.value:
        return needed | {dataset.variable, dataset.value}
    return needed | {dataset.local(variable.name) for variable in _recorded(dataset, spec)}


def _recorded(dataset: RecordDataset, spec: RecordSpec) -> list[Variable]:
    return [variable for variable in spec.variables if variable.name not in dataset.absent]


class _Readings:
    """Collects the readings of all records."""

    def __init__(self, dataset: RecordDataset, spec: RecordSpec, outcomes: Outcomes) -> None:
        self._dataset, self._spec = dataset, spec
        self._where = str(dataset.path)
        self._clock = replace(outcomes.clock, where=self._where)
        self._number = pd.Series(np.arange(len(outcomes.keys)), index=list(outcomes.keys))
        self._start = outcomes.start
        self._steps = {v.name: Steps(v, len(outcomes.keys), spec) for v in spec.variables}
        self._counts: Counter[str] = Counter()

    def add(self, block: pd.DataFrame) -> None:
        """Add some rows of the readings."""
        tabular.require(
            block,
            sorted(_columns(self._dataset, self._spec)),
            where=self._where,
            text=self._dataset,
        )
        record = self._number.reindex(block[self._dataset.record]).to_numpy(np.float64)
        ours = ~np.isnan(record)
        block, record = block[ours], record[ours].astype(np.int64)
        self._counts["of our records"] += len(block)
        if block.empty:
            return
        minutes = self._clock.minutes(block[self._dataset.time], self._dataset.time)
        self._counts["reading without a usable time"] += int(np.isnan(minutes).sum())
        since = minutes - self._start[record]
        inside = (since >= 0) & (since < self._spec.history_minutes)
        block, record, since = block[inside], record[inside], since[inside]
        for variable in _recorded(self._dataset, self._spec):
            self._add(variable, block, record, since)

    def _add(
        self, variable: Variable, block: pd.DataFrame, record: NDArray[np.int64], since: Floats
    ) -> None:
        dataset = self._dataset
        column = dataset.value or dataset.local(variable.name)
        rows = np.arange(len(block))
        if dataset.variable:
            names = block[dataset.variable]
            rows = np.flatnonzero(cells.matches(names, [dataset.local(variable.name)]))
        values = self._values(variable, block[column].iloc[rows])
        known = ~np.isnan(values)
        rows = rows[known]
        self._steps[variable.name].add(record[rows], since[rows], values[known])

    def _values(self, variable: Variable, text: pd.Series[str]) -> Floats:
        """Return values in the study's unit, NaN where there is none or an impossible one."""
        words = cells.replaced(text, self._dataset.replace.get(variable.name, {}))
        values = cells.numbers(words, self._dataset)
        blank = cells.is_missing(words, self._dataset)
        self._counts[f"{variable.name}: no number"] += int((np.isnan(values) & ~blank).sum())
        unit = conversion(variable.name, variable.unit, self._dataset, where=self._where)
        values = values * unit.factor + unit.offset
        low = -np.inf if variable.valid_minimum is None else variable.valid_minimum
        high = np.inf if variable.valid_maximum is None else variable.valid_maximum
        impossible = (values < low) | (values > high)
        self._counts[f"{variable.name}: impossible value"] += int(impossible.sum())
        values[impossible] = np.nan
        return values

    def samples(self, outcomes: Outcomes, log: QuarantineLog) -> RawSamples:
        """Return one sample for each record with enough readings.

        Raises:
            DataError: no reading belongs to any record.
        """
        if outcomes.keys and not self._counts.pop("of our records", 0):
            raise DataError(
                f"No reading belongs to any of the {len(outcomes.keys)} records.",
                where=self._where,
                fix=f"Is '{self._dataset.record}' the same key in readings and outcomes?",
            )
        readings = np.sum([steps.readings for steps in self._steps.values()], axis=0)
        enough = np.flatnonzero(readings >= self._spec.min_readings)
        for _ in range(len(outcomes.keys) - len(enough)):
            log.add("a record", "too few readings in the window")
        counted = sorted(item for item in self._counts.items() if item[1])
        return RawSamples(
            inputs=self._inputs(outcomes)[enough],
            targets=outcomes.targets[enough],
            patients=[outcomes.patients[row] for row in enough.tolist()],
            splits=outcomes.splits,
            quarantine=log.result(),
            notes=(*outcomes.notes, *(f"{count} × {what}." for what, count in counted)),
        )

    def _inputs(self, outcomes: Outcomes) -> NDArray[np.float32]:
        """Return [records, T, F]: the steps of the window, or the last visits in it."""
        parts = [steps.inputs() for steps in self._steps.values()]
        parts.append(np.repeat(outcomes.features[:, None], self._spec.window_steps, axis=1))
        inputs = np.concatenate(parts, axis=2)
        if self._spec.visits is None:
            return inputs
        seen = np.any([steps.own for steps in self._steps.values()], axis=0)
        return last_visits(inputs, seen, self._spec.visits)
