"""Networks that look at one pixel, one column or one moment: every method must point there and nowhere else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from client.explain.fields import Field, Fields
from client.explain.methods import explained
from client.explain.question import Question, Unsuited
from client.explain.scores import Score

GRADIENTS = ("saliency", "integrated-gradients")
TABLE = Fields((Field("age"), Field("pain", 3, words=("none", "some", "much")), Field("pulse")))


class Looks(nn.Module):
    """Two outputs, the second of them a function of the sample."""

    def __init__(self, at: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.at = at

    def forward(self, samples: Tensor) -> Tensor:
        found = self.at(samples)
        return torch.stack([torch.zeros_like(found), found], 1)


def ask(network: nn.Module, sample: Tensor, fields: Fields | None = None) -> Question:
    score = Score("ill", "output of ill", lambda outputs: outputs[:, 1])
    return Question(network, score, sample[None], torch.full_like(sample[None], -1.0), fields)


@pytest.fixture
def draw() -> Callable[..., Tensor]:
    generator = torch.Generator().manual_seed(4)
    return lambda *shape: torch.rand(shape, generator=generator)


def test_one_pixel(draw: Callable[..., Tensor]) -> None:
    question = ask(Looks(lambda x: 3 * x[:, 0, 2, 5] + x[:, 1, 2, 5]), draw(2, 8, 8))
    expected = {"saliency": 3.0, "integrated-gradients": question.value - question.start}
    for name in GRADIENTS:
        values = explained(name, question)
        assert values.shape == (8, 8)
        assert values[2, 5] == pytest.approx(expected[name], rel=1e-4)
        assert np.count_nonzero(values) == 1


@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 8, 16, 16)])
def test_one_bright_spot_that_is_covered(
    shape: tuple[int, ...], draw: Callable[..., Tensor]
) -> None:
    place = (4, 6) if len(shape) == 3 else (3, 4, 6)
    values = explained("occlusion", ask(Looks(lambda x: x[:, 0][(..., *place)]), draw(*shape)))
    assert values.shape == shape[1:]
    assert values[place] == values.max() > 0
    far = np.indices(shape[1:]) - np.array(place).reshape(-1, *[1] * len(place))
    assert (values[np.abs(far).max(0) > 2] == 0).all()


def test_one_category_of_a_table(draw: Callable[..., Tensor]) -> None:
    row = draw(5)
    question = ask(Looks(lambda x: 2 * x[:, 2] - x[:, 3]), row, TABLE)
    fall = question.value - question.start
    assert explained("integrated-gradients", question) == pytest.approx([0, fall, 0], abs=1e-4)
    assert explained("occlusion", question) == pytest.approx([0, fall, 0], abs=1e-5)
    assert explained("saliency", question) == pytest.approx([0, 2, 0])


def test_one_moment_of_a_series(draw: Callable[..., Tensor]) -> None:
    question = ask(Looks(lambda x: -4 * x[:, 17, 3]), draw(24, 5), TABLE)
    for name in GRADIENTS:
        values = explained(name, question)
        assert values.shape == (24, 3)
        assert np.argwhere(values).tolist() == [[17, 1]]
        assert (values[17, 1] < 0) == (name == "integrated-gradients")
    covered = explained("occlusion", question)
    assert np.argwhere(covered).tolist() == [[16, 1], [17, 1]], "a twelfth of the window"
    assert covered[17, 1] == pytest.approx(question.value - question.start)


def test_parts_add_up_to_the_whole_difference(draw: Callable[..., Tensor]) -> None:
    torch.manual_seed(2)
    network = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 2))
    question = ask(network, draw(5), TABLE)
    total = explained("integrated-gradients", question).sum()
    assert total == pytest.approx(question.value - question.start, rel=1e-3)


def test_last_maps_of_a_convolution(draw: Callable[..., Tensor]) -> None:
    """Of two maps one counts: Grad-CAM is that map, laid over the image."""
    maps = nn.Conv2d(1, 2, 2, 2, bias=False)
    nn.init.constant_(maps.weight[0], 1.0)
    nn.init.constant_(maps.weight[1], -1.0)
    head = nn.Linear(2, 2)
    head.weight.data = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    network = nn.Sequential(maps, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    image = torch.zeros(1, 8, 8)
    image[0, 6:, :2] = 1.0
    values = explained("grad-cam", ask(network, image))
    assert values.shape == (8, 8)
    assert np.unravel_index(values.argmax(), values.shape) in [(7, 0), (6, 0), (7, 1)]
    assert (values[:4, 4:] == 0).all()


def test_maps_are_weighted_by_what_they_do(draw: Callable[..., Tensor]) -> None:
    """Maps after pooling, by autograd: laid over the image from 4 × 4 to 8 × 8."""
    torch.manual_seed(3)
    body = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    head = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    question = ask(nn.Sequential(body, head), draw(1, 8, 8))
    maps = body(question.sample).detach().requires_grad_()
    (slope,) = torch.autograd.grad(head(maps)[0, 1], maps)
    small = (slope.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True).relu()
    expected = nn.functional.interpolate(small, (8, 8), mode="bilinear").detach()[0, 0]
    np.testing.assert_allclose(explained("grad-cam", question), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("network", "shape", "fields"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), (1, 8, 8), None),
        (nn.Linear(5, 2), (5,), TABLE),
        (nn.Conv2d(1, 2, 1), (1, 8, 8), None),
    ],
    ids=["no convolution", "table", "answers with a map"],
)
def test_methods_that_do_not_suit(
    network: nn.Module, shape: tuple[int, ...], fields: Fields | None
) -> None:
    for name in ("grad-cam", "attention"):
        with pytest.raises(Unsuited):
            explained(name, ask(network, torch.zeros(shape), fields))
