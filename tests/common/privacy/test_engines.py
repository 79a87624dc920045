"""Every engine against plain autograd, one patient at a time: for every model and task shipped."""

from __future__ import annotations

import copy
import math
import tomllib
from typing import Any

import pytest
import torch
from battery import UNIT, clipped, clipped_sum, distance, gradient_of, without
from torch import nn

from common.errors import StudyError
from common.models import build_model
from common.privacy.clipping import Clipping
from common.privacy.engine import LossPerSample, UnitBatch
from common.privacy.engines import Name, make_engine
from common.study import Study
from common.study_file import parse_study
from common.study_template import template
from common.tasks import build_task

pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook")
SIDE = 8
MODELS: list[dict[str, Any]] = [
    {"name": "compact-cnn", "channels": [4, 4]},
    {"name": "seed-cnn-64"},
    {"name": "seed-cnn-28", "group_norm": True},
    {"name": "lungct-net"},
    {"name": "plain-cnn", "channels": [4, 6], "hidden": [5], "group_norm": True},
    {"name": "mlp", "hidden": [6, 5]},
    {"name": "linear"},
    {"name": "lstm", "hidden_size": 5, "layers": 2},
    {"name": "gru", "hidden_size": 5},
]
CASES = [(model, task) for model in MODELS for task in ("classification", "forecasting")]
CASES = [(m, t) for m, t in CASES if (m["name"] in ("lstm", "gru")) == (t == "forecasting")]
CASES += [({"name": name}, "forecasting") for name in ("mlp", "linear")]
IDS = [f"{model['name']}-{task}" for model, task in CASES]


def study_for(model: dict[str, Any], task: str) -> Study:
    content = tomllib.loads(template("series" if task == "forecasting" else "arrays", "x"))
    content["model"] = model
    if task == "classification":
        content["data"]["image_size"] = SIDE
    return parse_study(content, where="x")


def case(model: dict[str, Any], task: str) -> tuple[nn.Module, LossPerSample, UnitBatch]:
    study = study_for(model, task)
    task_ = build_task(study)
    network = build_model(study, task_.outputs)
    drawn = torch.Generator().manual_seed(3)
    inputs = torch.randn((7, *study.data.input_shape), generator=drawn)
    targets = torch.tensor([0, 1, 1, 0, 1, 0, 0])
    if task == "forecasting":
        targets = torch.randn((7, task_.outputs), generator=drawn)
    return network, task_.loss, UnitBatch(inputs, targets, UNIT, 4)


@pytest.fixture(params=["bookkeeping", "hooks"])
def name(request: pytest.FixtureRequest) -> Name:
    """The engine's name."""
    return request.param  # type: ignore[no-any-return]


@pytest.mark.parametrize(("model", "task"), CASES, ids=IDS)
def test_the_sum_is_that_of_the_patients_clipped_one_by_one(
    name: Name, model: dict[str, Any], task: str
) -> None:
    network, loss, batch = case(model, task)
    for clip in (1e-3, 0.3, 1e6):
        expected: dict[str, torch.Tensor] = {}
        for unit in range(4):
            for name, part in clipped(gradient_of(network, loss, batch, unit), clip).items():
                expected[name] = expected.get(name, 0) + part  # type: ignore[operator]
        found = clipped_sum(name, network, loss, batch, clip)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-5 * min(1, clip))


@pytest.mark.parametrize(("model", "task"), CASES, ids=IDS)
@pytest.mark.parametrize("clip", [1e-3, 0.1, 1.0])
def test_removing_any_one_patient_changes_the_sum_by_at_most_the_clip(
    name: Name, model: dict[str, Any], task: str, clip: float
) -> None:
    network, loss, batch = case(model, task)
    loud = UnitBatch(batch.inputs * 5, batch.targets, batch.unit, batch.units)
    whole = clipped_sum(name, network, loss, loud, clip)
    for unit in range(4):
        change = distance(whole, clipped_sum(name, network, loss, without(loud, unit), clip))
        assert 0 < change <= clip * (1 + 1e-5)  # float32 sums round


def test_the_bound_is_reached_and_held_when_a_patient_has_many_samples(name: Name) -> None:
    network, loss, _ = case({"name": "linear"}, "classification")
    inputs = torch.full((8, 1, SIDE, SIDE), 9.0)
    batch = UnitBatch(inputs, torch.zeros(8, dtype=torch.long), torch.zeros(8).long(), 1)
    total = clipped_sum(name, network, loss, batch, 0.5)
    norm = math.sqrt(sum(float(g.double().pow(2).sum()) for g in total.values()))
    assert 0.5 * (1 - 1e-5) <= norm <= 0.5


def test_units_without_samples_do_not_loosen_the_bound(name: Name) -> None:
    """As many units as samples, yet one unit owns two: they are clipped as one."""
    network, loss, batch = case({"name": "linear"}, "classification")
    same = UnitBatch(batch.inputs[:2], torch.zeros(2).long(), torch.tensor([1, 1]), 2)
    total = clipped_sum(name, network, loss, same, 1e-3)
    assert distance(total, {n: torch.zeros_like(g) for n, g in total.items()}) <= 1e-3


@pytest.mark.parametrize("poison", [math.nan, math.inf])
@pytest.mark.parametrize("model", ["linear", "lungct-net"])
def test_a_patient_with_a_sample_that_is_no_number_contributes_nothing(
    name: Name, model: str, poison: float
) -> None:
    network, loss, batch = case({"name": model}, "classification")
    inputs = batch.inputs.clone()
    inputs[3] = poison  # of unit 2, which has other samples too
    poisoned = UnitBatch(inputs, batch.targets, batch.unit, batch.units)
    found, left = (clipped_sum(name, network, loss, b, 0.1) for b in (poisoned, without(batch, 2)))
    for part, value in left.items():
        torch.testing.assert_close(found[part], value, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("place", ["loss", "backward"])
def test_an_interrupted_step_leaves_nothing_behind(name: Name, place: str) -> None:
    network, loss, batch = case({"name": "lungct-net"}, "classification")
    engine = make_engine(name, network)
    before = engine.clipped_sum(batch, loss, Clipping(0.1))

    class Stopped(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stopped

    def stop_in_loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        raise Stopped

    # The first layer's backward hook: the gradients of all others are there by then.
    first = next(layer for layer in engine.module.modules() if isinstance(layer, nn.Conv2d))
    handle = first.register_full_backward_hook(stop) if place == "backward" else None
    for _ in range(2):
        with pytest.raises(Stopped):
            engine.clipped_sum(batch, loss if handle else stop_in_loss, Clipping(0.1))
        assert all(p.grad is None for p in engine.module.parameters())
        assert all(getattr(p, "grad_sample", None) is None for p in engine.module.parameters())
    if handle:
        handle.remove()
    after = engine.clipped_sum(batch, loss, Clipping(0.1))
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))


def test_the_sum_leaves_no_gradient_behind(name: Name) -> None:
    network, loss, batch = case({"name": "mlp"}, "classification")
    engine = make_engine(name, network)
    engine.clipped_sum(batch, loss, Clipping(0.1))
    for parameter in engine.module.parameters():
        assert parameter.grad is None
        assert getattr(parameter, "grad_sample", None) is None


@pytest.mark.parametrize("shape", ["column", "mean", "half"])
def test_a_loss_that_is_not_one_value_a_sample_is_refused(name: Name, shape: str) -> None:
    network, loss, batch = case({"name": "linear"}, "classification")

    def wrong(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        losses = loss(outputs, targets)
        return {"column": losses[:, None], "mean": losses.mean(), "half": losses[:3]}[shape]

    with pytest.raises(StudyError, match="one value per sample") as caught:
        clipped_sum(name, network, wrong, batch, 0.1)
    assert "trailing dimension" in caught.value.fix


@pytest.mark.parametrize("layer", [nn.BatchNorm2d(3), nn.SyncBatchNorm(3)])
def test_layers_that_mix_patients_are_refused(name: Name, layer: nn.Module) -> None:
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Sequential(layer), nn.Flatten())
    with pytest.raises(StudyError, match=r"Layer '1\.0' \((Sync)?BatchNorm") as caught:
        make_engine(name, network)
    assert "GroupNorm" in caught.value.fix


@pytest.mark.parametrize("model", ["lstm", "gru"])
def test_opacus_replacement_of_a_recurrent_layer_computes_the_same(model: str) -> None:
    network, _, batch = case({"name": model, "layers": 2}, "forecasting")
    names = [n for n, _ in network.named_parameters()]
    expected = network(batch.inputs)
    engine = make_engine("hooks", network)
    assert sorted(n for n, _ in engine.module.named_parameters()) == sorted(names)
    torch.testing.assert_close(engine.module(batch.inputs), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("model", "task"), CASES, ids=IDS)
def test_mixed_precision_keeps_sums_and_bounds_in_full(
    name: Name, model: dict[str, Any], task: str
) -> None:
    """Half-precision passes change the gradient a little; what is clipped and summed is float32."""
    network, loss, batch = case(model, task)
    engine = make_engine(name, copy.deepcopy(network), "mixed")
    engine.footprint(batch.inputs[0])
    found = engine.clipped_sum(batch, loss, Clipping(0.1))
    names = [n for n, p in engine.module.named_parameters() if p.requires_grad]
    assert all(part.dtype == torch.float32 for part in found)
    full = clipped_sum(name, network, loss, batch, 0.1)
    mixed = dict(zip(names, found, strict=True))
    size = distance(full, {n: torch.zeros_like(g) for n, g in full.items()})
    assert distance(mixed, full) <= 0.5 * size
    for unit in range(4):
        left = engine.clipped_sum(without(batch, unit), loss, Clipping(0.1))
        assert distance(mixed, dict(zip(names, left, strict=True))) <= 0.1 * (1 + 1e-4)
