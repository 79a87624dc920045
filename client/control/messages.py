"""The service's own values as the control plane's messages, and messages as plain values for JSON."""

from __future__ import annotations

import time
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from client.control.health import Health, Probe
from client.control.running import BudgetLine, StudyRecord
from client.guard.entries import Entry
from client.service.state import Event, Link, Snapshot, Work
from common.jsonable import jsonable
from common.proto import site_control_pb2 as pb


def status_message(now: Snapshot, health: Health) -> pb.SiteStatus:
    """Return the status of a site."""
    return pb.SiteStatus(
        site=now.site,
        at=time.time(),
        started=now.started,
        paused=now.paused,
        stopping=now.stopping,
        work=[_work(now.work[name]) for name in sorted(now.work)],
        links=[_link(now.links[name]) for name in sorted(now.links)],
        problem=now.problem,
        answered=now.answered,
        refused=now.refused,
        bytes_sent=now.bytes_sent,
        health=health_message(health),
    )


def health_message(health: Health) -> pb.Health:
    """Return what passes and why the rest does not."""
    return pb.Health(
        live=health.passes(Probe.LIVE),
        ready=health.passes(Probe.READY),
        progress=health.passes(Probe.PROGRESS),
        reasons=[
            pb.Reason(
                check=reason.check,
                problem=reason.problem,
                fix=reason.fix,
                probes=[str(probe) for probe in Probe if probe in reason.probes],
            )
            for reason in health.reasons
        ],
        notes=health.notes,
    )


def event_message(event: Event) -> pb.Event:
    """Return one event."""
    return pb.Event(
        number=event.number,
        at=event.at,
        kind=event.kind,
        connection=event.connection,
        study=event.study,
        text=event.text,
    )


def study_message(record: StudyRecord) -> pb.StudyEntry:
    """Return a study and what was decided about it."""
    return pb.StudyEntry(
        bundle=record.bundle,
        study=record.study.name,
        fingerprint=record.study.fingerprint,
        connection=record.connection,
        first_seen=record.first_seen,
        standing=record.standing,
        changed_from=record.changed_from,
        by=record.by,
        at=record.at,
    )


def budget_message(line: BudgetLine) -> pb.BudgetLine:
    """Return what one population has spent."""
    return pb.BudgetLine(
        population=line.population,
        epsilon=line.spent,
        limit=line.limit,
        delta=line.delta,
        left=line.left,
        studies=line.studies,
    )


def egress_message(entry: Entry) -> pb.EgressEntry:
    """Return an entry of the egress log; what an entry of another kind lacks stays empty."""
    body = entry.body
    parts = body.get("parts")
    return pb.EgressEntry(
        number=entry.seq,
        at=entry.at,
        kind=entry.kind,
        study=str(body.get("study", "")),
        fingerprint=str(body.get("fingerprint", "")),
        round=int(body.get("round") or 0),
        resent=bool(body.get("resent")),
        sha256=str(body.get("sha256") or ""),
        bytes=int(body.get("bytes") or 0),
        parts={str(name): int(size) for name, size in (parts or {}).items()},
        reason=str(body.get("reason") or ""),
    )


def plain(message: Message) -> dict[str, Any]:
    """Return a message as JSON values with the names of site_control.proto; whole numbers stay numbers."""
    fields = message.DESCRIPTOR.fields
    content = {field.name: _value(message, field) for field in fields if _present(message, field)}
    return dict(jsonable(content))


def _present(message: Message, field: FieldDescriptor) -> bool:
    """Of a choice only what was chosen; everything else always."""
    return field.containing_oneof is None or message.HasField(field.name)


def _value(message: Message, field: FieldDescriptor) -> Any:
    value = getattr(message, field.name)
    entry = field.message_type
    if entry is None:
        return list(value) if field.is_repeated else value
    if entry.GetOptions().map_entry:
        return dict(value)
    return [plain(each) for each in value] if field.is_repeated else plain(value)


def _work(work: Work) -> pb.Work:
    return pb.Work(
        connection=work.connection,
        study=work.study,
        fingerprint=work.fingerprint,
        round=work.round,
        doing=str(work.doing),
        step=work.step,
        steps=work.steps,
        began=work.began,
        moved=work.moved,
    )


def _link(link: Link) -> pb.Link:
    return pb.Link(
        connection=link.connection,
        server=link.server,
        polled=link.polled,
        contact=link.contact,
        node=link.node % (1 << 64),
        problem=link.problem,
    )
