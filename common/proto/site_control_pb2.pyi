from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: SiteStatus
    def __init__(self, status: _Optional[_Union[SiteStatus, _Mapping]] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("after", "seconds")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    after: int
    seconds: float
    def __init__(self, after: _Optional[int] = ..., seconds: _Optional[float] = ...) -> None: ...

class WatchReply(_message.Message):
    __slots__ = ("status", "event")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    status: SiteStatus
    event: Event
    def __init__(self, status: _Optional[_Union[SiteStatus, _Mapping]] = ..., event: _Optional[_Union[Event, _Mapping]] = ...) -> None: ...

class PauseRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PauseReply(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: SiteStatus
    def __init__(self, status: _Optional[_Union[SiteStatus, _Mapping]] = ...) -> None: ...

class ResumeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ResumeReply(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: SiteStatus
    def __init__(self, status: _Optional[_Union[SiteStatus, _Mapping]] = ...) -> None: ...

class StudiesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StudiesReply(_message.Message):
    __slots__ = ("studies",)
    STUDIES_FIELD_NUMBER: _ClassVar[int]
    studies: _containers.RepeatedCompositeFieldContainer[StudyEntry]
    def __init__(self, studies: _Optional[_Iterable[_Union[StudyEntry, _Mapping]]] = ...) -> None: ...

class ApproveRequest(_message.Message):
    __slots__ = ("bundle", "by")
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    bundle: str
    by: str
    def __init__(self, bundle: _Optional[str] = ..., by: _Optional[str] = ...) -> None: ...

class ApproveReply(_message.Message):
    __slots__ = ("study",)
    STUDY_FIELD_NUMBER: _ClassVar[int]
    study: StudyEntry
    def __init__(self, study: _Optional[_Union[StudyEntry, _Mapping]] = ...) -> None: ...

class RevokeRequest(_message.Message):
    __slots__ = ("bundle", "by")
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    bundle: str
    by: str
    def __init__(self, bundle: _Optional[str] = ..., by: _Optional[str] = ...) -> None: ...

class RevokeReply(_message.Message):
    __slots__ = ("study",)
    STUDY_FIELD_NUMBER: _ClassVar[int]
    study: StudyEntry
    def __init__(self, study: _Optional[_Union[StudyEntry, _Mapping]] = ...) -> None: ...

class BudgetRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BudgetReply(_message.Message):
    __slots__ = ("lines",)
    LINES_FIELD_NUMBER: _ClassVar[int]
    lines: _containers.RepeatedCompositeFieldContainer[BudgetLine]
    def __init__(self, lines: _Optional[_Iterable[_Union[BudgetLine, _Mapping]]] = ...) -> None: ...

class EgressRequest(_message.Message):
    __slots__ = ("after", "limit")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    after: int
    limit: int
    def __init__(self, after: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class EgressReply(_message.Message):
    __slots__ = ("entries", "total", "head")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[EgressEntry]
    total: int
    head: str
    def __init__(self, entries: _Optional[_Iterable[_Union[EgressEntry, _Mapping]]] = ..., total: _Optional[int] = ..., head: _Optional[str] = ...) -> None: ...

class SiteStatus(_message.Message):
    __slots__ = ("site", "at", "started", "paused", "stopping", "work", "links", "problem", "answered", "refused", "bytes_sent", "health")
    SITE_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    STOPPING_FIELD_NUMBER: _ClassVar[int]
    WORK_FIELD_NUMBER: _ClassVar[int]
    LINKS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    BYTES_SENT_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    site: str
    at: float
    started: float
    paused: bool
    stopping: bool
    work: _containers.RepeatedCompositeFieldContainer[Work]
    links: _containers.RepeatedCompositeFieldContainer[Link]
    problem: str
    answered: int
    refused: int
    bytes_sent: int
    health: Health
    def __init__(self, site: _Optional[str] = ..., at: _Optional[float] = ..., started: _Optional[float] = ..., paused: bool = ..., stopping: bool = ..., work: _Optional[_Iterable[_Union[Work, _Mapping]]] = ..., links: _Optional[_Iterable[_Union[Link, _Mapping]]] = ..., problem: _Optional[str] = ..., answered: _Optional[int] = ..., refused: _Optional[int] = ..., bytes_sent: _Optional[int] = ..., health: _Optional[_Union[Health, _Mapping]] = ...) -> None: ...

class Work(_message.Message):
    __slots__ = ("connection", "study", "fingerprint", "round", "doing", "step", "steps", "began", "moved")
    CONNECTION_FIELD_NUMBER: _ClassVar[int]
    STUDY_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    DOING_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    BEGAN_FIELD_NUMBER: _ClassVar[int]
    MOVED_FIELD_NUMBER: _ClassVar[int]
    connection: str
    study: str
    fingerprint: str
    round: int
    doing: str
    step: int
    steps: int
    began: float
    moved: float
    def __init__(self, connection: _Optional[str] = ..., study: _Optional[str] = ..., fingerprint: _Optional[str] = ..., round: _Optional[int] = ..., doing: _Optional[str] = ..., step: _Optional[int] = ..., steps: _Optional[int] = ..., began: _Optional[float] = ..., moved: _Optional[float] = ...) -> None: ...

class Link(_message.Message):
    __slots__ = ("connection", "server", "polled", "contact", "node", "problem")
    CONNECTION_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    POLLED_FIELD_NUMBER: _ClassVar[int]
    CONTACT_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    connection: str
    server: str
    polled: float
    contact: float
    node: int
    problem: str
    def __init__(self, connection: _Optional[str] = ..., server: _Optional[str] = ..., polled: _Optional[float] = ..., contact: _Optional[float] = ..., node: _Optional[int] = ..., problem: _Optional[str] = ...) -> None: ...

class Health(_message.Message):
    __slots__ = ("live", "ready", "progress", "reasons", "notes")
    LIVE_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    live: bool
    ready: bool
    progress: bool
    reasons: _containers.RepeatedCompositeFieldContainer[Reason]
    notes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, live: bool = ..., ready: bool = ..., progress: bool = ..., reasons: _Optional[_Iterable[_Union[Reason, _Mapping]]] = ..., notes: _Optional[_Iterable[str]] = ...) -> None: ...

class Reason(_message.Message):
    __slots__ = ("check", "problem", "fix", "probes")
    CHECK_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    FIX_FIELD_NUMBER: _ClassVar[int]
    PROBES_FIELD_NUMBER: _ClassVar[int]
    check: str
    problem: str
    fix: str
    probes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, check: _Optional[str] = ..., problem: _Optional[str] = ..., fix: _Optional[str] = ..., probes: _Optional[_Iterable[str]] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("number", "at", "kind", "connection", "study", "text")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_FIELD_NUMBER: _ClassVar[int]
    STUDY_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    number: int
    at: float
    kind: str
    connection: str
    study: str
    text: str
    def __init__(self, number: _Optional[int] = ..., at: _Optional[float] = ..., kind: _Optional[str] = ..., connection: _Optional[str] = ..., study: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class StudyEntry(_message.Message):
    __slots__ = ("bundle", "study", "fingerprint", "connection", "first_seen", "standing", "changed_from", "by", "at")
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    STUDY_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEEN_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FROM_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    bundle: str
    study: str
    fingerprint: str
    connection: str
    first_seen: float
    standing: str
    changed_from: _containers.RepeatedScalarFieldContainer[str]
    by: str
    at: str
    def __init__(self, bundle: _Optional[str] = ..., study: _Optional[str] = ..., fingerprint: _Optional[str] = ..., connection: _Optional[str] = ..., first_seen: _Optional[float] = ..., standing: _Optional[str] = ..., changed_from: _Optional[_Iterable[str]] = ..., by: _Optional[str] = ..., at: _Optional[str] = ...) -> None: ...

class BudgetLine(_message.Message):
    __slots__ = ("population", "epsilon", "limit", "delta", "left", "studies")
    POPULATION_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    STUDIES_FIELD_NUMBER: _ClassVar[int]
    population: str
    epsilon: float
    limit: float
    delta: float
    left: float
    studies: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, population: _Optional[str] = ..., epsilon: _Optional[float] = ..., limit: _Optional[float] = ..., delta: _Optional[float] = ..., left: _Optional[float] = ..., studies: _Optional[_Iterable[str]] = ...) -> None: ...

class EgressEntry(_message.Message):
    __slots__ = ("number", "at", "kind", "study", "fingerprint", "round", "resent", "sha256", "bytes", "parts", "reason")
    class PartsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STUDY_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    RESENT_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    number: int
    at: str
    kind: str
    study: str
    fingerprint: str
    round: int
    resent: bool
    sha256: str
    bytes: int
    parts: _containers.ScalarMap[str, int]
    reason: str
    def __init__(self, number: _Optional[int] = ..., at: _Optional[str] = ..., kind: _Optional[str] = ..., study: _Optional[str] = ..., fingerprint: _Optional[str] = ..., round: _Optional[int] = ..., resent: bool = ..., sha256: _Optional[str] = ..., bytes: _Optional[int] = ..., parts: _Optional[_Mapping[str, int]] = ..., reason: _Optional[str] = ...) -> None: ...
