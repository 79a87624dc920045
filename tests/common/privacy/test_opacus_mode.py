"""The book-keeping engine behind Opacus' own interface, against Opacus' hooks."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from opacus import PrivacyEngine
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from common.errors import StudyError
from common.privacy.opacus_mode import BookkeepingPrivacyEngine, GradSampleModuleBookkeeping

pytestmark = pytest.mark.filterwarnings("ignore")


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2)
    )


def trained(engine: Any, mode: str, **options: Any) -> list[torch.Tensor]:
    """The weights after two epochs without noise."""
    torch.manual_seed(2)
    data = TensorDataset(torch.randn(24, 1, 8, 8), torch.randint(0, 2, (24,)))
    model = network()
    model, optimizer, loader = engine.make_private(
        module=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        data_loader=DataLoader(data, batch_size=8),
        noise_multiplier=0.0,
        max_grad_norm=0.1,
        poisson_sampling=False,
        grad_sample_mode=mode,
        **options,
    )
    for _ in range(2):
        for inputs, targets in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs), targets).backward()
            optimizer.step()
    return [p.detach().clone() for p in model.parameters()]


def test_it_trains_as_opacus_does() -> None:
    ours = trained(BookkeepingPrivacyEngine(), "bookkeeping")
    theirs = trained(PrivacyEngine(), "hooks")
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_opacus_own_modes_stay() -> None:
    ours = trained(BookkeepingPrivacyEngine(), "hooks")
    theirs = trained(PrivacyEngine(), "hooks")
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_a_second_pass_lengthens_the_list_and_without_hooks_there_is_none() -> None:
    layer = nn.Linear(3, 2)
    module = GradSampleModuleBookkeeping(copy.deepcopy(layer), loss_reduction="sum")
    x = torch.randn(4, 3)
    module(x).sum().backward()
    once = module._module.weight.grad_sample
    assert once.shape == (4, 2, 3)
    module(x).sum().backward()
    assert [g.shape for g in module._module.weight.grad_sample] == [(4, 2, 3)] * 2
    module.zero_grad()
    module.remove_hooks()
    module(x).sum().backward()
    assert module._module.weight.grad_sample is None


@pytest.mark.parametrize("options", [{"batch_first": False}, {"wrap_model": False}])
def test_what_it_cannot_do_is_refused(options: dict[str, bool]) -> None:
    with pytest.raises(StudyError):
        trained(BookkeepingPrivacyEngine(), "bookkeeping", **options)
