"""A SuperNode's runtime API, Flower's own code, without a coordinator behind it."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from typing import Any

import uvicorn
from flwr.app import Context, Message, RecordDict
from flwr.app.message.message import make_message, remove_content_from_message
from flwr.app.metadata import Metadata
from flwr.supercore.constant import TaskType
from flwr.supercore.fab import Fab
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.supercore.run import Run
from flwr.supernode.main import create_app
from flwr.supernode.nodestate import NodeStateFactory

NODE, COORDINATOR = 77, 1


def free_port() -> int:
    """Return a port of the loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RuntimeApi:
    """Flower's runtime API on a port of the loopback; its state is filled by hand.

    Args:
        secret: what agents must know; None: nothing.
        port: where it listens.
        certificate, key: PEM files; None: plain HTTP.
    """

    def __init__(
        self,
        secret: bytes | None = b"shared secret",
        port: int | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
    ) -> None:
        self.port = port or free_port()
        factory = NodeStateFactory(objectstore_factory=ObjectStoreFactory())
        self.state: Any = factory.state()
        self.state.set_node_id(NODE)
        self._server = uvicorn.Server(
            uvicorn.Config(
                create_app(state_factory=factory, superexec_auth_secret=secret),
                host="127.0.0.1",
                port=self.port,
                log_level="error",
                ssl_certfile=certificate,
                ssl_keyfile=key,
            )
        )
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.01)
        self._runs = 0

    @property
    def address(self) -> str:
        """Its host:port."""
        return f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Stop listening."""
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(timeout=10)

    def new_run(self, bundle: bytes) -> int:
        """Make a run known, with its bundle."""
        import hashlib

        self._runs += 1
        run = Run.create_empty(self._runs)
        run.fab_hash = hashlib.sha256(bundle).hexdigest()
        run.series_id = self._runs
        context = Context(
            run_id=run.run_id,
            node_id=NODE,
            node_config={},
            state=RecordDict(),
            run_config={},
            series_id=run.series_id,
        )
        self.state.set_run_series_context(run.series_id, context)
        self.state.store_run(run)
        self.state.store_fab(Fab(run.fab_hash, bundle, {}))
        return run.run_id

    def ask(
        self,
        run: int,
        kind: str,
        content: RecordDict | None = None,
        *,
        task_type: str = TaskType.CLIENT_APP,
        damage: bool = False,
    ) -> str:
        """Hand a message over for a task; return its id."""
        metadata = Metadata(
            run, "", COORDINATOR, NODE, "", "1", time.time(), 3600.0, kind, src_task_id=5
        )
        message = make_message(metadata=metadata, content=content or RecordDict())
        identity = message.object_id
        message.metadata.__dict__["_message_id"] = identity
        store = self.state.object_store
        store.preregister(run, get_object_tree(message))
        for each, part in get_all_nested_objects(message).items():
            store.put(each, part.deflate())
            if damage:
                store.store[each].content = part.deflate()[:-3] + b"???"
        self.state.store_message(remove_content_from_message(message))
        self.state.create_task(
            task_type=task_type, run_id=run, fab_hash=self.state.get_run(run).fab_hash
        )
        return str(identity)

    def reply(self, to: str, timeout: float = 30.0) -> Message:
        """Wait for the reply to a message, as a SuperNode does, and return it."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            for message in self.state.get_messages_legacy(is_reply=True):
                if message.metadata.reply_to_message_id == to:
                    return self._inflated(message)
            time.sleep(0.01)
        raise AssertionError("there was no reply")

    def _inflated(self, message: Message) -> Message:
        store, identity = self.state.object_store, message.metadata.message_id
        until = time.monotonic() + 10
        contents: dict[str, bytes] = {}
        for each in _ids(store.get_object_tree(identity)):
            while not (content := store.get(each)) and time.monotonic() < until:
                time.sleep(0.01)
            contents[each] = content
        found = inflate_object_from_contents(identity, contents)
        assert isinstance(found, Message)
        return found


def _ids(tree: Any) -> list[str]:
    return [*(each for child in tree.children for each in _ids(child)), tree.object_id]
