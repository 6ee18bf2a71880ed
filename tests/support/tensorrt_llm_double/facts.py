"""The facts file, and the library's classes made from it."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Dict, List, Literal, Optional, Union  # noqa: UP035 - the facts' spelling

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model

_FACTS = Path(__file__).parent / "api_facts.json"
_VALIDATED = (  # in the order in which they need each other
    "KvCacheConfig",
    "DynamicBatchConfig",
    "SchedulerConfig",
    "CudaGraphConfig",
    "LoraConfig",
    "PeftCacheConfig",
    "DecodingBaseConfig",
    "NGramDecodingConfig",
)
_PLAIN = ("GuidedDecodingParams", "SamplingParams")
_ENUMERATIONS = ("CapacitySchedulerPolicy", "ContextChunkingPolicy", "SamplerType", "LoadFormat")
_UNREADABLE = {"Optional[Union[<decoding config classes>]]": "Optional[DecodingBaseConfig]"}


@cache
def api_facts() -> dict[str, Any]:
    """The whole file."""
    facts: dict[str, Any] = json.loads(_FACTS.read_text("utf-8"))
    return facts


def fields_of(name: str) -> dict[str, dict[str, Any]]:
    """A class's fields, inherited ones first, without those that 1.2 lacks."""
    found = api_facts()["classes"][name]
    inherited = fields_of(found["inherits"]) if "inherits" in found else {}
    own = {field: facts for field, facts in found["fields"].items() if facts["in_1_2"] != "absent"}
    return inherited | own


class Names(dict[str, Any]):
    """Names that the facts' types use; a class that no test needs may be anything."""

    def __missing__(self, name: str) -> Any:  # noqa: ANN401
        return Any


@cache
def classes() -> Names:
    """The library's configuration classes by name."""
    made = Names(
        {"Optional": Optional, "Union": Union, "Literal": Literal, "List": List, "Dict": Dict}  # noqa: UP006
        | {"Any": Any, "Path": Path, "datetime": datetime}
        | {each.__name__: each for each in (str, int, float, bool, dict, list)}
    )
    for name in _ENUMERATIONS:
        made[name] = enum.Enum(name, {value: value for value in api_facts()["classes"][name]["values"]}, type=str)
    for name in _VALIDATED:
        made[name] = _validated(name, made)
    for name in _PLAIN:
        made[name] = _plain(name, made)
    made["TorchLlmArgs"] = _validated("TorchLlmArgs", made)
    return made


def _validated(name: str, made: Names) -> type[BaseModel]:
    """A pydantic class, as the library's configuration classes are."""
    fields: dict[str, Any] = {}
    for field, facts in fields_of(name).items():
        default = _default(facts, made)
        fields[field] = (
            _type(facts["type"], made),
            Field(default_factory=default) if isinstance(default, type) else default,
        )
    extra: Literal["allow", "forbid"] = "allow" if "not rejected" in _extra_keys(name) else "forbid"
    config = ConfigDict(extra=extra, arbitrary_types_allowed=True, protected_namespaces=())
    base: type[BaseModel] = made.get(api_facts()["classes"][name].get("inherits")) or BaseModel
    kept = type(name, (base,), {"model_config": config, "__module__": __name__})
    return create_model(name, __base__=kept, **fields)


def _extra_keys(name: str) -> str:
    return str(api_facts()["classes"][name].get("extra_keys", ""))


def _plain(name: str, made: Names) -> type:
    """A dataclass that takes keywords only. Its bindings check types when a request is made; so does this one."""
    fields = fields_of(name)
    adapters = {field: TypeAdapter(_type(facts["type"], made)) for field, facts in fields.items()}

    def check(self: Any) -> None:  # noqa: ANN401
        for field, adapter in adapters.items():
            adapter.validate_python(getattr(self, field), strict=True)

    return dataclasses.make_dataclass(
        name,
        [(field, Any, dataclasses.field(default=facts.get("default"))) for field, facts in fields.items()],
        kw_only=True,
        namespace={"__post_init__": check},
    )


def _type(spelled: str, made: Names) -> Any:  # noqa: ANN401
    try:
        return eval(_UNREADABLE.get(spelled, spelled), {}, made)  # noqa: S307 - the facts are this repository's data
    except (SyntaxError, TypeError, AttributeError):
        return Any


def _default(facts: Mapping[str, Any], made: Names) -> Any:  # noqa: ANN401
    """The default, `...` for a required field, or a class to be made anew each time."""
    if facts.get("required"):
        return ...
    default = facts["default"]
    if isinstance(default, str) and default.endswith("()"):
        found = made.get(default[:-2])
        return found if isinstance(found, type) else None
    kind = made.get(facts["type"])
    return kind[default] if isinstance(kind, enum.EnumMeta) and isinstance(default, str) else default
