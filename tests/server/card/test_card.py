"""A model card says what the run says: figures with intervals, groups, privacy, and reasons to doubt."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from trained_runs import write_run
from typer.testing import CliRunner

from common.cli import build
from common.errors import RunError
from common.plugins import registry
from server.card.data import KINDS
from server.card.page import write_card
from server.card.parts import Words

GROUP = {"count": 40.0, "auc": 0.8, "auc_low": 0.7, "auc_high": 0.9}
METRICS: dict[str, Any] = {
    "study": "tiny",
    "simulation": False,
    "classes": ["round", "square"],
    "final": {"auc": 0.891, "auc_low": 0.85, "auc_high": 0.93, "loss": 0.4, "count": 120},
    "sites": {"a": {"declared_patients": 300, "epsilon": 3.91, "auc": 0.8}, "b": {"auc": 0.9}},
    "rounds": 3,
    "parameters": 158,
    "privacy": {"enabled": True, "delta": 1e-3, "clip_norm": 1.0, "statistics": "noisy"},
}


def test_every_kind_of_data_has_words() -> None:
    assert set(KINDS) == set(registry("sources"))


def card(
    folder: Path,
    words: Words | None = None,
    study: dict[str, Any] | None = None,
    **changes: Any,
) -> str:
    """Write a run of a study with some keys changed, and its card; return the card's text."""
    run = write_run(folder, **(study or {}))
    (run / "metrics.json").write_text(json.dumps({**METRICS, **changes}))
    (run / "rounds.jsonl").write_text("")
    text, page = write_card(run, words)
    Closed().check(page.read_text())
    return text.read_text()


class Closed(HTMLParser):
    """Checks that what is opened is closed, and that nothing is loaded from elsewhere."""

    def check(self, page: str) -> None:
        self.open: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert tag not in ("script", "img", "link", "iframe")
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_runs_figures_are_there(tmp_path: Path) -> None:
    text = card(tmp_path / "run")
    assert "| AUC | 0.891 (0.85–0.93) |" in text
    assert "ε is at most 4.0" in text, "rounded up"
    assert "about 300, as the hospitals declare" in text
    assert "(120 patients)" in text
    assert "| Hospitals | 0.800 | 0.900 | 0.900 |" in text


def test_how_it_was_trained_is_told(tmp_path: Path) -> None:
    usual = {"learning_rate": 0.2, "local_steps": 3}
    more = {"weight_decay": 0.01, "ema": 0.5, "precision": "mixed", "schedule": {"name": "cosine"}}
    text = card(tmp_path / "much", study={"training": {**usual, **more}})
    assert (
        "cosine schedule, weight decay 0.01, moving average of weights 0.5, mixed precision" in text
    )
    assert "weight decay" not in card(tmp_path / "little")


def test_learned_weights_are_told_apart_from_frozen_ones(tmp_path: Path) -> None:
    text = card(
        tmp_path / "part",
        study={"transfer": {"freeze": ["*.weight"], "lora_rank": 1}},
        parameters=3,
    )
    assert "3 learned, " in text
    assert "| Frozen | `*.weight` |" in text
    assert "| Low-rank changes | `rank 1 in *` |" in text
    whole = card(tmp_path / "whole")
    assert "| Weights | 158 |" in whole
    assert "Frozen" not in whole


def test_what_people_say_comes_first(tmp_path: Path) -> None:
    words = Words("Second reading | of <b>discs</b>.", "children", "the study office")
    text = card(tmp_path / "run", words)
    assert "Second reading | of &lt;b>discs&lt;/b>." in text
    assert "- Not for: children" in text
    assert "| Contact | the study office |" in text


def test_groups_are_shown_and_their_absence_is_told(tmp_path: Path) -> None:
    rows = [{"name": "F", "figures": GROUP}, {"name": "M", "figures": {}}]
    text = card(tmp_path / "one", curves={"subgroups": [{"name": "sex", "rows": rows}]})
    assert "### By sex" in text
    assert "| F | 40 | 0.800 (0.70–0.90) |" in text
    assert "well for young and old." in text
    assert "Not measured: the study asks for no subgroups" in card(tmp_path / "two")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"simulation": True, "generated": True}, "says nothing of real patients"),
        ({"simulation": True, "generated": True}, "no patient of theirs ever lived"),
        ({"simulation": True, "generated": False}, "one machine held the data of all hospitals"),
        ({"simulation": True, "generated": False}, "data of all hospitals lay on one machine"),
        ({"simulation": True}, "Trained in a simulation"),
        ({"final": {"auc": 0.7, "count": 30}}, "Tested on 30 held-out patients only"),
        ({"sites": {"a": {"epsilon": 12.0}}}, "ε of 12.0 is a weak promise"),
        ({"privacy": {"enabled": False}}, "Treat the weights as patient data"),
        ({"final": {"skill": -0.1, "rmse": 20.0}}, "no better than the last reading"),
    ],
    ids=[
        "generated",
        "made up",
        "simulation",
        "one machine",
        "older run",
        "few",
        "weak",
        "no privacy",
        "no skill",
    ],
)
def test_reasons_to_doubt(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    assert said in card(tmp_path / "doubtful", **changes)
    assert said not in card(tmp_path / "sound")


def test_only_generated_hospitals_say_nothing_of_real_patients(tmp_path: Path) -> None:
    for generated in (False, None):
        text = card(tmp_path / str(generated), simulation=True, generated=generated)
        assert "real patients" not in text
        assert ("ever lived" in text) == (generated is None), "an older run does not know"


def test_the_command_and_a_folder_without_a_run(tmp_path: Path) -> None:
    card(tmp_path / "run")
    done = CliRunner().invoke(build(), ["card", str(tmp_path / "run"), "--not-for", "anyone"])
    assert done.exit_code == 0, done.output
    assert "Not for: anyone" in (tmp_path / "run" / "card.md").read_text()
    with pytest.raises(RunError):
        write_card(tmp_path)
