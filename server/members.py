"""The sites of a run: who takes part, by name, and what they declare in public."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from common.errors import SitesError
from common.files import write_atomically
from common.study import Study


@dataclass(frozen=True)
class Member:
    """A site in a run.

    Attributes:
        name: the site's own name; the same in every report.
        node: Flower's id of its node, which may change within a run; 0 while it has none.
        declared_patients: the site's public number of patients.
        statistics: none, noisy or exact: how it lets its statistics out.
    """

    name: str
    node: int
    declared_patients: int
    statistics: str = "exact"


def choose(members: list[Member], study: Study, round_: int) -> list[Member]:
    """Return the members of a round, drawn with the study's public seed, in the order of their names."""
    federation = study.federation
    count = max(federation.min_sites, round(len(members) * federation.sites_per_round))
    if count >= len(members):
        return members
    drawn = random.Random(f"{study.fingerprint}/{round_}").sample(members, count)
    return sorted(drawn, key=lambda member: member.name)


def require_own_names(names: list[str]) -> None:
    """Refuse two sites of one name: their ledgers and figures could not be told apart.

    Raises:
        SitesError: naming the first.
    """
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise SitesError(
            f"Two sites call themselves '{repeated[0]}'.",
            where="[site] name in site.toml",
            fix="Give every site a name of its own.",
        )


def save_members(file: Path, members: Iterable[Member]) -> None:
    """Keep who takes part: a resumed run counts also those that are not back yet."""
    known = [replace(each, node=0) for each in members]
    if known != load_members(file):
        content = [[each.name, each.declared_patients, each.statistics] for each in known]
        write_atomically(file, json.dumps(content) + "\n", durable=True, mode=0o644)


def load_members(file: Path) -> list[Member]:
    """Return who took part before, without their nodes; a damaged file is none."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return [Member(str(name), 0, int(count), str(word)) for name, count, word in content]
    except (OSError, ValueError, TypeError):
        return []
