"""What a DICOMweb server may do wrong, with a small one of the test's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from client.data.pacs.archive import Archive
from client.data.pacs.config import WebServer
from client.data.pacs.credentials import Credentials
from client.data.pacs.server import Lost, Series
from client.data.pacs.throttle import Throttle
from client.data.pacs.web import PAGE, WebPacs
from client.guard.pseudonyms import Pseudonyms
from common.errors import MachineError, StudyError

Answer = tuple[int, str, bytes]
JSON = "application/dicom+json"


class Handler(BaseHTTPRequestHandler):
    """Answers as the test says, and notes what it was asked."""

    server: Any

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        status, kind, body = self.server.answer(self.path)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Any]:
    """A server; its `answer` is set by the test."""
    made: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.asked = []
    thread = Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture
def connect(server: Any, tmp_path: Path) -> Iterator[Callable[..., WebPacs]]:
    """The function that connects to it."""
    opened: list[WebPacs] = []

    def make(answer: Callable[[str], Answer], credentials: Credentials | None = None) -> WebPacs:
        server.answer = answer
        settings = WebServer(
            protocol="dicomweb", url=f"http://127.0.0.1:{server.server_port}/web", timeout_seconds=5
        )
        archive = Archive(tmp_path / "archive", Pseudonyms(b"1" * 32))
        opened.append(WebPacs(settings, credentials, archive, Throttle(None)))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def found(uid: str, patient: str = "p", **words: str) -> dict[str, Any]:
    values = {"0020000D": uid, "0020000E": uid, "00080018": uid, "00100020": patient, **words}
    return {tag: {"vr": "LO", "Value": [value]} for tag, value in values.items()}


def listing(*items: dict[str, Any]) -> Callable[[str], Answer]:
    return lambda path: (200, JSON, json.dumps(items).encode())


def test_another_patients_studies_are_left(connect: Callable[..., WebPacs]) -> None:
    pacs = connect(listing(found("1.1", "7"), found("1.2", "70"), found("1.3", " 7 ")))
    assert list(pacs.studies({"PatientID": "7"})) == ["1.1", "1.3"]
    assert list(pacs.studies({})) == ["1.1", "1.2", "1.3"]


def test_a_server_that_does_not_page_ends(connect: Callable[..., WebPacs], server: Any) -> None:
    many = [found(f"1.{number}") for number in range(PAGE + 5)]
    pacs = connect(listing(*many))
    assert len(pacs.instances(Series("1", "1"))) == PAGE + 5
    assert len(server.asked) == 2


def test_pages(connect: Callable[..., WebPacs]) -> None:
    def page(path: str) -> Answer:
        first = int(path.partition("offset=")[2].partition("&")[0])
        items = [found(f"1.{number}") for number in range(first, min(first + PAGE, 450))]
        return 200, JSON, json.dumps(items).encode()

    assert len(connect(page).instances(Series("1", "1"))) == 450


def test_patterns_are_matched_here(connect: Callable[..., WebPacs], server: Any) -> None:
    named = [found(str(i), **{"0008103E": name}) for i, name in enumerate(["CHEST 1", "HEAD", ""])]
    pacs = connect(listing(*named))
    keys = {"SeriesDescription": "chest*", "Modality": "CT"}
    assert [each.uid for each in pacs.series("1", keys)] == ["0"]
    assert "Modality=CT" in server.asked[0][0]
    assert "chest" not in server.asked[0][0]


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ((401, JSON, b""), StudyError, "refuses these credentials"),
        ((403, JSON, b""), StudyError, "refuses these credentials"),
        ((404, JSON, b""), MachineError, "HTTP 404"),
        ((503, JSON, b""), Lost, "HTTP 503"),
        ((200, "text/html", b"<html>welcome</html>"), StudyError, "not as DICOMweb"),
    ],
)
def test_wrong_answers(
    answer: Answer, error: type[Exception], words: str, connect: Callable[..., WebPacs]
) -> None:
    with pytest.raises(error, match=words) as raised:
        list(connect(lambda path: answer).studies({"PatientID": "ZQX-7"}))
    assert "ZQX" not in str(raised.value)


def test_what_proves_who_asks(connect: Callable[..., WebPacs], server: Any) -> None:
    list(connect(listing(), Credentials(token="abc")).studies({}))
    list(connect(listing(), Credentials("änne", "wörd")).studies({}))
    sent = [headers["Authorization"] for _, headers in server.asked]
    assert sent == ["Bearer abc", "Basic w6RubmU6d8O2cmQ="]
    assert server.asked[0][1]["Host"] == f"127.0.0.1:{server.server_port}"


def test_credentials_do_not_cross_a_network_unencrypted(tmp_path: Path) -> None:
    plain = {"protocol": "dicomweb", "url": "http://pacs.example/web"}
    archive = Archive(tmp_path, Pseudonyms(b"1" * 32))
    with pytest.raises(StudyError, match="unencrypted"):
        WebPacs(WebServer.model_validate(plain), Credentials("a", "b"), archive, Throttle(None))
    allowed = WebServer.model_validate({**plain, "plain_http": True})
    WebPacs(allowed, Credentials("a", "b"), archive, Throttle(None)).close()


@pytest.mark.parametrize("status", [404, 406])
def test_an_image_that_is_listed_and_not_given(
    status: int, connect: Callable[..., WebPacs], tmp_path: Path
) -> None:
    pacs = connect(lambda path: (status, "text/plain", b"no"))
    pacs.retrieve(Series("1", "2"), ["3", "4"], True)
    assert list((tmp_path / "archive").iterdir()) == []
