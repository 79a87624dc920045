"""Local training: the optimisers are torch's, and local terms act after the step."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from client.training.batches import Samples, order_by_unit
from client.training.optimizer import LocalOptimizer
from client.training.plain import planned_steps, train_plain
from client.training.private import PIECE_BYTES, samples_in_a_piece, train_private
from client.training.workspace import Silent, Workspace, choose_device
from common.algorithms import build_algorithm
from common.errors import Interrupted, MachineError
from common.privacy.engine import Footprint
from common.privacy.noise import SecureRandom
from common.privacy.plan import plan_site
from common.study import Study
from common.weights import pack

Make = Callable[..., Study]
pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook")
TWO_LAYERS = {"name": "mlp", "hidden": [4]}
PROX = {"algorithm": {"name": "fedprox", "proximal_mu": 2.0}}


def steps(study: Study, gradients: list[torch.Tensor]) -> torch.Tensor:
    layer = nn.Linear(4, 1, bias=False)
    nn.init.ones_(layer.weight)
    optimizer = LocalOptimizer(layer, study.training, build_algorithm(study))
    for gradient in gradients:
        layer.weight.grad = gradient.clone()
        optimizer.step()
    return layer.weight.detach().clone()


GRADIENTS = [torch.tensor([[1.0, -2.0, 0.5, 0.0]]), torch.tensor([[0.1, 3.0, -1.0, 0.2]])] * 3


@pytest.mark.parametrize(
    ("training", "make"),
    [
        ({}, lambda p: torch.optim.SGD(p, lr=0.1)),
        ({"momentum": 0.9}, lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
        ({"optimizer": "adam"}, lambda p: torch.optim.Adam(p, lr=0.1)),
    ],
)
def test_optimisers_are_torchs(make_study: Make, training: dict[str, Any], make: Any) -> None:
    weight = nn.Parameter(torch.ones(1, 4))
    optimizer = make([weight])
    for gradient in GRADIENTS:
        weight.grad = gradient.clone()
        optimizer.step()
    found = steps(make_study(training=training), GRADIENTS)
    torch.testing.assert_close(found, weight.detach())


def test_weight_decay_acts_after_the_step(make_study: Make) -> None:
    plain = steps(make_study(), GRADIENTS[:1])
    decayed = steps(make_study(training={"weight_decay": 0.3}), GRADIENTS[:1])
    torch.testing.assert_close(decayed, plain * (1 - 0.1 * 0.3))


def test_the_proximal_term_acts_after_the_step(make_study: Make) -> None:
    plain, prox = make_study(), make_study(federation=PROX)
    one = steps(plain, GRADIENTS[:1])
    expected = one + 0.1 * 2.0 * (torch.ones(1, 4) - one)
    torch.testing.assert_close(steps(prox, GRADIENTS[:1]), expected)
    strong = make_study(federation={"algorithm": {"name": "fedprox", "proximal_mu": 1e6}})
    assert torch.equal(steps(strong, GRADIENTS), torch.ones(1, 4)), "never past the anchor"


@pytest.fixture
def samples() -> Samples:
    rng = np.random.default_rng(0)
    unit = np.repeat(np.arange(30), 2)
    labels = (unit % 2).astype(np.int64)
    inputs = (rng.normal(size=(60, 1, 8, 8)) * 0.3 + labels[:, None, None, None]).astype(np.float32)
    return order_by_unit(inputs, labels, unit, torch.device("cpu"))


def private(study: Study, samples: Samples, seed: int = 1, **changes: Any) -> np.ndarray:
    space = Workspace(study)
    start = pack(space.template.state_dict())
    streams = [SecureRandom.fixed(seed, purpose) for purpose in ("sampling", "noise")]
    watch = changes.get("watch", Silent())
    return train_private(space, start, samples, plan_site(study, 40), *streams, watch)


def test_private_training_pulls_to_the_anchor_after_the_noise(
    make_study: Make, samples: Samples
) -> None:
    """With one step, FedProx shrinks the noisy update itself by rate·μ: the term is not clipped."""
    one = {"local_steps": 1, "learning_rate": 0.2}
    plain = private(make_study(training=one), samples)
    prox = private(make_study(training=one, federation=PROX), samples)
    start = pack(Workspace(make_study()).template.state_dict())
    np.testing.assert_allclose(prox - start, (plain - start) * (1 - 0.4), rtol=1e-4, atol=1e-6)


def test_private_weight_decay_shrinks_what_the_noise_has_moved(
    make_study: Make, samples: Samples
) -> None:
    one = {"local_steps": 1, "learning_rate": 0.2}
    plain = private(make_study(training=one), samples)
    decayed = private(make_study(training={**one, "weight_decay": 0.5}), samples)
    np.testing.assert_allclose(decayed, plain * (1 - 0.2 * 0.5), rtol=1e-6, atol=1e-7)


def test_pieces_of_a_private_step_give_the_same_sum(make_study: Make, samples: Samples) -> None:
    whole = private(make_study(training={"physical_batch": 60}), samples)
    pieces = private(make_study(training={"physical_batch": 1}), samples)
    np.testing.assert_allclose(pieces, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("model", [{"name": "linear"}, {"name": "plain-cnn", "channels": [3]}])
def test_private_training_repeats_with_its_streams(
    make_study: Make, samples: Samples, model: dict[str, Any]
) -> None:
    study = make_study(model=model)
    first = private(study, samples)
    torch.manual_seed(99)
    assert first.tobytes() == private(study, samples).tobytes()
    assert first.tobytes() != private(study, samples, seed=2).tobytes()
    assert first.size == Workspace(study).layout.size


def test_more_noise_moves_the_weights_further(make_study: Make, samples: Samples) -> None:
    spread = []
    for sigma in (0.5, 50.0):
        study = make_study(privacy={"noise_multiplier": sigma})
        spread.append(float(np.std(private(study, samples))))
    assert spread[1] > 20 * spread[0]


def test_training_can_be_stopped_between_steps(make_study: Make, samples: Samples) -> None:
    class Stop(Silent):
        def step(self, taken: int, planned: int) -> None:
            if taken == 2:
                raise Interrupted("stopped")

    study = make_study()
    with pytest.raises(Interrupted):
        private(study, samples, watch=Stop())
    space = Workspace(study)
    start = pack(space.template.state_dict())
    with pytest.raises(Interrupted):
        train_plain(space, start, samples, SecureRandom.fixed(1), Stop())
    assert pack(space.template.state_dict()).tobytes() == start.tobytes(), "the template is kept"


def test_plain_training_learns_and_repeats(make_study: Make, samples: Samples) -> None:
    study = make_study(training={"local_steps": None, "local_epochs": 3.0, "batch_size": 8})
    space = Workspace(study)
    start = pack(space.template.state_dict())
    runs = [train_plain(space, start, samples, SecureRandom.fixed(5), Silent()) for _ in range(2)]
    assert runs[0][0].tobytes() == runs[1][0].tobytes()
    assert runs[0][1] == 23  # 3 epochs of 60 samples in batches of 8
    network = space.fresh_network(runs[0][0])
    accuracy = (network(samples.inputs).argmax(1) == samples.targets).float().mean()
    assert accuracy > 0.95


def test_plain_training_gathers_the_gradient_of_a_batch_in_pieces(
    make_study: Make, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []

    def trained(physical: int | None) -> np.ndarray:
        study = make_study(training={"batch_size": 20, "physical_batch": physical})
        space = Workspace(study)
        loss = space.task.loss
        monkeypatch.setattr(
            space.task, "loss", lambda out, y: (held.append(len(out)), loss(out, y))[1]
        )
        start = pack(space.template.state_dict())
        return train_plain(space, start, samples, SecureRandom.fixed(5), Silent())[0]

    np.testing.assert_allclose(trained(7), trained(None), rtol=1e-5, atol=1e-6)
    assert held == [7, 7, 6] * 3 + [20] * 3


def test_mixed_precision_is_that_of_plain_training_too(make_study: Make, samples: Samples) -> None:
    def trained(precision: str) -> np.ndarray:
        study = make_study(training={"precision": precision}, model=TWO_LAYERS)
        space = Workspace(study)
        start = pack(space.template.state_dict())
        return train_plain(space, start, samples, SecureRandom.fixed(5), Silent())[0]

    full, mixed = trained("full"), trained("mixed")
    assert full.tobytes() != mixed.tobytes()
    np.testing.assert_allclose(mixed, full, rtol=0.1, atol=0.01)


@pytest.mark.parametrize(
    ("training", "expected"),
    [({"local_steps": 7}, 7)]
    + [({"local_steps": None, "local_epochs": e}, s) for e, s in ((1.0, 4), (0.1, 1), (2.5, 8))],
)
def test_steps_of_plain_training(make_study: Make, training: dict[str, Any], expected: int) -> None:
    assert planned_steps(make_study(training=training).training, 100) == expected


def test_devices_that_are_not_there_are_refused() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in ("cpu", "cuda")
    with pytest.raises(MachineError, match="cuda:99"):
        choose_device("cuda:99")


@pytest.mark.parametrize(("wanted", "expected"), [(None, 10), (3, 3), (99, 10)])
def test_a_piece_holds_what_the_memory_allows(wanted: int | None, expected: int) -> None:
    footprint = Footprint(per_sample=PIECE_BYTES // 40, per_unit=PIECE_BYTES // 20)
    assert samples_in_a_piece(wanted, footprint, torch.device("cpu")) == expected


def test_a_sample_larger_than_the_memory_is_a_piece_of_its_own() -> None:
    assert samples_in_a_piece(None, Footprint(PIECE_BYTES, 1), torch.device("cpu")) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"privacy": {"clipping": "per-layer"}},
        {"privacy": {"clipping": "automatic"}},
        {"privacy": {"engine": "hooks"}},
        {"training": {"precision": "mixed"}},
        {"training": {"views": 2, "augment": ["flip"]}},
    ],
)
def test_every_way_of_private_training_trains(
    make_study: Make, samples: Samples, changes: dict[str, Any]
) -> None:
    plain, other = private(make_study(), samples), private(make_study(**changes), samples)
    assert np.isfinite(other).all()
    assert other.shape == plain.shape
    if changes.get("privacy", {}).get("engine") == "hooks":
        np.testing.assert_allclose(other, plain, rtol=1e-3, atol=1e-4)


def test_clipping_styles_differ(make_study: Make, samples: Samples) -> None:
    runs = [
        private(make_study(privacy={"clipping": style}, model=TWO_LAYERS), samples)
        for style in ("flat", "per-layer", "automatic")
    ]
    assert all(not np.allclose(one, other) for one, other in itertools.combinations(runs, 2))
