"""The services follow the style the contracts promise: every element commented, zero values UNSPECIFIED."""

import tempfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet
from grpc_tools import protoc

PROTO = Path(__file__).parents[2] / "proto"


@pytest.fixture(scope="module")
def files() -> list[FileDescriptorProto]:
    sources = sorted(PROTO.glob("iterqr/**/*.proto"))
    with tempfile.NamedTemporaryFile() as out:
        include = resources.files("grpc_tools") / "_proto"
        arguments = ["protoc", f"-I{PROTO}", f"-I{include}", "--include_source_info", f"-o{out.name}"]
        assert protoc.main([*arguments, *map(str, sources)]) == 0
        return list(FileDescriptorSet.FromString(Path(out.name).read_bytes()).file)


def elements(file: FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    """Yields source path and name of everything that must be commented."""
    for i, message in enumerate(file.message_type):
        yield from of_message((4, i), message)
    for i, enum in enumerate(file.enum_type):
        yield (5, i), enum.name
        for j, value in enumerate(enum.value):
            yield (5, i, 2, j), f"{enum.name}.{value.name}"
    for i, service in enumerate(file.service):
        yield (6, i), service.name
        for j, method in enumerate(service.method):
            yield (6, i, 2, j), f"{service.name}.{method.name}"


def of_message(path: tuple[int, ...], message: DescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    yield path, message.name
    for i, field in enumerate(message.field):
        yield (*path, 2, i), f"{message.name}.{field.name}"


def test_every_element_is_commented(files: list[FileDescriptorProto]) -> None:
    for file in files:
        commented = {tuple(loc.path) for loc in file.source_code_info.location if loc.leading_comments.strip()}
        assert [name for path, name in elements(file) if path not in commented] == []


def test_enum_values_are_prefixed_and_zero_is_unspecified(files: list[FileDescriptorProto]) -> None:
    for file in files:
        for enum in file.enum_type:
            prefix = "".join(f"_{c}" if c.isupper() else c.upper() for c in enum.name).lstrip("_") + "_"
            assert [v.name for v in enum.value if not v.name.startswith(prefix)] == []
            assert [v.name for v in enum.value if v.number == 0] == [prefix + "UNSPECIFIED"]


def test_each_method_has_messages_of_its_own(files: list[FileDescriptorProto]) -> None:
    for file in files:
        for service in file.service:
            for method in service.method:
                assert method.input_type.endswith(f".{method.name}Request")
                assert method.output_type.endswith(f".{method.name}Response")
