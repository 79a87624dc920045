"""Turns a run's events into lines for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

SHOWN = ("auc", "accuracy", "rmse", "mae", "loss")
"""The metrics of a round that are worth a place on a line; the report has all."""

MOST_SHOWN = 3

Event = Mapping[str, Any]


def sentence(event: Event) -> str:
    """Return an event as a line: its time, then what happened."""
    name = str(event.get("event", ""))
    tell = _TELLERS.get(name)
    told = tell(event) if tell else name.replace("_", " ")
    return f"{str(event.get('at', ''))[:19]}  {told}".rstrip()


def _gathering(event: Event) -> str:
    absent = event.get("absent") or {}
    lines = [f"waiting for sites; here: {_names(event.get('here'))}"]
    lines += [f"  {name} cannot take part yet: {reason}" for name, reason in absent.items()]
    return f"\n{'':21}".join(lines)


def _ready(event: Event) -> str:
    return f"{_names(event.get('sites'))} take part, from round {event.get('round')} on"


def _round(event: Event) -> str:
    last = " for the final evaluation" if event.get("last") else ""
    return f"round {event.get('round')}: asked {_names(event.get('sites'))}{last}"


def _site(event: Event) -> str:
    reason = event.get("reason")
    answered = f"did not take part: {reason}" if reason else "answered"
    return f"round {event.get('round')}: {event.get('site')} {answered}"


def _round_finished(event: Event) -> str:
    metrics = event.get("metrics") or {}
    known = [name for name in SHOWN if isinstance(metrics.get(name), float)][:MOST_SHOWN]
    figures = ", ".join(f"{name} {metrics[name]:.3f}" for name in known)
    of_model = f"; the model that entered it: {figures}" if figures else ""
    return f"round {event.get('round')}: finished in {event.get('seconds', 0):.1f} s{of_model}"


def _waiting(event: Event) -> str:
    return f"round {event.get('round')}: still waiting for {_names(event.get('sites'))}"


def _names(sites: Iterable[object] | None) -> str:
    return ", ".join(map(str, sites or ())) or "nobody"


_TELLERS: dict[str, Callable[[Event], str]] = {
    "gathering": _gathering,
    "ready": _ready,
    "round": _round,
    "site": _site,
    "round_finished": _round_finished,
    "waiting": _waiting,
    "standing": lambda event: f"the run is {event.get('standing')}",
    "finished": lambda _: "finished: the model and the report are written",
    "failed": lambda event: f"failed: {event.get('what')}",
    "stopped": lambda _: "its process was stopped",
}
