"""The Flower ClientApp: translates messages for the site agent, and errors for the coordinator."""

from __future__ import annotations

import logging
from collections.abc import Callable

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp

from client.agent import Agent
from client.messages import Request
from common import wire
from common.errors import ConsiliumError

log = logging.getLogger(__name__)

AgentOf = Callable[[Context], Agent]
"""Finds the agent that answers for a node."""


def build(agent_of: AgentOf) -> ClientApp:
    """Return a ClientApp whose messages are answered by the agent that `agent_of` finds."""
    app = ClientApp()

    @app.query("describe")
    def describe(message: Message, context: Context) -> Message:
        return _answer(message, agent_of(context), _describe)

    @app.train()
    def train(message: Message, context: Context) -> Message:
        return _answer(
            message, agent_of(context), lambda agent: _handle(agent, message, training=True)
        )

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        return _answer(
            message, agent_of(context), lambda agent: _handle(agent, message, training=False)
        )

    return app


def _answer(message: Message, agent: Agent, make: Callable[[Agent], RecordDict]) -> Message:
    """Reply with what `make` returns, or with an error: told in full here, in one fixed sentence elsewhere."""
    try:
        return Message(make(agent), reply_to=message)
    except ConsiliumError as error:
        log.error("%s: %s", agent.site.name, error)
        agent.refusals.write(error)
        return Message(Error(wire.SITE_ERROR + error.exit_code, error.told), reply_to=message)


def _describe(agent: Agent) -> RecordDict:
    return wire.introduction(agent.describe())


def _handle(agent: Agent, message: Message, *, training: bool) -> RecordDict:
    said, weights = wire.read_request(message.content)
    request = Request(said.fingerprint, said.round, weights, train=training, evaluate=said.evaluate)
    return wire.reply(agent.handle(request))
