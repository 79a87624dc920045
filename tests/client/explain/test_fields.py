"""Columns in the study's words, and the sample of which nothing is known."""

from __future__ import annotations

import tomllib
from typing import Any

import numpy as np

from client.explain.baselines import baselines
from client.explain.fields import fields_of
from common.data_spec import DataSpec
from common.study_file import parse_study
from common.study_template import template

FEATURES = [
    {"name": "age", "type": "number", "minimum": 20, "maximum": 80, "unit": "a", "fill": 65},
    {"name": "sex", "type": "flag"},
    {"name": "pain", "type": "category", "categories": ["none", "some"], "missing_indicator": True},
]


def spec_of(kind: str, **data: Any) -> DataSpec:
    content = tomllib.loads(template(kind, "x"))
    content["data"] |= data
    return parse_study(content, where="x").data


def test_values_of_a_row_in_words() -> None:
    fields = fields_of(spec_of("table", features=FEATURES))
    assert fields is not None
    row = np.array([0.5, -1.0, -1.0, 1.0, -1.0], np.float32)
    told = [f.told(row[fields.columns(n)]) for n, f in enumerate(fields.fields)]
    assert told == ["65 a", "no", "some"]
    nothing = np.array([0, 0, 0, 0, 1], np.float32)
    told = [f.told(nothing[fields.columns(n)]) for n, f in enumerate(fields.fields)]
    assert told == ["50 a", "unknown", "other or unknown"]
    assert fields.owners.tolist() == [0, 1, 2, 2, 2]


def test_a_row_without_any_value() -> None:
    raw = np.ones((2, 5), np.float32)
    blank = baselines(raw, spec_of("table", features=FEATURES))
    assert blank.tolist() == [[0.5, 0.0, 0.0, 0.0, 1.0]] * 2


def test_a_record_without_any_reading() -> None:
    spec = spec_of("records", history_minutes=300.0)
    fields = fields_of(spec)
    raw = np.ones((1, *spec.input_shape), np.float32)
    blank = baselines(raw, spec)
    assert fields is not None
    assert blank.shape == raw.shape
    assert (blank == blank[:, :1]).all(), "the same in every step"
    visits = spec_of("records", history_minutes=300.0, visits=3)
    padded = baselines(np.ones((1, *visits.input_shape), np.float32), visits)
    assert padded[0, :, -2:].tolist() == [[-1.0, -1.0]] * 3
    assert not padded[..., :-2].any()
    named = fields_of(visits)
    assert named is not None
    assert [field.name for field in named.fields][-2:] == ["time in the window", "visit"]


def test_series_are_compared_with_their_own_mean() -> None:
    spec = spec_of("series")
    raw = np.arange(spec.input_shape[0], dtype=np.float32)[None, :, None]
    assert np.unique(baselines(raw, spec)).tolist() == [raw.mean()]


def test_images_have_no_columns_and_are_compared_with_darkness() -> None:
    spec = spec_of("arrays")
    assert fields_of(spec) is None
    assert np.unique(baselines(np.zeros((1, *spec.input_shape), np.float32), spec)).tolist() == [
        -1.0
    ]


def test_steps_take_the_unit_away() -> None:
    spec = spec_of("signals", steps=[{"name": "differences"}])
    fields = fields_of(spec)
    assert fields is not None
    assert len(fields.owners) == spec.model_shape[-1]
    assert {field.unit for field in fields.fields} == {""}


def test_atoms_and_bonds_have_names() -> None:
    spec = spec_of("molecules", representation="graph", max_atoms=3)
    fields = fields_of(spec)
    assert fields is not None
    names = [field.name for field in fields.fields]
    assert len(names) == spec.input_shape[1]
    assert (names[0], names[1], names[-1]) == ("atom", "C", "aromatic bond to atom 3")
    assert fields.time == "atom"
