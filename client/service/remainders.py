"""What a SuperNode keeps in its memory of tasks that nobody will finish.

Part of the SuperNode's launcher: it looks into Flower's state and is covered by the same contract test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def left_behind(state: Any) -> bool:
    """Return whether an agent has taken a task, or brought back a part of a reply, that nobody has finished."""
    with state.lock_task_store:
        taken = bool(state.task_token_store)
    with state.lock_msg_store:
        return taken or any(entry.is_retrieved for entry in state.msg_store.values())


def tidying(pull: Callable[..., int | None]) -> Callable[..., int | None]:
    """Return Flower's function that fetches a message, changed to drop what it leaves of one that it gave up.

    A run that ends while its message is being fetched leaves a task without content behind; the agent would take it,
    and wait for the content for ever.
    """

    def tidy(*, state: Any, object_store: Any, **others: Any) -> int | None:
        run = pull(state=state, object_store=object_store, **others)
        if run is None:
            drop_all(state, object_store)
        return run

    return tidy


def drop_all(state: Any, object_store: Any) -> None:
    """Forget all messages and give up their tasks; between two messages there should be none."""
    from flwr.common.constant import Status, SubStatus

    with state.lock_msg_store:
        messages = list(state.msg_store)
    if not messages:
        return
    with state.lock_task_store:
        tasks = [i for i, t in state.task_store.items() if t.status.status != Status.FINISHED]
    for task in tasks:
        state.finish_task(task, SubStatus.FAILED, "The run ended.")
    state.delete_messages(message_ids=messages)
    for message in messages:
        object_store.delete(message)
