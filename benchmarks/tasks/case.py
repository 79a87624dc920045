"""What is measured: a study on hospitals; and what came of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results" / "tasks"


@dataclass(frozen=True)
class Case:
    """A study and its hospitals.

    Attributes:
        name: of the row.
        study: the study file.
        hospitals: the folder of sites.
        target: what the study is to reach without privacy, where that is fixed.
    """

    name: str
    study: Path
    hospitals: Path
    target: float | None = None


@dataclass(frozen=True)
class Result:
    """A row of the table. Figures are of all sites' held-out patients together; None: not measured.

    Attributes:
        name: of the study.
        metric: the task's headline.
        trivial: what needs no model: chance, or the last value.
        without: federated without privacy.
        epsilon_8: federated, ε = 8 for each patient.
        epsilon_3: federated, ε = 3.
        in_one_place: the same training on all sites' patients together, with as many passes over them.
        same_steps: the same with as many steps as a site takes.
        alone: mean over the sites of what a site's own model reaches.
        seconds: of a private round, the median.
        parameters: of the network.
        target: see `Case`.
        machine: where it ran.
    """

    name: str
    metric: str
    trivial: float | None
    without: float | None
    epsilon_8: float | None
    epsilon_3: float | None
    in_one_place: float | None
    alone: float | None
    seconds: float
    parameters: int
    target: float | None
    machine: str
    same_steps: float | None = None

    def save(self) -> None:
        """Write it beside the others; numbers that are none become null."""
        RESULTS.mkdir(parents=True, exist_ok=True)
        text = json.dumps({name: _finite(value) for name, value in asdict(self).items()}, indent=1)
        (RESULTS / f"{self.name}.json").write_text(text + "\n", encoding="utf-8")


def saved() -> list[Result]:
    """Return all rows that were ever measured, by name."""
    names = {field.name for field in fields(Result)}
    contents = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    return [Result(**{k: v for k, v in content.items() if k in names}) for content in contents]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and value != value else value
