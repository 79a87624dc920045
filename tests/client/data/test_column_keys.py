"""A column that is not there: the message says which key of site.toml named it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.data.cohort import Cohort
from client.data.column_keys import OWN
from client.data.config import EpisodeDataset, MoleculeDataset, SeriesDataset, TableDataset
from client.data.records.config import RecordDataset
from common.errors import DataError

Build = Callable[..., Cohort]
TABLE: dict[str, Any] = {
    "kind": "table",
    "target": "ill",
    "positive": [1],
    "features": [{"name": "age", "minimum": 0, "maximum": 100}],
}
SERIES: dict[str, Any] = {
    "kind": "series",
    "minimum": 0,
    "maximum": 400,
    "history_minutes": 20,
    "horizons_minutes": [10],
}
RECORDS: dict[str, Any] = {
    "kind": "records",
    "target": "died",
    "positive": [1],
    "history_minutes": 240,
    "step_minutes": 60,
    "variables": [{"name": "pulse", "minimum": 20, "maximum": 240, "fill": 80}],
}
SEVERAL = 'kind = "table"\npath = "t.csv"\n'
OF_RECORDS = 'kind = "records"\npath = "r.csv"\noutcomes = "t.csv"\nrecord = "id"\npatient = "id"\n'


@pytest.mark.parametrize(
    ("spec", "site", "column", "key"),
    [
        (TABLE, SEVERAL + 'patient = "pid"\n', "pid", "Set `patient` in"),
        (TABLE, SEVERAL + 'patient = "id"\nsplit = "fold"\n', "fold", "Set `split` in"),
        (TABLE, SEVERAL + 'columns = {age = "jahre"}\n', "jahre", "`columns` in .* maps 'age' to"),
        (TABLE, SEVERAL + "filter = {ward = 1}\n", "ward", "Correct `filter` in"),
        (TABLE, SEVERAL + "join = [{path = 'j.csv', on = 'stay'}]\n", "stay", "`on` of the join"),
        (
            TABLE,
            SEVERAL + "join = [{path = 'j.csv', on = 'id', columns = ['bmi']}]\n",
            "bmi",
            "`columns` of the join",
        ),
        (SERIES, 'kind = "series"\npath = "r.csv"\npatient = "pid"\n', "pid", "Set `patient` in"),
        (SERIES, 'kind = "series"\npath = "r.csv"\nvalue = "mgdl"\n', "mgdl", "Set `value` in"),
        (
            SERIES,
            'kind = "series"\npath = "r.csv"\npatient = "id"\nrecord = "stay"\ntime_unit = "minutes"\n',
            "stay",
            "Set `record` in",
        ),
        (
            RECORDS,
            OF_RECORDS + 'time = "when"\ncolumns = {pulse = "value"}\n',
            "when",
            "Set `time` in",
        ),
        (RECORDS, OF_RECORDS + 'anchor = "admitted"\n', "admitted", "Set `anchor` in"),
        (RECORDS, OF_RECORDS + 'variable = "item"\nvalue = "v"\n', "item", "Set `variable` in"),
        (RECORDS, OF_RECORDS, "pulse", "`columns` in"),
    ],
)
def test_the_key_is_named(
    build: Build, tmp_path: Path, spec: dict[str, Any], site: str, column: str, key: str
) -> None:
    (tmp_path / "t.csv").write_text("id,age,died,ill\na,50,1,1\nb,60,0,0\n")
    (tmp_path / "j.csv").write_text("id,weight\na,70\n")
    (tmp_path / "r.csv").write_text("id,time,value\na,0,100\na,5,110\nb,0,90\n")
    with pytest.raises(DataError, match=f"no column '{column}'.*{key}") as refused:
        build(site, spec, ["no", "yes"])
    assert ("Map the study's names" in str(refused.value)) == (column == "pulse")


def test_every_key_is_one_of_a_data_set() -> None:
    kinds = (TableDataset, SeriesDataset, RecordDataset, EpisodeDataset, MoleculeDataset)
    assert set(OWN) <= {name for kind in kinds for name in kind.model_fields}
