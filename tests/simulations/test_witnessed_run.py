"""A whole run, and what its coordinator can say of its sites' ledgers afterwards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_hospitals import NAMES, tiny_study
from typer.testing import CliRunner

from client.audit.cli import app
from common.errors import SitesError

Run = Callable[..., Path]


def audited(ledgers: Path, run: Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["witness", str(ledgers), "--run", str(run), "--json"])
    problems = [" ".join(one["problems"]) for one in json.loads(result.stdout)["ledgers"]]
    return result.exit_code, " ".join(problems).strip()


@pytest.mark.parametrize("seed", [7, None])
def test_the_ledgers_of_a_run_hold_what_its_coordinator_saw(run: Run, seed: int | None) -> None:
    made = run(seed=seed)
    assert audited(made, made) == (0, "")
    heard = (made / "witness.jsonl").read_text().splitlines()
    assert len(heard) == len(NAMES) * 4, "three rounds and the last evaluation"


def test_ledgers_of_an_earlier_moment_lack_the_rounds_since(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after two rounds, copied, gone on with, and the copies put back."""
    from server.rounds import Rounds

    real = Rounds._round

    def stop(self: Rounds, round_: int, weights: object) -> object:
        if round_ == 3:
            raise SitesError("stopped")
        return real(self, round_, weights)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Rounds, "_round", stop)
        with pytest.raises(SitesError):
            run(run=tmp_path / "made")
    made, backup = tmp_path / "made", tmp_path / "backup"
    shutil.copytree(made / "ledgers", backup)
    assert audited(made, made) == (0, "")
    run(run=made, resume=True)
    assert audited(made, made) == (0, "")
    code, said = audited(backup, made)
    assert code == 4
    assert said.count("charges of rounds 3–4, which the coordinator saw") == len(NAMES)


def test_without_privacy_and_statistics_there_is_nothing_to_settle(run: Run) -> None:
    made = run(tiny_study(privacy={"enabled": False}))
    assert audited(made, made) == (0, "")
