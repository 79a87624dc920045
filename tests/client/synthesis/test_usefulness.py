"""Train on drawn images, test on real ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from blobs import blobs

from client.synthesis.groups import Group
from client.synthesis.usefulness import Usefulness, usefulness

CPU = torch.device("cpu")


def useful(drawn: Group) -> Usefulness | None:
    return usefulness(drawn, blobs(200, 2), blobs(150, 3), seed=1, device=CPU)


def test_images_as_good_as_real_ones_teach_as_much() -> None:
    found = useful(blobs(200, 4))
    assert found is not None
    assert found.real > 0.9
    assert abs(found.drawn - found.real) < 0.1


def test_images_of_the_wrong_class_teach_nothing() -> None:
    drawn = blobs(200, 4)
    found = useful(replace(drawn, labels=np.random.default_rng(0).permutation(drawn.labels)))
    assert found is not None
    assert abs(found.drawn - 0.5) < 0.25
    assert found.real > 0.9


def test_no_figure_of_one_class_or_of_few_images() -> None:
    drawn = blobs(200, 4)
    assert useful(replace(drawn, labels=np.zeros_like(drawn.labels))) is None
    assert useful(blobs(200, 4, bright_share=0.01)) is None


def test_more_than_two_classes() -> None:
    def three(count: int, seed: int) -> Group:
        group = blobs(count, seed)
        labels = group.labels + (group.images[:, 0, :6].max((1, 2)) > 0)
        return replace(group, labels=labels)

    found = usefulness(three(200, 4), three(200, 2), three(150, 3), seed=1, device=CPU)
    assert found is not None
    assert found.drawn > 0.7
