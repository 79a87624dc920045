"""The relay for hospitals whose SuperNode may not call the internet itself."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")


def test_it_opens_nothing_and_passes_to_one_coordinator(deploy: Path) -> None:
    text = (deploy / "nginx" / "site-relay.conf").read_text()
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    assert "ssl_certificate" not in code, "TLS ends at the coordinator"
    assert re.search(r'default\s+"";', code)
    assert "ssl_preread on;" in code
    assert code.index("allow") < code.index("deny all;")


@pytest.mark.skipif(
    shutil.which("nginx") is None or not MODULE.exists(),
    reason="nginx or its stream module (libnginx-mod-stream) is not installed",
)
def test_nginx_accepts_it(deploy: Path, tmp_path: Path, run: Callable[..., Any]) -> None:
    text = (deploy / "nginx" / "site-relay.conf").read_text()
    copy = tmp_path / "relay.conf"
    copy.write_text(
        text.replace("/run/", f"{tmp_path}/").replace("/var/log/nginx/", f"{tmp_path}/")
    )
    ended = run("nginx", "-t", "-c", copy)
    assert ended.returncode == 0, ended.stderr
