"""One private step: what is summed, how much noise there is, and what it is divided by."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from client.training.batches import Samples, UnitSampler, order_by_unit
from common.errors import MachineError
from common.privacy.clipping import Clipping
from common.privacy.engine import GradientEngine, LossPerSample, UnitBatch
from common.privacy.engines import make_engine
from common.privacy.noise import SecureRandom
from common.privacy.plan import SitePlan, plan_site
from common.privacy.step import GRID, add_noise, private_gradient
from common.study import Study

WIDTH = 300


@pytest.fixture
def plan(make_study: Callable[..., Study]) -> SitePlan:
    return plan_site(make_study(privacy={"clip_norm": 0.5}), 40)


def engine() -> GradientEngine:
    torch.manual_seed(0)
    return make_engine("auto", nn.Sequential(nn.Linear(WIDTH, 2)))


def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(outputs, targets, reduction="none")


def cohort(units: int = 12) -> Samples:
    rng = np.random.default_rng(1)
    unit = np.repeat(np.arange(units), rng.integers(1, 5, units))
    inputs = rng.normal(size=(len(unit), WIDTH)).astype(np.float32)
    return order_by_unit(inputs, rng.integers(0, 2, len(unit)), unit, torch.device("cpu"))


def gradient(plan: SitePlan, chunks: list[UnitBatch], seed: int = 1) -> torch.Tensor:
    used = engine()
    private_gradient(used, chunks, loss, plan, SecureRandom.fixed(seed))
    parts = [p.grad for p in used.module.parameters() if p.grad is not None]
    return torch.cat([part.flatten() for part in parts])


def noise(seed: int = 1) -> torch.Tensor:
    return torch.from_numpy(SecureRandom.fixed(seed).normal(2 * WIDTH + 2))


def test_an_empty_batch_releases_noise_alone(plan: SitePlan) -> None:
    found = gradient(plan, [])
    torch.testing.assert_close(
        found.double(), noise() * plan.noise_multiplier * 0.5 / plan.divisor, rtol=1e-5, atol=1e-7
    )


def test_noise_has_the_deviation_that_the_ledger_claims(plan: SitePlan) -> None:
    louder = replace(plan, noise_multiplier=2.5)
    drawn = torch.cat([gradient(louder, [], seed) for seed in range(40)]) * plan.divisor
    assert float(drawn.std()) == pytest.approx(2.5 * 0.5, rel=0.02)
    assert abs(float(drawn.mean())) < 0.04


def test_noise_is_added_to_the_clipped_sum_and_divided_by_a_public_number(plan: SitePlan) -> None:
    sampler = UnitSampler(cohort(), Fraction(1), 8, 1000, (), SecureRandom.fixed(3))
    (chunk,) = sampler.draw()
    total = torch.cat([g.flatten() for g in engine().clipped_sum(chunk, loss, Clipping(0.5))])
    expected = (total.double() + noise() * plan.noise_multiplier * 0.5) / plan.divisor
    found = gradient(plan, [chunk])
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    half = UnitBatch(chunk.inputs[:1], chunk.targets[:1], chunk.unit[:1], 1)
    fewer = gradient(plan, [half]).double() * plan.divisor - noise() * plan.noise_multiplier * 0.5
    assert float(fewer.norm()) <= 0.5 + 1e-4, "one patient, whatever the number drawn"


def test_the_size_of_the_pieces_does_not_change_the_result(plan: SitePlan) -> None:
    whole = gradient(plan, list(pieces(1000)))
    for size in (1, 3, 7):
        chunks = list(pieces(size))
        assert len(chunks) > 1
        torch.testing.assert_close(gradient(plan, chunks), whole, rtol=1e-5, atol=1e-6)


def pieces(size: int) -> list[UnitBatch]:
    return list(UnitSampler(cohort(), Fraction(1, 2), 2, size, (), SecureRandom.fixed(4)).draw())


def test_an_interrupted_step_leaves_nothing_behind(plan: SitePlan) -> None:
    used = engine()
    chunks = pieces(3)

    def stopping() -> object:
        yield chunks[0]
        raise InterruptedError

    with pytest.raises(InterruptedError):
        private_gradient(used, stopping(), loss, plan, SecureRandom.fixed(1))  # type: ignore[arg-type]
    assert all(p.grad is None for p in used.module.parameters())
    private_gradient(used, chunks, loss, plan, SecureRandom.fixed(1))
    after = torch.cat([p.grad.flatten() for p in used.module.parameters() if p.grad is not None])
    assert torch.equal(after, gradient(plan, chunks))


def test_every_value_gets_noise_of_its_own() -> None:
    sums = [torch.zeros(3, 4), torch.zeros(0), torch.zeros(5, dtype=torch.float64)]
    add_noise(sums, 2.0, SecureRandom.fixed(7))
    drawn = SecureRandom.fixed(7).normal(17)
    values = torch.cat([s.flatten().double() for s in sums])
    torch.testing.assert_close(values, 2.0 * torch.from_numpy(drawn), rtol=1e-6, atol=1e-7)
    assert len(set(values.tolist())) == 17
    assert math.isfinite(float(values.sum()))


class Small:
    """An engine on a machine with room for so many units."""

    def __init__(self, room: int, error: RuntimeError) -> None:
        self.inner, self.room, self.error = engine(), room, error
        self.module = self.inner.module

    def clipped_sum(
        self, batch: UnitBatch, loss: LossPerSample, clipping: Clipping
    ) -> list[torch.Tensor]:
        if batch.units > self.room:
            raise self.error
        return self.inner.clipped_sum(batch, loss, clipping)

    footprint = None


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("no room"), RuntimeError("can't allocate memory: 9 bytes")]
)
def test_what_does_not_fit_is_computed_in_parts_of_whole_units(
    plan: SitePlan, error: RuntimeError
) -> None:
    (chunk,) = pieces(1000)
    assert chunk.units > 3
    used: Any = Small(1, error)
    private_gradient(used, [chunk], loss, plan, SecureRandom.fixed(1))
    found = torch.cat([p.grad.flatten() for p in used.module.parameters()])
    torch.testing.assert_close(found, gradient(plan, [chunk]), rtol=1e-5, atol=1e-6)
    with pytest.raises(MachineError, match="single unit"):
        private_gradient(Small(0, error), [chunk], loss, plan, SecureRandom.fixed(1))  # type: ignore[arg-type]


def test_other_failures_are_not_taken_for_a_lack_of_memory(plan: SitePlan) -> None:
    with pytest.raises(RuntimeError, match="shape"):
        private_gradient(
            Small(0, RuntimeError("shape")),  # type: ignore[arg-type]
            pieces(1000),
            loss,
            plan,
            SecureRandom.fixed(1),
        )


@given(deviation=st.floats(1e-6, 1e4), value=st.floats(-1e3, 1e3), seed=st.integers(0, 99))
def test_what_is_released_lies_on_a_grid_far_below_the_noise(
    deviation: float, value: float, seed: int
) -> None:
    """The low bits of a sum must not show through the holes between floating-point normals."""
    sums = [torch.full((50,), value, dtype=torch.float64)]
    add_noise(sums, deviation, SecureRandom.fixed(seed))
    cells = sums[0] / 2.0 ** math.floor(math.log2(deviation * GRID))
    assert torch.equal(cells, cells.round())
    exact = value + deviation * torch.from_numpy(SecureRandom.fixed(seed).normal(50))
    assert float((sums[0] - exact).abs().max()) <= deviation * GRID


def test_without_noise_nothing_is_rounded() -> None:
    sums = [torch.tensor([0.1, 1e-30])]
    add_noise(sums, 0.0, SecureRandom.fixed(1))
    assert torch.equal(sums[0], torch.tensor([0.1, 1e-30]))
