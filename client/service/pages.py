"""What a SuperNode serves its agent beside Flower's runtime API: the link page, and the word of one that begins.

An agent that was killed leaves a task behind that Flower would give up after a minute, and a reply that it had half
brought back, for which Flower would wait for ever. A new agent says that it begins; a SuperNode with such a remainder
ends then and is started anew: the coordinator sees it connect again, and asks again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from client.service.link import BEGIN_PATH, LINK_HEADER, LINK_PATH, ContactLog, may_ask
from client.service.remainders import left_behind

_ANSWER_FIRST = 0.1
"""Seconds in which the answer still gets out."""

BEGINS_ANEW = 205
"""HTTP status of "what the last agent left behind is given up": the SuperNode ends now."""


def with_pages(
    make: Callable[..., Any], contacts: ContactLog, secret: bytes, end: Callable[[], None]
) -> Callable[..., Any]:
    """Return what makes Flower's app with these pages in it.

    Args:
        make: makes Flower's app of a factory of its state, and more.
        contacts: what the link page shows.
        secret: what agent and SuperNode share; nobody else may ask.
        end: ends the SuperNode.
    """
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response

    def refused(request: Request) -> Response | None:
        if may_ask(secret, request.headers.get(LINK_HEADER), request.url.path):
            return None
        return JSONResponse({"detail": "wrong or missing secret"}, status_code=401)

    def create_app(state_factory: Any = None, *args: Any, **options: Any) -> Any:
        async def link(request: Request) -> Response:
            return refused(request) or JSONResponse(contacts.page())

        async def begin(request: Request) -> Response:
            if answer := refused(request):
                return answer
            if not left_behind(state_factory.state()):
                return Response(status_code=204)
            threading.Timer(_ANSWER_FIRST, end).start()
            return Response(status_code=BEGINS_ANEW)

        app = make(state_factory, *args, **options)
        app.add_route(LINK_PATH, link, methods=["GET"])
        app.add_route(BEGIN_PATH, begin, methods=["POST"])
        return app

    return create_app
