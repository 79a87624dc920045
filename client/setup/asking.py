"""Asks people for answers, or takes the defaults, and refuses what makes no sense."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import typer

from client.setup.answers import Answers, typed
from client.setup.questions import KINDS, TIME_UNITS, Question
from common.errors import StudyError


@dataclass(frozen=True)
class Asking:
    """How answers are come by.

    Attributes:
        ask: ask for what is missing; otherwise take the defaults.
        about: what stands before a question: the part that it is about.
        flag: what stands before the key where a flag is named.
        words: what has few answers, by key.
    """

    ask: bool
    about: str = ""
    flag: str = "--"
    words: Mapping[str, Sequence[str]] = field(
        default_factory=lambda: {"data_kind": KINDS, "time_unit": (*TIME_UNITS, "")}
    )


def filled(given: Answers, questions: Sequence[Question], how: Asking) -> Answers:
    """Return the answers with those to some questions put in, where they are missing.

    Raises:
        StudyError: something without a default is missing, or makes no sense.
    """
    for question in questions:
        if getattr(given, question.key) is None and question.asked(given):
            answer = _asked(question, how) if how.ask else _default(question, how)
            given = replace(given, **{question.key: answer})
        _check(question.key, getattr(given, question.key), how)
    return given


def _asked(question: Question, how: Asking) -> Any:
    """Ask until the answer can be used: a wrong path must not cost the answers before it."""
    while True:
        shown = question.default != ""
        text = typer.prompt(
            how.about + question.text,
            default=question.default,
            type=question.kind,
            show_default=shown,
        )
        answer = typed(question.key, text)
        try:
            _check(question.key, answer, how)
        except StudyError as error:
            typer.secho(f"{error.what} {error.fix}", fg="red", err=True)
        else:
            return answer


def _default(question: Question, how: Asking) -> Any:
    if question.default is None:
        raise StudyError(
            f"'{_flag(question.key, how)}' is missing.",
            where="consilium site init --yes",
            fix=f"Give it ({question.text}), or leave out --yes to be asked.",
        )
    return typed(question.key, question.default)


def _flag(key: str, how: Asking) -> str:
    if how.about:  # of a part, keys are those of site.toml
        return how.flag + key.removeprefix("data_")
    return how.flag + key.replace("_", "-")


_FILES = ("certificates", "data_path", "labels", "outcomes")


def _check(key: str, answer: Any, how: Asking) -> None:
    what = "kind of data" if key == "data_kind" else "unit of time"
    if key in how.words and answer is not None and answer not in how.words[key]:
        raise StudyError(
            f"There is no {what} '{answer}'.",
            where=_flag(key, how),
            fix=f"Give one of: {', '.join(filter(None, how.words[key]))}.",
        )
    if key in _FILES and answer is not None and not answer.exists():
        raise StudyError(
            f"There is no file or folder '{answer}'.", where=_flag(key, how), fix="Check its path."
        )
