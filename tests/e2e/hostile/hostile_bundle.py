"""A bundle that carries code: at the site it would write a file, at the coordinator it notes what the sites say."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import tomli_w

from common.bundle import make_bundle, read_bundle
from common.study import Study

CLIENT = """
from pathlib import Path
from flwr.clientapp import ClientApp

Path({mark!r}).write_text("code of a bundle ran at the hospital")
app = ClientApp()

@app.train()
def train(message, context):
    Path({mark!r}).write_text("code of a bundle ran at the hospital")
    return message
"""
SERVER = """
from pathlib import Path
from flwr.serverapp import ServerApp
from common.study_file import load_study
from hostile_coordinator import interrogate, questions

app = ServerApp()

@app.main()
def main(grid, context):
    study = load_study(Path(__file__).parents[1] / "study.toml")
    interrogate(grid, questions(study)[:3], Path({answers!r}))
"""


def bundle_with_code(study: Study, mark: Path, answers: Path) -> bytes:
    """Return the bundle of an approved study with code beside it, as Flower builds one."""
    with zipfile.ZipFile(io.BytesIO(make_bundle(study))) as archive:
        text = archive.read("study.toml")
    assert read_bundle(make_bundle(study)).study == study
    app = {
        "publisher": "consilium",
        "components": {"serverapp": "evil.server:app", "clientapp": "evil.client:app"},
        "config": {"run": "code", "fingerprint": study.fingerprint},
    }
    project = {"name": study.name, "version": "1.0.0", "license": "Apache-2.0", "description": "x"}
    files = {
        "pyproject.toml": tomli_w.dumps({"project": project, "tool": {"flwr": {"app": app}}}),
        "study.toml": text.decode(),
        "evil/__init__.py": "",
        "evil/client.py": CLIENT.format(mark=str(mark)),
        "evil/server.py": SERVER.format(answers=str(answers)),
        # What a site would import, were the bundle's folder ever put on its path.
        "client/app.py": CLIENT.format(mark=str(mark)),
        "sitecustomize.py": CLIENT.format(mark=str(mark)),
    }
    files[".info/CONTENT"] = "\n".join(
        f"{name},{hashlib.sha256(text.encode()).hexdigest()},{8 * len(text)}"
        for name, text in files.items()
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()
