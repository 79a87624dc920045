"""The Flower ClientApp: translates messages for the site agent, and errors for the coordinator."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from pathlib import Path

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp

from client.agent import Agent
from client.guard.message import inspect_introduction, inspect_message
from client.messages import Request
from common import wire
from common.errors import ConsiliumError, MachineError, PolicyError

log = logging.getLogger(__name__)

AgentOf = Callable[[Context], Agent]
"""Finds the agent that answers for a node."""

InTime = Callable[[int], None]
"""Raises `TooLate` once an answer about a round would not count any more."""


def _no_deadline(_: int) -> None:
    """A simulation waits."""


def build(agent_of: AgentOf, in_time: InTime = _no_deadline) -> ClientApp:
    """Return a ClientApp whose messages are answered by the agent that `agent_of` finds."""
    app = ClientApp()

    @app.query("describe")
    def describe(message: Message, context: Context) -> Message:
        return _answer(message, lambda: agent_of(context), lambda agent: _describe(agent, message))

    @app.train()
    def train(message: Message, context: Context) -> Message:
        return _answer(
            message,
            lambda: agent_of(context),
            lambda agent: _handle(agent, message, in_time, training=True),
        )

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        return _answer(
            message,
            lambda: agent_of(context),
            lambda agent: _handle(agent, message, in_time, training=False),
        )

    return app


def _nobody(context: Context) -> Agent:
    raise PolicyError(
        "This site answers through its own service only.",
        fix="Start the site with 'consilium site start'.",
    )


def _answer(
    message: Message, find: Callable[[], Agent], make: Callable[[Agent], RecordDict]
) -> Message:
    """Reply with what `make` returns, or with an error: told in full here, in one fixed sentence elsewhere.

    An exception that nobody foresaw is told by its class alone, here too: Flower would send its text to the
    coordinator, and the text may quote a patient's record.
    """
    agent: Agent | None = None
    try:
        agent = find()
        return Message(make(agent), reply_to=message)
    except ConsiliumError as error:
        return _refused(message, agent, error)
    except Exception as error:
        return _refused(message, agent, _told_by_class(error))


def _told_by_class(error: Exception) -> ConsiliumError:
    import torch

    kind = type(error).__name__
    if isinstance(error, torch.AcceleratorError | torch.OutOfMemoryError):
        return MachineError(
            f"The device failed in the middle of a round ({kind}); nothing was sent.",
            where="[compute] device",
            fix="See what 'nvidia-smi' says and whether others use the device; if it is back, start the service again.",
        )
    place = traceback.extract_tb(error.__traceback__)[-1]
    return ConsiliumError(
        f"An unforeseen {kind} stopped the answer; nothing was sent.",
        where=f"{Path(place.filename).name}, line {place.lineno}",
        fix="Please report it with this place in the code.",
    )


def _refused(message: Message, agent: Agent | None, error: ConsiliumError) -> Message:
    log.error("%s: %s", agent.site.name if agent else "no agent", error)
    if agent is not None:
        agent.refusals.write(error)
    return Message(Error(wire.SITE_ERROR + error.exit_code, error.told), reply_to=message)


def _describe(agent: Agent, message: Message) -> RecordDict:
    wire.check_empty(message.content)
    told = agent.describe()
    content = wire.introduction(told)
    inspect_introduction(content, told)
    return content


def _handle(agent: Agent, message: Message, in_time: InTime, *, training: bool) -> RecordDict:
    said, weights = wire.read_request(message.content)
    request = Request(said.fingerprint, said.round, weights, train=training, evaluate=said.evaluate)
    answer = agent.handle(request, lambda: in_time(request.round))
    content = wire.reply(answer)
    inspect_message(content, answer, agent.declared)
    return content


app = build(_nobody)
"""What a bundle names: a stock executor that loads it gets a refusal, for a site's own agent decides what runs here."""
