"""Events of a run, as people read them."""

from __future__ import annotations

from typing import Any

import pytest

from server.deployment.telling import sentence


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ({"event": "gathering", "here": [], "absent": {}}, "waiting for sites; here: nobody"),
        (
            {"event": "gathering", "here": ["a"], "absent": {"b": "it is closed"}},
            "b cannot take part yet: it is closed",
        ),
        ({"event": "ready", "sites": ["a", "b"], "round": 1}, "a, b take part, from round 1 on"),
        ({"event": "round", "round": 2, "sites": ["a"]}, "round 2: asked a"),
        ({"event": "site", "round": 2, "site": "a", "reason": ""}, "round 2: a answered"),
        (
            {"event": "site", "round": 2, "site": "a", "reason": "no budget"},
            "a did not take part: no budget",
        ),
        (
            {"event": "round_finished", "round": 2, "seconds": 2.25, "metrics": {}},
            "round 2: finished in 2.2 s",
        ),
        (
            {
                "event": "round_finished",
                "round": 2,
                "seconds": 1,
                "metrics": {"auc": 0.5, "count": 9},
            },
            "auc 0.500",
        ),
        ({"event": "waiting", "round": 2, "sites": ["b"]}, "round 2: still waiting for b"),
        ({"event": "standing", "standing": "interrupted"}, "the run is interrupted"),
        ({"event": "failed", "what": "The disk is full."}, "failed: The disk is full."),
        ({"event": "something_new"}, "something new"),
    ],
)
def test_an_event_is_told_in_words(event: dict[str, Any], told: str) -> None:
    assert told in sentence({"at": "2026-01-02T03:04:05.678+00:00", **event})
    assert sentence({"at": "2026-01-02T03:04:05.678+00:00", **event}).startswith(
        "2026-01-02T03:04:05 "
    )
