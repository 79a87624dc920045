"""A study's promise as the figures of a run tell it."""

from __future__ import annotations

from typing import Any

from common.study import Study


def privacy_facts(study: Study, randomness: str) -> dict[str, Any]:
    """Return the `privacy` part of a run's metrics.

    Args:
        study: what was run.
        randomness: where sampling and noise came from: `system`, `fixed`, or `sites` where only the sites know.
    """
    privacy = study.privacy
    if not privacy.enabled:
        return {"enabled": False}
    return {
        "enabled": True,
        "unit": privacy.unit,
        "epsilon_target": privacy.epsilon,
        "noise_multiplier": privacy.noise_multiplier,
        "delta": privacy.delta,
        "clip_norm": privacy.clip_norm,
        "sampling_rate": privacy.sampling_rate,
        "units_per_step": privacy.units_per_step,
        "adjacency": "add/remove",
        "randomness": randomness,
    }
