"""The graph network: private, and blind to the order of atoms and to empty rows."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import torch
from battery import check_private
from hypothesis import given, settings
from hypothesis import strategies as st

from common.data_spec.molecules import ATOM_WIDTH, BONDS
from common.errors import StudyError
from common.models import build_model
from common.study import Study
from common.study_file import parse_study
from common.study_template import template

KINDS = len(BONDS)
MODEL = {"name": "molecule-graph", "width": 5, "layers": 2}
VALUES = torch.tensor([[-1.0], [0.5], [0.2], [1.0], [0.0], [-0.4], [0.9]])
CLASSES = torch.tensor([0, 1, 1, 0, 1, 0, 0])


def study_for(atoms: int = 6, *, classes: bool = False, **changes: Any) -> Study:
    content = tomllib.loads(template("molecules", "x"))
    content["data"] |= {"representation": "graph", "max_atoms": atoms}
    content["model"] = MODEL
    if classes:
        content["task"] = {"name": "classification", "classes": ["no", "yes"]}
        content["data"] = {**content["data"], "positive": [1]}
        del content["data"]["value"]
    for section, keys in changes.items():
        content[section] = content[section] | keys
    return parse_study(content, where="x")


def graphs(sizes: list[int], atoms: int, seed: int = 0) -> torch.Tensor:
    """Graphs with random atoms and bonds, as a source gives them."""
    draw = torch.Generator().manual_seed(seed)
    made = torch.zeros(len(sizes), atoms, ATOM_WIDTH + KINDS * atoms)
    for graph, size in zip(made, sizes, strict=True):
        graph[:size, :ATOM_WIDTH] = torch.rand((size, ATOM_WIDTH), generator=draw)
        graph[:size, 0] = 1.0
        bonds = graph[:, ATOM_WIDTH:].view(atoms, KINDS, atoms)
        for one in range(1, size):
            other = int(torch.randint(one, (1,), generator=draw))
            kind = int(torch.randint(KINDS, (1,), generator=draw))
            bonds[one, kind, other] = bonds[other, kind, one] = 1.0
    return made


def taken_apart(graph: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    atoms = graph.shape[0]
    return graph[:, :ATOM_WIDTH], graph[:, ATOM_WIDTH:].reshape(atoms, KINDS, atoms)


def put_together(atoms: torch.Tensor, bonds: torch.Tensor) -> torch.Tensor:
    return torch.cat([atoms, bonds.flatten(1)], dim=1)


@pytest.mark.parametrize("classes", [False, True])
def test_each_patient_by_hand(classes: bool) -> None:
    inputs = graphs([1, 3, 6, 2, 5, 4, 6], 6)
    check_private(study_for(classes=classes), CLASSES if classes else VALUES, inputs=inputs)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 7), st.integers(0, 4), st.integers(0, 1000))
def test_neither_order_nor_empty_rows_count(size: int, more: int, seed: int) -> None:
    network, larger = (build_model(study_for(atoms), 2) for atoms in (7, 7 + more))
    (graph,) = graphs([size], 7, seed)
    atoms, bonds = taken_apart(graph)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(seed))
    turned = put_together(atoms[order], bonds[order][:, :, order])
    wide_atoms = torch.zeros(7 + more, ATOM_WIDTH)
    wide_atoms[:7] = atoms
    wide_bonds = torch.zeros(7 + more, KINDS, 7 + more)
    wide_bonds[:7, :, :7] = bonds
    expected = network(graph[None])
    torch.testing.assert_close(network(turned[None]), expected, rtol=1e-4, atol=1e-5)
    wide = larger(put_together(wide_atoms, wide_bonds)[None])
    torch.testing.assert_close(wide, expected, rtol=1e-4, atol=1e-5)


def test_bonds_and_their_kind_count() -> None:
    network = build_model(study_for(3), 1)
    (graph,) = graphs([3], 3)
    atoms, bonds = taken_apart(graph)
    whole = network(graph[None])
    assert not torch.allclose(network(put_together(atoms, 0 * bonds)[None]), whole, atol=1e-4)
    other = bonds.roll(1, dims=1)
    assert not torch.allclose(network(put_together(atoms, other)[None]), whole, atol=1e-4)


def test_an_atom_sees_as_far_as_there_are_layers() -> None:
    """A chain of 6 atoms: after two rounds the first atom knows the third, not the fourth."""
    network: Any = build_model(study_for(6), 1)
    bonds = torch.zeros(1, 6, KINDS, 6)
    for one in range(5):
        bonds[0, one, 0, one + 1] = bonds[0, one + 1, 0, one] = 1.0
    atoms = torch.randn(1, 6, 5, requires_grad=True)
    heard = atoms
    for messages in network.rounds:
        heard = messages(heard, bonds)
    (gradient,) = torch.autograd.grad(heard[0, 0].sum(), atoms)
    reached = gradient[0].abs().sum(1) > 1e-6
    assert reached.tolist() == [True, True, True, False, False, False]


def test_parameters_are_counted() -> None:
    found = sum(p.numel() for p in build_model(study_for(), 2).parameters())
    embed = ATOM_WIDTH * 5 + 5
    a_round = 10 + KINDS * 25 + (25 + 5)
    assert found == embed + 2 * a_round + (2 * 5 * 5 + 5) + (5 * 2 + 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"representation": "fingerprint"}}, "takes graphs"),
        ({"model": {"dropout": 0.1}}, "Unknown key 'dropout'.*layers, width"),
        ({"model": {"layers": 0}}, "layers"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        build_model(study_for(**changes), 1)
