"""Which data a ledger answers for, so that no second ledger gives the same patients a second budget.

A ledger keeps the hash of where the data lie, never the place itself, whose name may say too much. The claim beside the
data (`client/guard/claim.py`) has a random number that goes with the data when they are moved.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from client.guard.entries import canonical
from common.errors import BudgetError

Standing = Literal["claimed", "not writable", "simulated"]


@dataclass(frozen=True)
class DataSource:
    """A data set as a study used it.

    Attributes:
        dataset: its name in site.toml.
        kind: which source reads it.
        population: the patients who share the budget; empty: the whole site.
        location: sha256 of where it lies.
        claim: random number of the claim beside the data; None without one.
        standing: "claimed"; "not writable": the folder takes no claim, so only this entry says whose the data are;
            "simulated": randomness is fixed or the site invented, and nothing is claimed.
    """

    dataset: str
    kind: str
    population: str
    location: str
    claim: str | None
    standing: Standing

    def to_json(self) -> dict[str, Any]:
        """Its ledger entry."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> DataSource:
        """Read a ledger entry.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        texts = {n: body[n] for n in ("dataset", "kind", "population", "location", "standing")}
        claim = body["claim"]
        if not all(isinstance(text, str) for text in (*texts.values(), claim or "")):
            raise TypeError("a text is missing")
        if texts["standing"] not in get_args(Standing):
            raise ValueError("a source is claimed, not writable or simulated")
        return cls(**texts, claim=claim)

    def same_data(self, other: DataSource) -> bool:
        """Whether both read the same data, as far as place and claim can tell."""
        return self.location == other.location or (
            self.claim is not None and self.claim == other.claim
        )


def location(path: Path, part: str = "") -> str:
    """Hash of a machine, a path with its links followed, and a part of what lies there."""
    return hashlib.sha256(
        canonical([platform.node(), str(path.resolve()), part]).encode()
    ).hexdigest()


def require_population(known: Iterable[DataSource], used: DataSource) -> None:
    """Refuse data whose patients were charged under the name of another population.

    Going to or from the whole site is sound, because its charges count for every population.

    Raises:
        BudgetError: with both names.
    """
    for before in known:
        same = before.dataset == used.dataset or before.same_data(used)
        if same and "" not in (before.population, used.population):
            _require_same(before, used)


def _require_same(before: DataSource, used: DataSource) -> None:
    if before.population != used.population:
        raise BudgetError(
            f"The patients of data set '{used.dataset}' were charged as population '{before.population}' before; "
            f"as '{used.population}' they would have a second budget.",
            where=f"site.toml, [data.{used.dataset}] population",
            fix=f"Name population '{before.population}' again, or leave the key out: then all charges count.",
        )


def shared_sources(ledgers: Sequence[tuple[str, Iterable[DataSource]]]) -> list[str]:
    """Say which data have two ledgers of real randomness.

    Args:
        ledgers: name (such as the path) and sources of each.
    """
    found: dict[str, None] = {}
    for number, (name, sources) in enumerate(ledgers):
        mine = [source for source in sources if source.standing != "simulated"]
        for other, theirs in ledgers[number + 1 :]:
            found |= {
                f"Two ledgers for one data source: '{source.dataset}' is charged in {name} and in {other}.": None
                for source in mine
                for each in theirs
                if each.standing != "simulated" and source.same_data(each)
            }
    return list(found)
