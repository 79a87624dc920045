"""An agent around a small hospital."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.agent import Agent, Folders
from client.messages import Request
from client.randomness import Randomness
from client.site import Site
from common.study import Study

SECRET = b"the secret of a house, 32 bytes."


@pytest.fixture
def make_agent(
    tmp_path: Path, make_study: Callable[..., Study], make_site: Callable[..., Site]
) -> Callable[..., Agent]:
    """The function that makes an agent: `make_agent(study, seed=None, watch=…, **policy)`."""

    def make(
        study: Study | None = None,
        *,
        site: Site | None = None,
        seed: int | None = None,
        watch: Any = None,
        simulated: bool = False,
        approved: Any = None,
        **policy: Any,
    ) -> Agent:
        house = tmp_path / "house"
        folders = Folders(
            ledger=house / "site.ledger",
            state=house / "state",
            cache=tmp_path / "cache",
            egress=house / "site.egress",
        )
        return Agent(
            site or make_site(**policy),
            study or make_study(),
            folders,
            secret=SECRET,
            randomness=Randomness(seed),
            watch=watch,
            simulated=simulated,
            approved=approved,
        )

    return make


@pytest.fixture
def ask() -> Callable[..., Request]:
    """The function that makes a request: `ask(agent, round_, train=…, evaluate=…)`."""

    def make(agent: Agent, round_: int = 1, **changes: Any) -> Request:
        values: dict[str, Any] = {
            "fingerprint": agent.study.fingerprint,
            "round": round_,
            "weights": np.zeros(agent.space.layout.size, np.float32),
            "train": True,
            "evaluate": False,
        }
        return Request(**(values | changes))

    return make
