"""Networks for fused data: private in every part, blind to what is missing, and sized as the study says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from battery import check_private

from common.data_spec import FusedSpec
from common.errors import StudyError
from common.models import build_model
from common.study import Study
from common.study_file import parse_study

MODELS: dict[str, Any] = {
    "film": {"name": "compact-cnn", "channels": [4]},
    "ecg": {"name": "cnn-1d", "channels": [4], "kernel_size": 3},
    "record": {"name": "mlp", "hidden": [3]},
}
PARTS: dict[str, Any] = {
    "film": {"kind": "arrays", "image_size": 8, "labels": "none"},
    "ecg": {
        "kind": "signals",
        "sampling_hz": 10.0,
        "window_seconds": 1.0,
        "channels": [{"name": "I", "unit": "mV", "minimum": -1, "maximum": 1}],
    },
    "record": {
        "kind": "table",
        "target": "ill",
        "positive": [1],
        "features": [
            {"name": "age", "minimum": 0, "maximum": 100},
            {"name": "sex", "type": "flag"},
        ],
    },
}
CLASSES = torch.tensor([0, 1, 1, 0, 1, 0, 0])


def study_for(
    task: dict[str, Any] | None = None, data_parts: dict[str, Any] = PARTS, **model: Any
) -> Study:
    content: dict[str, Any] = {
        "study": {"name": "x", "seed": 7},
        "task": task or {"name": "classification", "classes": ["a", "b"]},
        "model": {"name": "fusion", "width": 3, "parts": MODELS, **model},
        "data": {"kind": "fused", "target": "record", "parts": data_parts},
        "training": {"learning_rate": 0.1, "local_steps": 1},
        "privacy": {"noise_multiplier": 1.0, "delta": 1e-3, "sampling_rate": "1/4"},
        "federation": {"rounds": 1, "min_sites": 2},
    }
    return parse_study(content, where="x")


def samples(study: Study, count: int = 7) -> torch.Tensor:
    """Random samples of which some lack a part, and the last all but the record."""
    data = study.data
    assert isinstance(data, FusedSpec)
    values = torch.randn((count, *data.model_shape), generator=torch.Generator().manual_seed(5))
    for place in data.layout:
        values[:, place.flag] = 1.0
    for row, name in [(1, "ecg"), (4, "film"), (count - 1, "film"), (count - 1, "ecg")]:
        without(values[row : row + 1], study, name)
    return values


def without(values: torch.Tensor, study: Study, name: str) -> torch.Tensor:
    """Take a part away, in place."""
    data = study.data
    assert isinstance(data, FusedSpec)
    place = next(place for place in data.layout if place.name == name)
    values[:, place.flag] = 0.0
    values[:, place.start : place.end] = 0.0
    return values


@pytest.mark.parametrize("model", [{"join": "late"}, {"join": "intermediate", "hidden": [4]}])
def test_each_patient_by_hand(model: dict[str, Any]) -> None:
    study = study_for(**model)
    check_private(study, CLASSES, inputs=samples(study))


def test_each_patient_by_hand_with_findings() -> None:
    task = {"name": "multilabel", "findings": ["a", "b"]}
    parts = {
        "film": {"kind": "arrays", "image_size": 8, "labels": "classes"},
        "record": PARTS["record"],
    }
    content = study_for().content()
    content["task"], content["data"]["parts"] = task, parts
    content["data"]["target"] = "film"
    content["model"]["parts"] = {name: MODELS[name] for name in parts}
    study = parse_study(content, where="x")
    drawn = torch.randint(-1, 2, (7, 2), generator=torch.Generator().manual_seed(1))
    check_private(study, drawn.float())


def test_each_patient_by_hand_with_molecules() -> None:
    drug = {"kind": "molecules", "representation": "graph", "max_atoms": 4, "target": "none"}
    parts = {"drug": drug | {"positive": [1]}, "record": PARTS["record"]}
    content = study_for().content()
    content["data"]["parts"] = parts
    content["model"]["parts"] = {
        "drug": {"name": "molecule-graph", "width": 4, "layers": 2},
        "record": MODELS["record"],
    }
    study = parse_study(content, where="x")
    data = study.data
    assert isinstance(data, FusedSpec)
    graph = data.layout[0]
    values = torch.randn((7, *data.model_shape), generator=torch.Generator().manual_seed(5))
    values[:, :2] = 1.0
    values[:, graph.start : graph.end] = (values[:, graph.start : graph.end] > 0).float()
    without(values[-1:], study, "drug")
    check_private(study, CLASSES, inputs=values)


def test_a_network_of_graphs_wants_graphs() -> None:
    for name, said in (
        ("molecule-graph", "takes graphs of molecules"),
        ("fusion", "not for one part"),
    ):
        study = study_for(parts=MODELS | {"film": {"name": name}})
        with pytest.raises(StudyError, match=said) as refused:
            build_model(study, 2)
        assert refused.value.where == "[model.parts.film]"


def test_the_layout_gives_every_number_one_meaning() -> None:
    data = study_for().data
    assert isinstance(data, FusedSpec)
    layout = data.layout
    assert [(place.name, place.flag) for place in layout] == [
        ("ecg", 0),
        ("film", 1),
        ("record", 2),
    ]
    assert [(place.start, place.end) for place in layout] == [(3, 13), (13, 77), (77, 79)]
    assert data.model_shape == (79,)


def test_the_order_in_which_parts_are_written_changes_nothing() -> None:
    turned = study_for(data_parts=dict(reversed(PARTS.items())))
    assert turned.fingerprint == study_for().fingerprint
    assert turned.data.layout == study_for().data.layout  # type: ignore[union-attr]


@pytest.mark.parametrize("join", ["late", "intermediate"])
def test_a_missing_part_says_nothing(join: str) -> None:
    study = study_for(join=join)
    network = build_model(study, 2)
    values = without(samples(study), study, "film")
    first = network(values)
    with torch.no_grad():
        for parameter in network.parts.networks[1].parameters():  # the film's
            parameter.add_(1.0)
    torch.testing.assert_close(network(values), first, rtol=0, atol=0)
    assert not torch.allclose(network(samples(study)), build_model(study, 2)(samples(study)))


def test_the_head_of_intermediate_fusion_sees_what_is_missing() -> None:
    study = study_for(join="intermediate")
    network = build_model(study, 2)
    with torch.no_grad():
        for parameter in network.parts.parameters():  # no part says anything
            parameter.zero_()
    values = samples(study)[:1]
    everything = network(values)
    assert not torch.allclose(network(without(values, study, "film")), everything)


def test_late_fusion_is_the_weighted_mean_of_those_who_are_there() -> None:
    weighted = {**MODELS, "record": {**MODELS["record"], "weight": 3.0}}
    content = study_for(join="late").content()
    content["model"]["parts"] = weighted
    study = parse_study(content, where="x")
    network = build_model(study, 2)
    values = samples(study, 3)
    answers, there = network.parts(values)
    assert there.tolist() == [[1, 1, 1], [0, 1, 1], [0, 0, 1]]
    found = network(values)
    torch.testing.assert_close(found[0], (answers[0, 0] + answers[0, 1] + 3 * answers[0, 2]) / 5)
    torch.testing.assert_close(found[1], (answers[1, 1] + 3 * answers[1, 2]) / 4)
    torch.testing.assert_close(found[2], answers[2, 2])
    nobody = torch.zeros((1, *study.data.model_shape))
    assert network(nobody).tolist() == [[0.0, 0.0]]


def test_parameters_are_counted() -> None:
    network = build_model(study_for(hidden=[4]), 2)
    own = [build_one(name) for name in ("ecg", "film", "record")]
    head = (3 * (3 + 1) * 4 + 4) + (4 * 2 + 2)
    assert sum(p.numel() for p in network.parameters()) == sum(own) + head


def build_one(name: str) -> int:
    from common import plugins

    model = dict(MODELS[name])
    family = plugins.load("models", model.pop("name"))
    shape = {"ecg": (10, 1), "film": (1, 8, 8), "record": (2,)}[name]
    network = family.build(family.Options(**model), shape, 3)
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"widht": 3}, "width"),
        ({"join": "late", "hidden": [4]}, "late fusion has no head"),
        ({"parts": {**MODELS, "record": {"name": "mlp", "weight": 2}}}, "join = 'late'"),
        ({"parts": {**MODELS, "record": {"name": "mlp", "hiden": [3]}}}, "hidden"),
        ({"parts": {**MODELS, "record": {"name": "mpl"}}}, "'mlp'"),
        ({"parts": {**MODELS, "record": {"name": "cnn-1d"}}}, "[model.parts.record]"),
        ({"parts": {"film": MODELS["film"], "ecg": MODELS["ecg"]}}, "'record'"),
        ({"parts": {**MODELS, "flm": MODELS["film"]}}, "'film'"),
        ({"parts": {**MODELS, "record": {"name": "fusion"}}}, "[model.parts.record]"),
    ],
)
def test_what_does_not_fit_is_refused(model: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError) as error:
        build_model(study_for(**model), 2)
    assert said in str(error.value)


def test_it_takes_fused_data_only() -> None:
    content = study_for().content()
    content["data"] = PARTS["record"]
    with pytest.raises(StudyError, match="takes fused data"):
        build_model(parse_study(content, where="x"), 2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"target": "blood"}, "target is none of the parts"),
        (
            {"target": "ecg", "parts": {**PARTS, "film": {**PARTS["film"], "labels": "class"}}},
            "labels",
        ),
        ({"parts": {**PARTS, "film": {**PARTS["film"], "test_fraction": 0.5}}}, "stands in [data]"),
        ({"target": "film"}, "a class, or findings"),
        ({"steps": ["clip"]}, "not fused"),
        ({"parts": {"record": PARTS["record"]}}, "parts"),
        ({"parts": {**PARTS, "film": {"kind": "arrays", "image_sise": 8}}}, "image_size"),
    ],
)
def test_data_that_cannot_be_put_together_are_refused(change: dict[str, Any], said: str) -> None:
    content = study_for().content()
    content["data"] = {"kind": "fused", "target": "record", "parts": PARTS, **change}
    with pytest.raises(StudyError) as error:
        parse_study(content, where="x")
    assert said in str(error.value)
