"""The bundle that a coordinator submits to Flower: a pyproject.toml and the study file, never code.

Flower calls it FAB: a zip archive with a list of its files. The same study gives the same bytes, so that hospitals can
approve a bundle by its sha256. A bundle from elsewhere is read in memory and within bounds; nothing of it is unpacked,
imported or executed.
"""

from __future__ import annotations

import hashlib
import io
import tomllib
import zipfile
import zlib
from dataclasses import dataclass

import tomli_w

from common.errors import ConsiliumError, PolicyError
from common.study import Study
from common.study_file import dump_study, parse_study

PYPROJECT, STUDY, CONTENT = "pyproject.toml", "study.toml", ".info/CONTENT"
LARGEST = 1 << 20
"""Bytes of a bundle, packed and unpacked: a study is text."""

_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Bundle:
    """A bundle that holds a study and nothing else.

    Attributes:
        sha256: of its bytes, in hex; what Flower calls the FAB's hash.
        study: the study inside.
    """

    sha256: str
    study: Study


def make_bundle(study: Study) -> bytes:
    """Return the bundle of a study; the same study always gives the same bytes."""
    files = {
        PYPROJECT: tomli_w.dumps(_pyproject(study)).encode(),
        STUDY: dump_study(study).encode(),
    }
    listed = [
        f"{name},{hashlib.sha256(text).hexdigest()},{8 * len(text)}" for name, text in files.items()
    ]
    files[CONTENT] = "\n".join(listed).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), text)
    return buffer.getvalue()


def read_bundle(content: bytes) -> Bundle:
    """Read a bundle that somebody else made.

    Raises:
        PolicyError: it holds anything but a study and Flower's own description, or is damaged or too large.
    """
    files = _files(content)
    extra = sorted(set(files) - {PYPROJECT, STUDY, CONTENT})
    if extra:
        raise PolicyError(
            f"The bundle holds {len(extra)} files besides its study; a study carries no code.",
            where=f"bundle {hashlib.sha256(content).hexdigest()[:16]}…",
            fix="Have the coordinator submit the study with 'consilium server submit'.",
        )
    if STUDY not in files:
        raise PolicyError("The bundle holds no study file.", where=STUDY)
    try:
        study = parse_study(tomllib.loads(files[STUDY].decode()), where=f"{STUDY} of the bundle")
    except (ConsiliumError, ValueError, RecursionError) as error:
        what = error.what if isinstance(error, ConsiliumError) else "it is not valid TOML."
        raise PolicyError(f"The bundle's study cannot be read: {what}", where=STUDY) from None
    return Bundle(hashlib.sha256(content).hexdigest(), study)


def _files(content: bytes) -> dict[str, bytes]:
    damaged = PolicyError("The bundle is damaged, or larger than a study can be.")
    if len(content) > LARGEST:
        raise damaged
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            names = [member.filename for member in members]
            if sum(m.file_size for m in members) > LARGEST or len(set(names)) != len(names):
                raise damaged
            return {member.filename: _read(archive, member) for member in members}
    except (
        zipfile.BadZipFile,
        zlib.error,
        OSError,
        ValueError,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ):
        raise damaged from None


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    with archive.open(member) as file:
        return file.read(LARGEST)


def _pyproject(study: Study) -> dict[str, object]:
    components = {"serverapp": "server.app:app", "clientapp": "client.app:app"}
    app = {
        "publisher": "consilium",
        "fab-include": [STUDY],
        "components": components,
        "config": {"run": "", "fingerprint": study.fingerprint},
    }
    project = {
        "name": study.name,
        "version": "1.0.0",
        "description": "A study of Consilium; it carries no code.",
        "license": "Apache-2.0",
    }
    return {"project": project, "tool": {"flwr": {"app": app}}}
