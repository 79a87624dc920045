"""How an error that a person can mend travels through gRPC: whole, so that the command line shows the same words."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from common.errors import (
    BudgetError,
    ConsiliumError,
    DataError,
    MachineError,
    PolicyError,
    RunError,
    StudyError,
    TamperedError,
)

KEY = "consilium-error-bin"
_KINDS: tuple[type[ConsiliumError], ...] = (
    StudyError,
    BudgetError,
    TamperedError,
    DataError,
    PolicyError,
    RunError,
    MachineError,
)

log = logging.getLogger(__name__)


@contextmanager
def told(context: grpc.ServicerContext) -> Iterator[None]:
    """End a call with the error that a person can mend, or with a fixed sentence for any other.

    Only the hospital's own people get to hear it.
    """
    try:
        yield
    except ConsiliumError as error:
        said = {"what": error.what, "where": error.where, "fix": error.fix}
        said_with_code = json.dumps({**said, "code": error.exit_code})
        context.set_trailing_metadata(((KEY, said_with_code.encode()),))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, error.what)
    except Exception:
        log.exception("a call to the control plane failed")
        context.abort(grpc.StatusCode.INTERNAL, "The service met an error that it did not expect.")


def heard(error: grpc.RpcError) -> ConsiliumError | None:
    """Return the error that the service told, if it told one."""
    for key, value in getattr(error, "trailing_metadata", tuple)() or ():
        if key == KEY:
            return _rebuilt(value)
    return None


def _rebuilt(value: bytes) -> ConsiliumError | None:
    try:
        said = json.loads(value)
        kinds = {kind.exit_code: kind for kind in _KINDS}
        kind = kinds.get(said["code"], ConsiliumError)
        return kind(str(said["what"]), where=str(said["where"]), fix=str(said["fix"]))
    except (ValueError, KeyError, TypeError):
        return None
