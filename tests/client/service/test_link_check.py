"""The probe of a site's half that has no agent: contact counts, not a process."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from client.service import link_check
from client.service.link import LINK_HEADER, LINK_PATH, link_key

SECRET = b"what both halves share"


class Page:
    """A SuperNode's link page, as far as the probe looks at it."""

    def __init__(self) -> None:
        self.content: Any = {"contact": time.time(), "server": "server:443", "problem": ""}
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                allowed = self.headers[LINK_HEADER] == link_key(SECRET) and self.path == LINK_PATH
                self.send_response(200 if allowed else 401)
                self.end_headers()
                self.wfile.write(json.dumps(page.content).encode())

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def page() -> Iterator[Page]:
    made = Page()
    yield made
    made.close()


@pytest.fixture
def site(tmp_path: Path, page: Page) -> Path:
    """The folder of a half site, whose runtime API the agent knows by another name."""
    (tmp_path / ".consilium").mkdir()
    (tmp_path / ".consilium" / "superexec.secret").write_bytes(SECRET)
    (tmp_path / "site.toml").write_text(
        '[site]\nname = "north"\n[data]\nkind = "arrays"\npath = "x.npz"\ndeclared_patients = 20\n'
        f'[connection]\nserver = "server:443"\nruntime = "dmz-host:{page.port}"\n'
    )
    return tmp_path


def check(site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.setattr(sys, "argv", ["link_check", str(site)])
    code = link_check.main()
    return code, capsys.readouterr().out.strip()


def test_contact(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(site, monkeypatch, capsys) == (0, "default: in contact")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"contact": 0, "problem": "the name is not known"}, "the name is not known"),
        ({"contact": 1000.0, "problem": ""}, "it has not reached server:443 for a while"),
        ({"contact": "yes"}, "its runtime API does not answer (ValueError)"),
        ([], "its runtime API does not answer (TypeError)"),
    ],
)
def test_no_contact(
    site: Path,
    page: Page,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: Any,
    said: str,
) -> None:
    page.content = content
    assert check(site, monkeypatch, capsys) == (1, f"default: {said}")


def test_another_secret_and_no_service(
    site: Path, page: Page, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (site / ".consilium" / "superexec.secret").write_bytes(b"another")
    assert check(site, monkeypatch, capsys)[0] == 1
    (site / ".consilium" / "superexec.secret").unlink()
    assert check(site, monkeypatch, capsys)[0] == 1
    (site / ".consilium" / "superexec.secret").write_bytes(SECRET)
    text = (site / "site.toml").read_text().replace(str(page.port), "1")
    (site / "site.toml").write_text(text)
    assert "ConnectionRefusedError" in check(site, monkeypatch, capsys)[1]
