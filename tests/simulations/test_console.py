"""What a person sees of a round."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console as Terminal

from simulations.console import Console, site_table


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


def test_the_table_of_sites_shows_the_figure_of_the_task() -> None:
    about = {"study": "s", "rounds": 1, "headline": "balanced_accuracy"}
    table = site_table({**about, "sites": {"north": {"patients": 3, "balanced_accuracy": 0.25}}})
    assert table.columns[-1].header == "BALANCED_ACCURACY"
    assert list(table.columns[-1].cells) == ["0.250"]
    hidden = site_table({**about, "sites": {"north": {"patients": 3}}})
    assert hidden.columns[-1].header == "BALANCED_ACCURACY"
