"""Compares every name and default that the engine relies on with the installed TensorRT-LLM, by `inspect`.

What is passed comes from the arguments themselves; what is relied on without being passed is in `_RELIED_ON`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from iterqr_server.backends.tensorrt_llm_arguments import Made, Member

_ARGUMENTS_OF_LLM = "TorchLlmArgs"  # `LLM` takes its fields by keyword
_RELIED_ON: Mapping[str, Mapping[str, object]] = {
    _ARGUMENTS_OF_LLM: {
        "skip_tokenizer_init": False,  # guided decoding needs the tokenizer
        "trust_remote_code": False,
        "dtype": "auto",
        "disable_overlap_scheduler": False,
        "stream_interval": 1,
        "pipeline_parallel_size": 1,
    },
    "KvCacheConfig": {"copy_on_partial_reuse": True, "max_tokens": None, "max_gpu_total_bytes": 0},
    "NGramDecodingConfig": {"is_keep_all": True, "is_use_oldest": True},
    "SamplingParams": {
        "temperature": None,  # with top_k and top_p unset: greedy
        "top_k": None,
        "top_p": None,
        "n": 1,
        "best_of": None,
        "ignore_eos": False,
        "min_tokens": None,
        "repetition_penalty": None,
        "truncate_prompt_tokens": None,
    },
    "GuidedDecodingParams": {"json": None, "grammar": None, "json_object": False, "structural_tag": None},
    "LLM.generate_async": {"lora_request": None, "disaggregated_params": None},
}
_METHODS: Mapping[str, tuple[str, ...]] = {
    "LLM": ("generate_async", "get_stats_async", "shutdown"),
    "RequestOutput": ("abort", "__aiter__", "__anext__"),
}
_ABSENT = object()


class Classes(Protocol):
    """Finds the library's classes by name; see `Library.find`."""

    def find(self, name: str) -> Any:  # noqa: ANN401 - a class of an untyped library
        """Returns the class. Raises AttributeError if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class NameFinding:
    """A name or default of the library and what is off about it; empty where it is as expected."""

    name: str
    fault: str = ""


def compare_names(
    library: Classes, *, llm: Mapping[str, object], generate: Mapping[str, object]
) -> tuple[NameFinding, ...]:
    """Returns a finding for each class, parameter and default; `llm` and `generate` are the arguments that are passed.

    Names of compiled classes can be looked up, their parameters not: those are tried when the engine starts.
    """
    findings: list[NameFinding] = []
    passed = {_ARGUMENTS_OF_LLM: set(llm), "LLM.generate_async": set(generate), "LLM.get_stats_async": {"timeout"}}
    for made in _made([dict(llm), dict(generate)]):
        if isinstance(made, Made):
            passed.setdefault(made.name, set()).update(made.arguments)
        else:
            findings += _member(library, made)
    for name, parameters in passed.items():
        findings += _parameters(library, name, parameters, _RELIED_ON.get(name, {}))
    for name, methods in _METHODS.items():
        findings += _methods(library, name, methods)
    return tuple(findings)


def _made(values: object) -> Iterator[Made | Member]:
    match values:
        case Made(_, arguments, positional):
            yield values
            yield from _made([dict(arguments), *positional])
        case Member():
            yield values
        case dict():
            yield from _made(list(values.values()))
        case list() | tuple():
            for value in values:
                yield from _made(value)


def _parameters(
    library: Classes, name: str, passed: set[str], relied_on: Mapping[str, object]
) -> Iterator[NameFinding]:
    try:
        defaults = _defaults(library.find(name))
    except AttributeError as error:
        yield NameFinding(name, str(error))
        return
    if defaults is None:  # compiled: the probes make it
        yield NameFinding(f"{name} (exists; its parameters cannot be inspected)")
        return
    for parameter in sorted(passed):
        yield NameFinding(f"{name}.{parameter}", "" if parameter in defaults else "is not a parameter")
    for parameter, expected in relied_on.items():
        found = defaults.get(parameter, _ABSENT)
        if found is _ABSENT:
            yield NameFinding(f"{name}.{parameter}", "is not a parameter")
        else:
            is_same = found == expected and isinstance(found, bool) == isinstance(expected, bool)
            fault = "" if is_same else f"its default is {found!r}, expected {expected!r}"
            yield NameFinding(f"{name}.{parameter} = {expected!r}", fault)


def _defaults(found: Any) -> dict[str, object] | None:  # noqa: ANN401
    """Parameters by name with their defaults; None where they cannot be inspected."""
    fields = getattr(found, "model_fields", None)  # pydantic's
    if isinstance(fields, Mapping):
        aliases = {field.alias: field for field in fields.values() if getattr(field, "alias", None)}
        return {name: _plain_default(field) for name, field in {**aliases, **fields}.items()}
    try:
        parameters = inspect.signature(found).parameters
    except (ValueError, TypeError):
        return None
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values()):
        return None
    return {name: each.default for name, each in parameters.items()}


def _plain_default(field: Any) -> object:  # noqa: ANN401 - pydantic's FieldInfo
    return field.get_default(call_default_factory=True)


def _member(library: Classes, member: Member) -> Iterator[NameFinding]:
    name = f"{member.enumeration}.{member.name}"
    try:
        yield NameFinding(name, "" if hasattr(library.find(member.enumeration), member.name) else "is not a member")
    except AttributeError as error:
        yield NameFinding(name, str(error))


def _methods(library: Classes, name: str, methods: tuple[str, ...]) -> Iterator[NameFinding]:
    try:
        found = library.find(name)
    except AttributeError as error:
        yield NameFinding(name, str(error))
        return
    for method in methods:
        yield NameFinding(f"{name}.{method}", "" if hasattr(found, method) else "is not a method")
