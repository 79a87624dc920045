"""Records of irregular readings: the readings, and a table with one row a record that says when it starts."""

from __future__ import annotations

from client.data.records.config import RecordDataset
from client.data.unlabelled import records
from client.use.cases import Cases, from_raw
from common.data_spec import RecordSpec


def read(dataset: RecordDataset, spec: RecordSpec) -> Cases:
    """Read the records of the table; their names are their keys, and outcomes are not looked for.

    Raises:
        DataError: a table cannot be read or lacks a column, or no reading belongs to a record.
    """
    return from_raw(records(dataset, spec, dataset.record))
