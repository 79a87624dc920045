"""`consilium audit claim`: figures, verdicts, and a sentence for every statement that makes no sense."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import dp_accounting
import pytest
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant
from typer.testing import CliRunner

from common.cli import build
from common.errors import ConsiliumError, StudyError

POISSON = [
    "--sampler",
    "poisson",
    "--q",
    "1/50",
    "--sigma",
    "1.2",
    "--steps",
    "400",
    "--delta",
    "1e-5",
]


def run(*arguments: str) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(build(), ["audit", "claim", *arguments, "--json"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, json.loads(result.stdout)


def shown(*arguments: str) -> str:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(build(), ["audit", "claim", *arguments])
    assert result.exit_code in (0, 3), result.output
    return " ".join(result.stdout.split())


def with_(**changes: str | None) -> list[str]:
    """The Poisson statement with options replaced, or left out for None."""
    options = dict(zip(POISSON[::2], POISSON[1::2], strict=True))
    options |= {f"--{name.replace('_', '-')}": value for name, value in changes.items()}  # type: ignore[dict-item]
    return [part for name, value in options.items() if value is not None for part in (name, value)]


def test_the_figures_are_those_of_a_hand_computation() -> None:
    code, said = run(*POISSON)
    step = dp_accounting.PoissonSampledDpEvent(0.02, dp_accounting.GaussianDpEvent(1.2))
    assert (code, said["verdict"]) == (0, "sound")
    assert said["epsilon"].keys() == {"pld", "prv", "rdp"}
    pld = PLDAccountant().compose(step, 400).get_epsilon(1e-5)
    assert said["epsilon"]["pld"] == pytest.approx(pld, rel=1e-3)
    assert said["epsilon"]["rdp"] == pytest.approx(
        RdpAccountant().compose(step, 400).get_epsilon(1e-5), rel=1e-3
    )
    assert said["epsilon"]["prv"] == pytest.approx(pld, abs=0.02)
    assert said["adjacency"] == "add/remove one unit"
    assert said["replace_one"] > pld


def test_a_claim_that_holds_and_one_that_does_not() -> None:
    _, said = run(*POISSON)
    honest = said["honest"]
    assert run(*POISSON, "--claimed", str(honest))[0] == 0
    code, said = run(*POISSON, "--claimed", str(honest / 2))
    assert (code, said["verdict"]) == (3, "over budget")
    assert said["ratio"] == pytest.approx(2)
    assert "Under-accounted" in said["summary"]
    assert "2.00 times" in said["summary"]


def test_q_steps_and_n_in_other_words_are_the_same_run() -> None:
    same = [
        with_(q="0.02"),
        with_(q="2e-2"),
        with_(q=None, n="200", batch="4"),
        with_(steps=None, epochs="8"),
        with_(steps=None, epochs="7.99"),
    ]
    figures = {run(*arguments)[1]["epsilon"]["pld"] for arguments in [POISSON, *same]}
    assert len(figures) == 1
    assert "400 steps from 7.99 epoch(s): rounded up" in shown(*same[-1])
    assert run(*same[2])[1]["run"]["q"] == str(Fraction(1, 50))


def test_shuffled_batches_say_what_poisson_would_have_claimed() -> None:
    code, said = run(
        *with_(sampler="shuffled", sigma="1", q="1/100", steps="1000"), "--claimed", "1.83"
    )
    assert code == 3
    assert said["as_if_poisson"] == pytest.approx(1.83, abs=0.01)
    assert said["at_least"] > 5 * said["as_if_poisson"]
    assert said["epsilon"]["pld"] > said["at_least"]
    assert "wrong whatever the analysis" in said["summary"]
    assert "arXiv 2403.17673" in said["theorem"]


def test_an_accountant_that_does_not_apply_says_why() -> None:
    for extra in (with_(sampler="fixed"), [*with_(q=None, n="200", batch="4"), "--max-batch", "8"]):
        _, said = run(*extra)
        for name, value in said["epsilon"].items():
            assert (value is None) == (name in said["missing"])
        assert said["epsilon"]["prv"] is None


def test_choosing_the_best_of_ten_runs() -> None:
    arguments = with_(q="1/100", sigma="1", steps="1000")
    _, said = run(*arguments, "--best-of", "10")
    assert said["best_of"]["epsilon"] == pytest.approx(4.10, rel=0.01)
    assert said["honest"] == said["best_of"]["epsilon"]


def test_a_delta_that_allows_publishing_a_patient_is_a_warning() -> None:
    arguments = with_(q=None, n="200", batch="4", delta="0.005")
    assert "not below 1/n" in shown(*arguments)
    assert run(*with_(q=None, n="200", batch="4", delta="0.0049"))[1]["warnings"] == []


@pytest.mark.parametrize(
    ("sampler", "changes"),
    [
        ("poisson", {"steps": "1000000000"}),
        ("poisson", {"sigma": "0.001"}),
        ("shuffled", {"sigma": "0.001"}),
        ("fixed", {"sigma": "0.001", "steps": "1000000000"}),
        ("shuffled", {"steps": "1000000000"}),
    ],
)
def test_hopeless_runs_are_answered(sampler: str, changes: dict[str, str]) -> None:
    code, said = run(*with_(sampler=sampler, **changes), "--claimed", "1")
    assert code == 3
    assert said["honest"] > 1000


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sigma": "0"}, "sigma"),
        ({"sigma": "-1"}, "sigma"),
        ({"sigma": "nan"}, "sigma"),
        ({"sigma": "inf"}, "sigma"),
        ({"q": "1.01"}, "q to be"),
        ({"q": "0"}, "q to be"),
        ({"q": "-1/2"}, "q to be"),
        ({"q": "1/0"}, "q to be"),
        ({"q": "nan"}, "q to be"),
        ({"q": "1e-999999999"}, "q to be"),
        ({"q": None}, "sampling rate"),
        ({"n": "200", "batch": "4"}, "sampling rate"),
        ({"q": None, "n": "200"}, "go together"),
        ({"q": None, "n": "200", "batch": "201"}, "more than the 200"),
        ({"q": None, "n": "0", "batch": "0"}, "--n"),
        ({"steps": "0"}, "steps"),
        ({"steps": "-7"}, "steps"),
        ({"steps": None}, "length"),
        ({"epochs": "3"}, "length"),
        ({"steps": None, "epochs": "nan"}, "--epochs"),
        ({"steps": None, "epochs": "inf"}, "--epochs"),
        ({"steps": None, "epochs": "-1"}, "--epochs"),
        ({"delta": "1"}, "delta"),
        ({"delta": "0"}, "delta"),
        ({"delta": "nan"}, "delta"),
        ({"claimed": "0"}, "--claimed"),
        ({"claimed": "nan"}, "--claimed"),
        ({"sampler": "random"}, "sampler"),
        ({"max_batch": "9"}, "largest batch"),
        ({"sampler": "fixed", "best_of": "3"}, "choosing"),
    ],
)
def test_nonsense_ends_in_a_sentence(changes: dict[str, str | None], words: str) -> None:
    with pytest.raises(ConsiliumError) as caught:
        run(*with_(**changes))
    assert isinstance(caught.value, StudyError)
    assert caught.value.exit_code == 2
    assert words in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("changes", [{"sigma": "much"}, {"steps": "1.5"}, {"best_of": "0"}])
def test_words_in_place_of_numbers_end_in_a_sentence(changes: dict[str, str]) -> None:
    result = CliRunner().invoke(build(), ["audit", "claim", *with_(**changes)])
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_a_page_for_the_files(tmp_path: Path) -> None:
    page = tmp_path / "claim.html"
    shown(*POISSON, "--claimed", "0.5", "--html", str(page))
    assert "Under-accounted" in page.read_text()


def test_so_much_noise_that_losses_round_to_zero_is_no_reason_to_warn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    code, said = run(*with_(sigma="1e8", steps="7"))
    assert (code, said["epsilon"]["rdp"]) == (0, 0)
    assert not caplog.records


def test_a_figure_that_no_grid_holds_says_so() -> None:
    text = shown(*with_(sigma="1e-8"))
    assert "PLD, the figure of record – the losses outgrow every grid" in text
    assert "no theorem at hand" not in text
    assert "the figure is the Rényi bound" in text
    assert "e+" in text.split("at δ")[0]  # not a row of digits that say nothing


@pytest.mark.parametrize("delta", ["0", "1", "nan"])
def test_a_useless_delta_comes_with_a_fix(delta: str) -> None:
    with pytest.raises(StudyError, match="delta") as caught:
        run(*with_(delta=delta))
    assert caught.value.fix
