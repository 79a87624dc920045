"""An audit of ledgers as JSON values for other programs; infinite ε is the string "inf"."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from client.audit.ledger_report import ADJACENCY, AuditReport, LedgerReport
from client.audit.ledger_spend import Release, StudySpend
from common.privacy.accountants import Epsilons


def to_json(report: AuditReport) -> dict[str, Any]:
    """The whole audit, with the verdict and the exit code."""
    return {
        "adjacency": ADJACENCY,
        "ledgers": [_ledger(one) for one in report.ledgers],
        "notes": list(report.notes),
        "verdict": report.verdict,
        "exit_code": report.exit_code,
    }


def _ledger(one: LedgerReport) -> dict[str, Any]:
    return {
        "path": str(one.path),
        "site": one.site,
        "population": one.population,
        "entries": one.chain.entries,
        "chain": {
            "intact": one.chain.intact,
            "broken_at": one.chain.broken_at,
            "reason": one.chain.reason,
            "head": one.chain.head,
        },
        "studies": [_study(study) for study in one.studies],
        "total": None
        if one.total is None
        else {"delta": one.delta, "epsilon": _epsilons(one.total, one.replaced)},
        "populations": [
            {"name": each.name, "charges": each.charges, "epsilon": _number(each.epsilon)}
            for each in one.populations
        ],
        "budget": _budget(one),
        "unprotected": [_release(what) for what in one.unprotected],
        "declared_public": [_release(what) for what in one.declared_public],
        "decisions": [dataclasses.asdict(each) for each in one.decisions],
        "notes": list(one.notes),
        "verdict": one.verdict,
    }


def _study(spend: StudySpend) -> dict[str, Any]:
    events = [
        {
            "role": part.role,
            "sampler": part.event.sampler,
            "q": str(part.event.sampling_rate),
            "sigma": part.event.noise_multiplier,
            "clip_norm": part.event.clip_norm,
            "steps": part.steps,
            "unsettled_steps": part.unsettled_steps,
        }
        for part in spend.events
    ]
    return {
        "study": spend.study,
        "fingerprint": spend.fingerprint,
        "rounds": spend.rounds,
        "events": events,
        "delta": spend.delta,
        "epsilon": _epsilons(spend.epsilon, spend.replaced),
        "randomness": spend.randomness,
    }


def _budget(one: LedgerReport) -> dict[str, Any] | None:
    if one.budget is None:
        return None
    limit = _number(one.budget.max_epsilon)
    return {"max_epsilon": limit, "delta": one.budget.delta, "exceeded": one.exceeded}


def _release(what: Release) -> dict[str, Any]:
    return {"study": what.study, "what": what.what, "releases": what.releases}


def _epsilons(value: Epsilons, replaced: float | None) -> dict[str, float | str | None]:
    figures: dict[str, float | str | None] = {
        "pld": _number(value.pld),
        "prv": None if value.prv is None else _number(value.prv),
        "rdp": _number(value.rdp),
    }
    if replaced is not None:
        figures["pld_replace_one"] = _number(replaced)
    return {**figures, "prv_note": value.prv_note} if value.prv_note else figures


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else "inf"
