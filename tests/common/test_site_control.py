"""The generated modules are those of site_control.proto: what the file says is what the modules hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from common.proto import site_control_pb2, site_control_pb2_grpc

FOLDER = Path(site_control_pb2.__file__).parent
TEXT = re.sub(r"//[^\n]*", "", (FOLDER / "site_control.proto").read_text())
NAMES = {
    getattr(FieldDescriptor, name): name.removeprefix("TYPE_").lower()
    for name in dir(FieldDescriptor)
    if name.startswith("TYPE_")
}


def written() -> dict[str, list[str]]:
    """The fields that the file declares, by message."""
    found: dict[str, list[str]] = {}
    message = ""
    for line in TEXT.splitlines():
        if start := re.match(r"message (\w+) \{", line):
            message = start[1]
            found[message] = []
        elif field := re.match(r"\s+(.+\S) (\w+) = (\d+);", line):
            found[message].append(f"{field[1]} {field[2]} = {field[3]}")
    return found


def generated(message: Descriptor) -> list[str]:
    """The same, from a generated module."""
    return [f"{kind(field)} {field.name} = {field.number}" for field in message.fields]


def kind(field: FieldDescriptor) -> str:
    """The type of a field as the file writes it."""
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        key, value = (entry.fields_by_name[name] for name in ("key", "value"))
        return f"map<{kind(key)}, {kind(value)}>"
    name = entry.name if entry is not None else NAMES[field.type]
    return f"repeated {name}" if field.is_repeated else name


def test_every_message_and_field_is_as_written() -> None:
    messages = site_control_pb2.DESCRIPTOR.message_types_by_name
    assert {name: generated(each) for name, each in messages.items()} == written()


def test_every_call_is_as_written() -> None:
    (service,) = site_control_pb2.DESCRIPTOR.services_by_name.values()
    assert isinstance(service, ServiceDescriptor)
    calls = re.findall(r"rpc (\w+)\((\w+)\) returns \((stream )?(\w+)\)", TEXT)
    assert [
        (call.name, call.input_type.name, "stream " * call.server_streaming, call.output_type.name)
        for call in service.methods
    ] == calls
    assert service.full_name == "consilium.v1.SiteControl"
    assert all(hasattr(site_control_pb2_grpc.SiteControlServicer, name) for name, *_ in calls)


def test_the_choice_of_a_watch_is_kept() -> None:
    assert list(site_control_pb2.WatchReply.DESCRIPTOR.oneofs_by_name) == ["what"]


def test_generating_anew_gives_the_same(tmp_path: Path) -> None:
    """Where the generator is installed; the tests above hold without it."""
    protoc = pytest.importorskip("grpc_tools.protoc")
    root = FOLDER.parents[1]
    made = tmp_path / "made"
    proto = str(FOLDER.relative_to(root) / "site_control.proto")
    assert protoc.main(["protoc", f"-I{root}", f"--descriptor_set_out={made}", proto]) == 0
    (file,) = FileDescriptorSet.FromString(made.read_bytes()).file
    stored = FileDescriptorProto()
    site_control_pb2.DESCRIPTOR.CopyToProto(stored)
    assert bare(file) == bare(stored)


def bare(described: FileDescriptorProto) -> FileDescriptorProto:
    """A description without what only one of the two ways to get it says."""
    described.ClearField("syntax")
    waiting = list(described.message_type)
    while waiting:
        message = waiting.pop()
        waiting += message.nested_type
        for field in message.field:
            field.ClearField("json_name")
    return described
