"""Somebody's stated run of DP-SGD, accounted anew: what can be proven, and what the claim was worth."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from client.audit.document import Document, Plot, Table, Text, Verdict
from client.audit.statement import Claim
from common.errors import StudyError
from common.privacy.events import GaussianEvent
from common.privacy.runs import StatedRun
from common.privacy.samplers import NO_PLD, REPLACED, ZEROED, Account, account, as_if_poisson
from common.privacy.tuning import Tuning, tuning_epsilon

_ACCURACY = 1e-3  # by which two accountants of one theorem may differ
_RENYI_ALONE = "No grid holds these losses at this δ: the figure is the Rényi bound (Mironov 2017, arXiv 1702.07476)."
_HUGE = 1e9  # digits beyond it say nothing
_WAYS = {"poisson": "Poisson", "shuffled": "shuffled", "fixed": "fixed-size"}


def audit(claim: Claim) -> Document:
    """Account the run and compare it with what was claimed."""
    run, found = claim.run, account(claim.run)
    naive = as_if_poisson(run) if run.batches != "poisson" or run.most else None
    tuned = _tuned(claim)
    honest = found.epsilon if tuned is None else max(found.epsilon, tuned.epsilon)
    verdict: Verdict = "over budget" if _too_low(claim.claimed, honest) else "sound"
    parts: list[Table | Plot | Text] = [
        _figures(claim, found, naive, tuned),
        Text("The run as stated", _statement(claim)),
        Text("What proves the figure", _proof(found, tuned)),
    ]
    if warnings := _warnings(run):
        parts.append(Text("Warnings", warnings))
    return Document(
        title=f"A stated run with {_WAYS[run.batches]} batches, accounted anew",
        verdict=verdict,
        summary=_summary(claim, found, honest),
        parts=tuple(parts),
        data=_data(claim, found, naive, tuned, honest),
    )


def _too_low(claimed: float | None, honest: float) -> bool:
    return claimed is not None and honest > claimed * (1 + _ACCURACY)


def _summary(claim: Claim, found: Account, honest: float) -> str:
    figure = f"ε = {_number(honest)} at δ = {claim.run.delta:g} ({found.adjacency})"
    claimed = claim.claimed
    if claimed is None:
        return f"The stated run provably has {figure}."
    if not _too_low(claimed, honest):
        return f"The claim of ε = {claimed:g} holds: the stated run provably has {figure}."
    ratio = f", {honest / claimed:.2f} times the claim" if math.isfinite(honest) else ""
    text = (
        f"Under-accounted: ε = {claimed:g} was claimed, but what can be proven is {figure}{ratio}."
    )
    if found.at_least is not None and found.at_least > claimed:
        text += f" The true ε is at least {_number(found.at_least)}, so the claim is wrong whatever the analysis."
    return text


def _figures(claim: Claim, found: Account, naive: float | None, tuned: Tuning | None) -> Table:
    rows: list[tuple[str, float | None, str]] = [
        ("PLD, the figure of record", found.pld, found.missing.get("pld", found.adjacency)),
        (
            "PRV, a check",
            found.prv,
            found.missing.get("prv", "Opacus; its error allowance of 0.01 included"),
        ),
        ("RDP, a looser check", found.rdp, found.missing.get("rdp", "Rényi bound")),
    ]
    if found.adjacency != REPLACED:
        rows.append(("PLD, one unit replaced", found.replace_one, _replaced(found)))
    if found.at_least is not None:
        rows.append(("At least", found.at_least, "a lower bound: no analysis can prove less"))
    if naive is not None:
        rows.append(
            ("As if Poisson", naive, "what most accountants print; it does not hold for this run")
        )
    if tuned is not None:
        rows.append((f"Best of {claim.best_of} runs", tuned.epsilon, tuned.theorem))
    if claim.claimed is not None:
        rows.append(("Claimed", claim.claimed, "as published"))
    return Table(
        title=f"ε at δ = {claim.run.delta:g}",
        columns=("figure", "ε", "what it is"),
        rows=tuple((name, _number(value), note) for name, value, note in rows),
    )


def _replaced(found: Account) -> str:
    """What the figure for a replaced unit is, or why there is none."""
    if found.replace_one is not None:
        return "replace-one adjacency"
    if found.adjacency == ZEROED and "pld" not in found.missing:
        return "no theorem at hand for this sampling"
    return found.missing.get("pld", NO_PLD)


def _statement(claim: Claim) -> tuple[str, ...]:
    run = claim.run
    cut = f", cut to at most {run.most:,}" if run.most else ""
    text = (
        f"{_WAYS[run.batches]} batches{cut} with q = {run.rate} ({float(run.rate):.6g}), σ = "
        f"{run.noise_multiplier:g} in units of the clip norm, {run.steps:,} steps, δ = {run.delta:g}."
    )
    return (text[0].upper() + text[1:], *claim.derived)


def _proof(found: Account, tuned: Tuning | None) -> tuple[str, ...]:
    theorem = found.theorem[0].upper() + found.theorem[1:] + "."
    adjacency = f"Adjacency: {found.adjacency}."
    choice = () if tuned is None else (f"Choosing: {tuned.theorem}.",)
    bound = () if found.pld is not None or found.rdp is None else (_RENYI_ALONE,)
    return (theorem, *bound, *choice, adjacency)


def _warnings(run: StatedRun) -> tuple[str, ...]:
    found = []
    if run.units is not None and run.delta >= 1 / run.units:
        found.append(
            f"δ = {run.delta:g} is not below 1/n = {1 / run.units:.3g}: publishing one unit of {run.units:,} at random "
            "would be allowed at any ε. Choose δ well below 1/n."
        )
    if run.batches == "shuffled":
        found.append(
            f"An epoch is taken as {run.batches_per_epoch:,} batches, the last one kept; a run that drops it begins "
            "more epochs in as many steps: state its --epochs."
        )
    return tuple(found)


def _tuned(claim: Claim) -> Tuning | None:
    """The price of choosing, for sampling that the theorem's Rényi bound covers."""
    run = claim.run
    if claim.best_of == 1:
        return None
    if run.batches == "fixed" or run.most:
        raise StudyError(
            "The cost of choosing the best run is known here for Poisson and shuffled batches only.",
            where="--best-of",
            fix="Leave it out, and multiply the steps by the number of runs instead.",
        )
    shuffled = run.batches == "shuffled" or run.rate == 1
    event = (
        GaussianEvent("full", Fraction(1), run.noise_multiplier, 1.0, run.epochs)
        if shuffled
        else GaussianEvent("poisson", run.rate, run.noise_multiplier, 1.0, run.steps)
    )
    return tuning_epsilon([event], run.delta, claim.best_of)


def _data(
    claim: Claim, found: Account, naive: float | None, tuned: Tuning | None, honest: float
) -> dict[str, Any]:
    run = claim.run
    return {
        "epsilon": {name: getattr(found, name) for name in ("pld", "prv", "rdp")},
        "missing": found.missing,
        "adjacency": found.adjacency,
        "theorem": found.theorem,
        "replace_one": found.replace_one,
        "at_least": found.at_least,
        "as_if_poisson": naive,
        "best_of": None if tuned is None else {"runs": claim.best_of, "epsilon": tuned.epsilon},
        "honest": honest,
        "claimed": claim.claimed,
        "ratio": honest / claim.claimed if claim.claimed else None,
        "run": {
            "sampler": run.batches,
            "q": str(run.rate),
            "sigma": run.noise_multiplier,
            "steps": run.steps,
            "epochs": run.epochs,
            "delta": run.delta,
            "n": run.units,
            "max_batch": run.most,
        },
        "derived": list(claim.derived),
        "warnings": list(_warnings(run)),
    }


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    if math.isinf(value):
        return "∞"
    return f"{value:.3f}" if 1 <= value < _HUGE else f"{value:.4g}"
