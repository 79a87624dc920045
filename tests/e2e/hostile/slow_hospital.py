"""A hospital that keeps a diary of what it describes and trains, and whose first training waits for a file."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import ModuleType
from typing import Any

DIARY, GATE = "TEST_DIARY", "TEST_GATE"


def inject(agent: ModuleType) -> None:
    """Keep the diary where the environment asks for one."""
    file = os.environ.get(DIARY)
    if not file:
        return
    gate = Path(os.environ[GATE])
    trained, described = agent.train_private, agent.Agent.describe

    def note(event: str, study: str) -> None:
        with open(file, "a") as diary:
            diary.write(json.dumps([event, study]) + "\n")

    def train_private(space: Any, *arguments: Any) -> Any:
        note("trains", space.study.name)
        while not gate.exists():
            time.sleep(0.02)
        time.sleep(0.2)
        try:
            return trained(space, *arguments)
        finally:
            note("trained", space.study.name)

    def describe(self: Any) -> Any:
        try:
            return described(self)
        finally:
            note("described", self.study.name)

    agent.train_private = train_private
    agent.Agent.describe = describe
