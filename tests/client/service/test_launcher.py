"""The SuperNode's launcher: what it relies on in Flower, what it starts, and what it tells the agent."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from client.service import supernode
from client.service.fleet import watched_client
from client.service.link import BEGIN_PATH, LINK_HEADER, LINK_PATH, ContactLog, link_key, may_ask
from client.service.pages import BEGINS_ANEW, with_pages
from client.service.probes import SuperNodeProbe
from client.service.start import Half, check_startable, lock_of, programs_of, start_site
from client.service.unit import unit_text
from client.setup.answers import Answers
from client.setup.create import create_site
from client.site import Connection, Site, load_site
from client.site_folder import SiteFolder
from common.errors import MachineError, RunError, StudyError
from common.supervise import locked

SECRET = b"a shared secret"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site that knows one coordinator."""
    answers = Answers("north", "fl.example.org:443", None, "arrays", tmp_path, "d", None, 100, 1.0)
    return create_site(SiteFolder(tmp_path / "site"), answers)


def test_the_installed_flower_is_the_one_this_was_written_for() -> None:
    assert supernode.broken_by_flower() == []


def test_a_changed_flower_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    modules = supernode._modules()
    monkeypatch.delattr(modules.retry, "MAX_RETRY_DELAY")
    monkeypatch.delattr(modules.loop, "pull_objects")
    monkeypatch.setattr("flwr.__version__", "9.9.9")
    broken = "; ".join(supernode.broken_by_flower())
    for what in ("MAX_RETRY_DELAY", "initial_backoff", "its version is 1.41.0"):
        assert what in broken


def test_a_changed_flower_is_not_started(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supernode, "broken_by_flower", lambda: ["the main loop"])
    with pytest.raises(MachineError, match=r"the main loop.*pip install flwr==1\.41\.0"):
        supernode.launch(SiteFolder(site.folder), "coordinator")


def test_the_command_line_holds_files_and_no_secrets(site: Site) -> None:
    folder = SiteFolder(site.folder)
    arguments = supernode.arguments_of(site.connections["coordinator"], folder)
    text = " ".join(arguments)
    assert "--isolation process" in text
    assert f"--auth-supernode-private-key {folder.node_key}" in text
    assert "--host 127.0.0.1 " in f"{text} "
    assert folder.superexec_secret.read_text() not in text
    assert "--insecure" not in text
    modules = supernode._modules()
    modules.command._parse_args_run_supernode().parse_args(arguments)


def test_beyond_this_machine_the_runtime_api_speaks_tls(site: Site) -> None:
    folder = SiteFolder(site.folder)
    away = Connection(server="fl.example.org:443", runtime="dmz.example.org:9095")
    with pytest.raises(StudyError, match="in the clear"):
        supernode.arguments_of(away, folder)
    safe = away.model_copy(update={"runtime_certificates": folder.tls / "ca.crt"})
    text = " ".join(supernode.arguments_of(safe, folder))
    assert f"--ssl-keyfile {folder.tls / 'runtime.key'}" in text


def test_pauses_are_shorter_than_flowers(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(supernode.time, "sleep", slept.append)
    clock = supernode.Clock(0.2)
    clock.sleep(3)
    clock.sleep(0.5)
    assert slept == [0.2, supernode.REPLY_POLL_SECONDS]
    assert clock.monotonic is time.monotonic


def test_contact_is_told_once_a_change() -> None:
    said: list[str] = []
    contacts = ContactLog("fl.example.org:443", said.append)
    contacts.failed("no way")
    contacts.failed("no way")
    assert contacts.page()["problem"] == "no way"
    contacts.reached(node=7)
    contacts.reached()
    page = contacts.page()
    assert (page["node"], page["problem"], page["server"]) == (7, "", "fl.example.org:443")
    assert abs(float(str(page["contact"])) - time.time()) < 5
    assert said == ["no way", "in contact with fl.example.org:443"]


def test_only_who_knows_the_secret_may_ask() -> None:
    assert may_ask(SECRET, link_key(SECRET))
    for wrong in (None, "", "é", link_key(b"another"), link_key(SECRET, BEGIN_PATH)):
        assert not may_ask(SECRET, wrong)


def test_flowers_app_gets_the_page(tmp_path: Path) -> None:
    import asyncio

    import httpx

    contacts, ended = ContactLog("fl.example.org:443", print), threading.Event()
    state = supernode._modules().state.InMemoryNodeState(None)
    factory = SimpleNamespace(state=lambda: state)
    make = with_pages(supernode._modules().api.create_app, contacts, SECRET, ended.set)

    async def answer(method: str, path: str, key: str | None = None) -> httpx.Response:
        transport = httpx.ASGITransport(make(state_factory=factory))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            headers = {LINK_HEADER: key} if key else {}
            return await client.request(method, path, headers=headers)

    def ask(*what: str) -> httpx.Response:
        return asyncio.run(answer(*what))

    assert ask("GET", LINK_PATH).status_code == 401
    assert ask("GET", LINK_PATH, "00").status_code == 401
    assert ask("GET", LINK_PATH, link_key(SECRET)).json() == contacts.page()
    assert ask("POST", BEGIN_PATH, link_key(SECRET)).status_code == 401
    assert ask("POST", BEGIN_PATH, link_key(SECRET, BEGIN_PATH)).status_code == 204
    assert not ended.is_set()
    state.task_token_store["token"] = object()
    assert ask("POST", BEGIN_PATH, link_key(SECRET, BEGIN_PATH)).status_code == BEGINS_ANEW
    assert ended.wait(5)


class Failing:
    """Stands in for the transport under Flower's client; answers with one status or error."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def __call__(self, _: Any, *, path: str, **call: Any) -> Any:
        import httpx

        self.asked.append(path)
        if isinstance(self.answer, Exception):
            raise self.answer
        request = httpx.Request("POST", "https://x")
        response = httpx.Response(self.answer, request=request)
        raise httpx.HTTPStatusError("no", request=request, response=response)


@pytest.mark.parametrize(
    ("answer", "path", "again", "told"),
    [
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] certificate has expired",
            "pull-messages",
            True,
            "expired",
        ),
        ("[SSL: UNEXPECTED_EOF_WHILE_READING] EOF", "push-object", True, "not in reach"),
        ("[Errno 111] Connection refused", "pull-messages", True, "nothing listens"),
        (500, "push-messages", True, "HTTP 500"),
        (502, "pull-messages", True, "HTTP 502"),
        (401, "pull-messages", False, ""),
        (413, "push-object", False, ""),
        (401, "activate-node", True, "clocks"),
        (404, "activate-node", True, "HTTP 404"),
    ],
)
def test_what_is_tried_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: Any,
    path: str,
    again: bool,
    told: str,
) -> None:
    import httpx
    from flwr.proto.fleet_pb2 import ActivateNodeRequest
    from flwr.proto.message_pb2 import PushObjectRequest
    from flwr.supernode.fleet_http_client import FleetHttpClient

    pushes = path == "push-object"
    failing = Failing(httpx.ConnectError(answer) if isinstance(answer, str) else answer)
    monkeypatch.setattr(FleetHttpClient, "_unary_unary", lambda *a, **k: failing(*a, **k))
    contacts = ContactLog("server", lambda text: None)
    client = watched_client(contacts, tmp_path / "node")("https://127.0.0.1:1")
    call = {
        "request": PushObjectRequest() if pushes else ActivateNodeRequest(public_key=b"k"),
        "rpc_method": "",
        "response_type": None,
    }
    with client, pytest.raises(httpx.ConnectError if again else httpx.HTTPStatusError) as caught:
        client._unary_unary(path=f"/v1/fleet/{path}", **call)
    assert told in contacts.read().problem
    if again:  # words at which Flower would give up
        assert not {"ssl", "tls", "certificate"} & set(str(caught.value).lower().split())


def test_errors_of_the_server_are_given_up_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx
    from flwr.supernode.fleet_http_client import FleetHttpClient

    failing = Failing(500)
    monkeypatch.setattr(FleetHttpClient, "_unary_unary", lambda *a, **k: failing(*a, **k))
    client = watched_client(ContactLog("s", lambda t: None), tmp_path / "n")("https://127.0.0.1:1")
    now = [100.0]
    monkeypatch.setattr("client.service.watched.time.monotonic", lambda: now[0])
    with client:
        with pytest.raises(httpx.ConnectError):
            client._unary_unary(path="/v1/fleet/push-messages", request=None)
        now[0] += 301
        with pytest.raises(httpx.HTTPStatusError):
            client._unary_unary(path="/v1/fleet/push-messages", request=None)


@contextmanager
def link_page(page: dict[str, Any]) -> Iterator[int]:
    """A SuperNode's page, whatever it says."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            allowed = may_ask(SECRET, self.headers.get(LINK_HEADER))
            self.send_response(200 if allowed else 401)
            self.end_headers()
            self.wfile.write(json.dumps(page).encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_the_probe_knows_stuck_from_waiting(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)
    said: list[str] = []
    page = {"server": "s:1", "contact": 0.0, "node": 0, "problem": "nobody there"}
    with link_page(page) as port:
        runtime = Connection(server="s:1", runtime=f"127.0.0.1:{port}")
        probe = SuperNodeProbe(runtime, secret, said.append)
        assert probe.ready()
        assert probe.alive() == ""
        page.update(contact=time.time(), problem="")
        assert probe.alive() == ""
        page.update(contact=time.time() - 1000)
        assert "for 17 minutes" in probe.alive()
        page.update(problem="still trying")
        assert probe.alive() == ""
        secret.write_bytes(b"another")
        assert "does not answer" in probe.alive()
    assert not probe.ready()
    assert said == ["nobody there", "in contact with s:1", "still trying"]


def test_programs_of_each_half(site: Site) -> None:
    folder = SiteFolder(site.folder)
    both = programs_of(site, folder, print, halves=list(Half), testing_seed=3)
    assert [each.name for each in both] == ["supernode", "agent"]
    assert both[1].command[-2:] == ["--testing-seed", "3"]
    (agent,) = programs_of(site, folder, print, halves=[Half.AGENT])
    assert "--testing-seed" not in agent.command
    assert agent.environment["FLWR_TELEMETRY_ENABLED"] == "0"


def test_what_cannot_work_is_not_started(site: Site) -> None:
    folder = SiteFolder(site.folder)
    check_startable(site, folder, None)
    folder.signing_key.unlink()
    check_startable(site, folder, Half.SUPERNODE)
    with pytest.raises(MachineError, match="key of the site is missing"):
        check_startable(site, folder, None)
    with site.file.open("a") as file:
        file.write('[connection.second]\nserver = "other:443"\n')
    with pytest.raises(StudyError, match="same runtime address"):
        check_startable(load_site(site.folder), folder, Half.SUPERNODE)


@pytest.mark.parametrize("half", list(Half))
def test_a_second_start_is_refused(site: Site, half: Half) -> None:
    said: list[str] = []
    with locked(lock_of(SiteFolder(site.folder), half)), pytest.raises(RunError, match="already"):
        start_site(site.folder, said.append, only=None, testing_seed=None)
    assert not [line for line in said if "process" in line]


def test_the_unit_names_the_site(site: Site) -> None:
    text = unit_text(site, "agent")
    assert f'site start "{site.folder}" --only agent' in text
    assert "SuccessExitStatus" in text or "KillMode=mixed" in text


def test_a_part_whose_answer_was_lost_is_not_refused_when_it_comes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The coordinator has it already, and says "not stored"; the other parts would never be sent."""
    import httpx
    from flwr.proto.message_pb2 import PushObjectRequest, PushObjectResponse
    from flwr.supernode.fleet_http_client import FleetHttpClient

    answers: list[Any] = [httpx.ReadError("cut"), PushObjectResponse(), PushObjectResponse()]

    def call(*_: Any, **__: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(FleetHttpClient, "_unary_unary", call)
    contacts = ContactLog("server", lambda text: None)
    with watched_client(contacts, tmp_path / "node")("https://127.0.0.1:1") as client:

        def push() -> Any:
            request = PushObjectRequest(session_id="s", object_id="o")
            return client._unary_unary(path="/v1/fleet/push-object", request=request)

        with pytest.raises(httpx.ConnectError):
            push()
        assert push().stored
        assert not push().stored
