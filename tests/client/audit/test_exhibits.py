"""The documented re-accounting: its commands are run, and give the figures printed beside them."""

from __future__ import annotations

import json
import math
import re
import shlex
import warnings
from pathlib import Path

import pytest
from typer.testing import CliRunner

from common.cli import build

FLAMBY = (Path(__file__).parents[3] / "docs" / "exhibits" / "flamby.md").read_text()
ROW = re.compile(r"^\| (?:Cleveland|Hungary|Switzerland|Long Beach), \d+ \|(.+)\|$", re.MULTILINE)


def sections() -> list[tuple[list[list[str]], list[list[float]]]]:
    """The commands and the table of every section that has both."""
    found = []
    for text in FLAMBY.split("\n## "):
        commands = [shlex.split(line[2:]) for line in re.findall(r"^\$ consilium .*$", text, re.M)]
        rows = [[float(cell) for cell in row.split("|")] for row in ROW.findall(text)]
        if commands:
            found.append((commands, rows))
    return found


def run(command: list[str]) -> dict:
    result = CliRunner().invoke(build(), [*command[1:], "--json"])
    assert result.exit_code == 3, result.output
    return dict(json.loads(result.stdout))


def test_every_command_has_its_row() -> None:
    assert [len(commands) for commands, _ in sections()] == [4, 4, 8]
    assert all(len(commands) == len(rows) for commands, rows in sections())


@pytest.mark.parametrize("section", [0, 2])
def test_the_poisson_figures(section: int) -> None:
    commands, rows = sections()[section]
    for command, (claimed, pld, rdp) in zip(commands, rows, strict=True):
        said = run(command)
        assert said["claimed"] == claimed
        assert said["epsilon"]["pld"] == pytest.approx(pld, abs=6e-4)
        assert said["epsilon"]["rdp"] == pytest.approx(rdp, abs=6e-4)
        assert said["verdict"] == "over budget"


def test_the_shuffled_figures() -> None:
    commands, rows = sections()[1]
    for command, (claimed, epochs, pld, least) in zip(commands, rows, strict=True):
        said = run(command)
        assert said["run"]["epochs"] == epochs
        assert said["epsilon"]["pld"] == pytest.approx(pld, abs=6e-4)
        assert said["at_least"] == pytest.approx(least, abs=6e-4)
        assert claimed < said["at_least"]


def test_the_published_recomputation() -> None:
    _, rows = sections()[0]
    assert [row[2] for row in rows] == pytest.approx([1.45, 1.57, 4.10, 2.29], abs=5e-3)


def test_the_noise_is_what_opacus_finds() -> None:
    from opacus.accountants.utils import get_noise_multiplier

    for commands, rows in (sections()[0], sections()[2]):
        for command, row in zip(commands, rows, strict=True):
            options = dict(zip(command[3::2], command[4::2], strict=True))
            batches = int(options["--q"].removeprefix("1/"))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                sigma = get_noise_multiplier(
                    target_epsilon=row[0],
                    target_delta=1e-4,
                    sample_rate=1 / batches,
                    epochs=15,
                    accountant="rdp",
                )
            assert float(options["--sigma"]) == sigma
    assert [math.ceil(records / 4) for records in (199, 172, 30, 85)] == [50, 43, 8, 22]
