"""The details of one ledger: whose it is, its chain, its budget, and what every study cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from client.audit.document import Plot, Table, Text
from client.audit.ledger_report import LedgerReport
from client.audit.ledger_spend import Release, Steps, StudySpend
from client.guard.book import split_group
from common.charts.numbers import upper
from common.keys import fingerprint
from common.privacy.accountants import Epsilons

MOST_UNSETTLED = 50


def parts(one: LedgerReport, curve: Plot | None, *, several: bool) -> list[Table | Plot | Text]:
    """Tables and text of one ledger; with `several` ledgers its site stands in every title.

    Args:
        one: the ledger.
        curve: the course of its spending, where that is drawn.
    """
    whose = f" of {one.site or one.path.name}" if several else ""
    found: list[Table | Plot | Text] = [Text(f"The ledger{whose}", tuple(_state(one)))]
    if one.total is None:
        return found
    if one.studies:
        found += [_studies(one, whose), _mechanisms(one, whose)]
    found += [part for part in (curve, _populations(one, whose), _unsettled(one, whose)) if part]
    if one.unprotected:
        note = "What left without noise has no finite ε, and no later noise undoes that."
        found.append(_releases(f"Left without noise{whose}", one.unprotected, note))
    if one.declared_public:
        note = "The site's policy declares these public; no ε counts them."
        title = f"Declared public by the site's policy{whose}"
        found.append(_releases(title, one.declared_public, note))
    if one.decisions:
        found.append(_decisions(one, whose))
    return found


def standing_line(one: LedgerReport) -> str:
    """One ledger in a sentence."""
    name = one.site or one.path.name
    if one.total is None:
        return f"The chain of {name} is broken at entry {one.chain.broken_at}: {_reason(one)}."
    if one.delta is None:
        return f"{name} has spent nothing."
    cost = f"ε = {figure(one.total.pld)} at δ = {one.delta:g}"
    if one.budget is None:
        return f"{name} has spent {cost}; no budget is recorded to compare it with."
    limit = f"{one.budget.max_epsilon:g} at δ = {one.budget.delta:g}"
    word = "more than" if one.exceeded else "within"
    return f"{name} has spent {cost}: {word} its budget of {limit}."


def figure(value: float | None) -> str:
    """ε to four decimals, rounded up: never below what was spent."""
    return upper(value, 4)


def _reason(one: LedgerReport) -> str:
    return one.chain.reason.rstrip(".")


def _state(one: LedgerReport) -> Iterable[str]:
    whose = f"site {one.site}, population {one.population}" if one.site else "unknown owner"
    yield f"{one.path} ({whose})"
    if not one.chain.intact:
        yield (
            f"Chain broken at entry {one.chain.broken_at}: {_reason(one)}. What such a file says proves nothing, "
            "so no figure is given."
        )
        return
    yield f"Chain intact: {one.chain.entries:,} entries, head {one.chain.head}"
    if one.budget is not None:
        word = "over" if one.exceeded else "within"
        yield f"Budget: {word} ε = {one.budget.max_epsilon:g} at δ = {one.budget.delta:g}"
    if one.total is not None and one.total.prv is None:
        yield f"No PRV figure: {one.total.prv_note}"
    yield from one.notes


def _studies(one: LedgerReport, whose: str) -> Table:
    extra = ("one replaced",) if one.replaced is not None else ()
    columns = ("study", "rounds", "δ", "ε PLD", "ε PRV", "ε RDP", *extra)
    rows = [_study(study) for study in one.studies]
    if one.total is not None and one.delta is not None:
        rows.append(("all studies", "", f"{one.delta:g}", *_figures(one.total, one.replaced)))
    note = "Each figure is that of the patient who spent most. Figures of studies do not simply add up."
    if extra:
        note += (
            " The last column is ε by PLD for replacing a patient by another of the same group, training or held-out; "
            "budgets are about adding or removing one."
        )
    return Table(f"Studies{whose}", columns, tuple(rows), note)


def _study(study: StudySpend) -> tuple[str, ...]:
    name = f"{study.study}\n{study.fingerprint[:12]}"
    if study.randomness != "system":
        name += f"\n{study.randomness} randomness"
    return (name, f"{study.rounds:,}", f"{study.delta:g}", *_figures(study.epsilon, study.replaced))


def _figures(value: Epsilons, replaced: float | None) -> tuple[str, ...]:
    extra = () if replaced is None else (replaced,)
    return tuple(figure(each) for each in (value.pld, value.prv, value.rdp, *extra))


def _mechanisms(one: LedgerReport, whose: str) -> Table:
    columns = ("study", "patients", "sampler", "q", "σ", "C", "steps")
    rows = tuple((study.study, *_mechanism(each)) for study in one.studies for each in study.events)
    note = "Gaussian noise of standard deviation σ · C on sums that are clipped to norm C for each patient."
    return Table(f"Mechanisms{whose}", columns, rows, note)


def _mechanism(part: Steps) -> tuple[str, ...]:
    event = part.event
    unsettled = f" ({part.unsettled_steps:,} unsettled)" if part.unsettled_steps else ""
    return (
        part.role,
        event.sampler,
        str(event.sampling_rate),
        f"{event.noise_multiplier:g}",
        f"{event.clip_norm:g}",
        f"{part.steps:,}{unsettled}",
    )


def _populations(one: LedgerReport, whose: str) -> Table | None:
    if not one.populations:
        return None
    rows = tuple((each.name, f"{each.charges:,}", figure(each.epsilon)) for each in one.populations)
    note = "Charges to the whole site count for each of them."
    return Table(f"Populations{whose}", ("population", "charges", "ε PLD"), rows, note)


def _decisions(one: LedgerReport, whose: str) -> Table:
    words = {"approve": "approved", "revoke": "revoked"}
    rows = tuple(
        (each.at[:19], words[each.kind], each.study, each.fingerprint[:12], each.by, _key(each.key))
        for each in one.decisions
    )
    note = "Every signature holds. A key that changes from line to line is a question to the site."
    columns = ("when", "what", "study", "fingerprint", "by", "key")
    return Table(f"Approvals{whose}", columns, rows, note)


def _key(public: str) -> str:
    return fingerprint(public)[:19] + "…"


def _unsettled(one: LedgerReport, whose: str) -> Table | None:
    waiting = [charge for charge in one.charges if not charge.settled]
    if not waiting:
        return None
    rows = tuple(
        (each.study, str(each.round), split_group(each.group)[0], f"{each.event.steps:,}")
        for each in waiting[:MOST_UNSETTLED]
    )
    more = len(waiting) - len(rows)
    note = "Charged in full: nobody recorded how they ended." + (f" {more:,} more." if more else "")
    columns = ("study", "round", "patients", "steps")
    return Table(f"Reservations never settled{whose}", columns, rows, note)


def _releases(title: str, releases: Sequence[Release], note: str) -> Table:
    rows = tuple((each.what, each.study, f"{each.releases:,}") for each in releases)
    return Table(title, ("what", "study", "releases"), rows, note)
