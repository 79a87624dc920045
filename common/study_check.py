"""What a study means before it runs: what is exchanged, and what it costs a site of a given size."""

from __future__ import annotations

from typing import Any

from common.fit import network_for
from common.jsonable import jsonable
from common.privacy.plan import evaluated_rounds, plan_site
from common.study import Study
from common.tasks import build_task
from common.weights import Layout, exchanged, frozen


def check_study(study: Study, cohorts: list[int]) -> dict[str, Any]:
    """Return the facts of a study as JSON values.

    Args:
        study: a valid study.
        cohorts: declared patients of the sites to plan for.

    Raises:
        StudyError: the model cannot take the data, or a site of that size cannot take the steps.
    """
    task = build_task(study)
    network = network_for(study, task)
    layout = Layout.of(exchanged(network))
    tally = sum(_product(shape) for shape in task.tally_layout.values())
    found = {
        "study": study.name,
        "fingerprint": study.fingerprint,
        "task": study.task.name,
        "model": study.model.name,
        "input_shape": list(study.data.model_shape),
        "exchanged": {
            "parameters": layout.size,
            "frozen": frozen(network),
            "tensors": len(layout.entries),
            "bytes_a_round": 4 * layout.size,
            "statistics": {name: list(shape) for name, shape in task.tally_layout.items()},
            "statistics_bytes": 8 * tally,
            "evaluations": len(evaluated_rounds(study)),
        },
        "rounds": study.federation.rounds,
        "algorithm": study.federation.algorithm.name,
        "privacy": study.privacy.enabled,
        "sites": [_site(study, cohort) for cohort in cohorts] if study.privacy.enabled else [],
    }
    result: dict[str, Any] = jsonable(found)
    return result


def _site(study: Study, declared: int) -> dict[str, Any]:
    plan = plan_site(study, declared)
    return {
        "declared_patients": declared,
        "sampling_rate": str(plan.sampling_rate),
        "expected_units_a_step": plan.divisor,
        "steps": plan.steps,
        "sigma": plan.noise_multiplier,
        "epsilon": plan.epsilon,
        "delta": plan.delta,
        "evaluation_sigma": plan.evaluation_noise,
        "evaluation_epsilon": plan.evaluation_epsilon,
        "warnings": _warnings(study, declared),
    }


def _warnings(study: Study, declared: int) -> list[str]:
    found = []
    if study.privacy.delta >= 1 / declared:
        found.append(
            f"δ = {study.privacy.delta:g} is at least 1/{declared}: a mechanism that publishes one patient whole may "
            f"satisfy it; use δ ≤ {1 / (2 * declared):.2g}"
        )
    if study.privacy.unit == "sample":
        found.append(
            "the unit is a sample: a patient with several samples is protected less than ε says"
        )
    return found


def _product(shape: tuple[int, ...]) -> int:
    size = 1
    for side in shape:
        size *= side
    return size


def render(found: dict[str, Any]) -> str:
    """Return the facts as text for a person."""
    sent = found["exchanged"]
    lines = [
        f"study        {found['study']}  (fingerprint {found['fingerprint'][:16]}…)",
        f"task, model  {found['task']}, {found['model']} on samples of shape {tuple(found['input_shape'])}",
        f"exchanged    {sent['parameters']:,} weights in {sent['tensors']} tensors, "
        f"{sent['bytes_a_round']:,} bytes a site and round",
        *([f"             {sent['frozen']:,} more are frozen"] if sent["frozen"] else []),
        f"             statistics {', '.join(sent['statistics'])}: {sent['statistics_bytes']:,} bytes, "
        f"{sent['evaluations']} times, as far as each site's policy lets them out",
        f"rounds       {found['rounds']}, {found['algorithm']}",
    ]
    if not found["privacy"]:
        return "\n".join([*lines, "privacy      none: sites must allow it in their policy"])
    names = ("patients", "q", "units/step", "steps", "σ", "ε", "δ", "σ stat", "ε stat")
    head = " ".join(name.rjust(width) for name, width in zip(names, WIDTHS, strict=True))
    rows = [_row(site) for site in found["sites"]]
    notes = [f"note: {note}" for site in found["sites"] for note in site["warnings"]]
    adjacency = "ε after all rounds by PLD, add/remove one unit; 'stat' is for held-out patients and their statistics"
    return "\n".join([*lines, "", head, *rows, adjacency, *dict.fromkeys(notes)])


WIDTHS = (9, 9, 11, 7, 8, 8, 9, 8, 8)


def _row(site: dict[str, Any]) -> str:
    return (
        f"{site['declared_patients']:>9} {site['sampling_rate']:>9} {site['expected_units_a_step']:>11.1f} "
        f"{site['steps']:>7} {site['sigma']:>8.3f} {site['epsilon']:>8.3f} {site['delta']:>9.2g} "
        f"{site['evaluation_sigma']:>8.3f} {site['evaluation_epsilon']:>8.3f}"
    )
