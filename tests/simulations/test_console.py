"""What a person sees of a round."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console as Terminal

from simulations.console import Console


def told(**record: Any) -> str:
    """The line of a round, where there is no terminal."""
    console = Console()
    stream = io.StringIO()
    console.terminal = Terminal(file=stream, width=120)
    usual = {"round": 3, "metrics": {}, "sites": {"north": {}}, "failures": {}}
    console.round_finished({**usual, **record})
    return stream.getvalue()


def test_a_round_without_an_evaluation_says_so() -> None:
    assert told() == "round   3  trained, not evaluated\n"
    spent = told(sites={"north": {"epsilon": 0.5}, "south": {"epsilon": 0.75}})
    assert spent == "round   3  trained, not evaluated  ε ≤ 0.75\n"


def test_a_round_with_an_evaluation_says_its_figures() -> None:
    line = told(metrics={"auc": 0.875, "loss": 0.5})
    assert line == "round   3  AUC 0.875  loss 0.500\n"
