"""The replies of the round in hand, checked and kept as they arrive.

In a deployment each is written to RUN/incoming/round-NNNN before it counts: a coordinator that is stopped in the middle
of a round has what came until then. A reply belongs to one request, the round's incoming weights included, and is
read back only for the same. Where nothing would be lost by asking again, a simulation with a small model keeps them in
memory.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from common.files import explain_os_error, write_atomically
from common.tasks.base import Floats
from common.weights import Layout, Vector, digest
from common.wire import Answer

IN_MEMORY = 256 << 20
"""Bytes of a round's replies that a simulation holds in memory; more go to the run's folder."""


def request_key(fingerprint: str, round_: int, *, train: bool, evaluate: bool, weights: str) -> str:
    """Name a request: the same request, the same answers.

    Args:
        fingerprint: of the study.
        round_: the round.
        train, evaluate: what is asked.
        weights: digest of the weights that are sent.
    """
    asked = f"{fingerprint}|{round_}|{train}|{evaluate}|{weights}"
    return hashlib.sha256(asked.encode()).hexdigest()


@dataclass
class Incoming:
    """What came in one round.

    Attributes:
        folder: of the round, or None to keep everything in memory.
        durable: whether a later process is to read back what this one kept.
        key: of the request that was sent.
        layout: of the packed weights.
        answers: by site, without the weights.
        sizes: bytes of patient-dependent content, by site.
    """

    folder: Path | None
    durable: bool
    key: str
    layout: Layout
    answers: dict[str, Answer] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    _vectors: dict[str, Vector] = field(default_factory=dict)

    def open(self, sites: Collection[str]) -> None:
        """Read back the sound replies of these sites to the same request, and drop everything else that lies here.

        Raises:
            MachineError: the folder cannot be read or cleared.
        """
        if self.folder is None:
            return
        try:
            for other in self.folder.parent.glob("round-*"):
                if other != self.folder or not self.durable:
                    shutil.rmtree(other)
            for file in sorted(self.folder.glob("*.json")):
                self._read(file, sites)
        except OSError as error:
            raise explain_os_error(error, self.folder) from error

    def put(self, answer: Answer) -> None:
        """Keep a checked reply; it is on the disk when this returns, where it is to be.

        Raises:
            MachineError: it cannot be written.
        """
        weights = answer.weights
        if weights is not None and self.folder is not None:
            path = self._vector_path(answer.site)
            content = weights.astype("<f4", copy=False).tobytes()
            write_atomically(path, content, durable=self.durable)
            self._vectors[answer.site] = self._mapped(path)
        elif weights is not None:
            self._vectors[answer.site] = weights
        if self.folder is not None and self.durable:
            about = json.dumps(_to_json(answer, self.key))
            write_atomically(self.folder / f"{answer.site}.json", about, durable=True)
        self.sizes[answer.site] = answer.size
        self.answers[answer.site] = replace(answer, weights=None)

    def vector(self, site: str) -> Vector:
        """Return the weights that a site sent; memory-mapped where they are on the disk."""
        return self._vectors[site]

    def clear(self) -> None:
        """Drop everything: the round is in a checkpoint."""
        self._vectors.clear()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self, file: Path, sites: Collection[str]) -> None:
        """Take one reply back, or remove what is no reply to this request."""
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            answer = _from_json(content)
            if content["request"] != self.key or answer.site != file.stem:
                raise ValueError("another request's")
            if answer.site not in sites:
                raise ValueError("no site of this run")
            if content["weights"] is not None:
                vector = self._mapped(self._vector_path(answer.site))
                if digest(vector) != content["weights"]:
                    raise ValueError("damaged")
                self._vectors[answer.site] = vector
            self.sizes[answer.site] = int(content["bytes_sent"])
            self.answers[answer.site] = answer
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            file.unlink()

    def _mapped(self, path: Path) -> Vector:
        if path.stat().st_size != 4 * self.layout.size:
            raise ValueError("the file was cut short")
        if not self.layout.size:
            return np.zeros(0, np.float32)
        return np.memmap(path, dtype=np.float32, mode="r")

    def _vector_path(self, site: str) -> Path:
        folder = self.folder or Path()
        return folder / f"{site}.f32"


def _to_json(answer: Answer, key: str) -> dict[str, object]:
    tally = None if answer.tally is None else answer.tally.astype("<f8").tobytes()
    return {
        "request": key,
        "site": answer.site,
        "declared_patients": answer.declared_patients,
        "ledger_head": answer.ledger_head,
        "bytes_sent": answer.size,
        "weights": None if answer.weights is None else digest(answer.weights),
        "tally": None if tally is None else base64.b64encode(tally).decode(),
        "wire": answer.wire,
    }


def _from_json(content: dict[str, object]) -> Answer:
    tally = content["tally"]
    return Answer(
        str(content["site"]),
        int(str(content["declared_patients"])),
        str(content["ledger_head"]),
        None,
        None if tally is None else _floats(str(tally)),
        str(content["wire"]),
    )


def _floats(text: str) -> Floats:
    return np.frombuffer(base64.b64decode(text), dtype="<f8")
