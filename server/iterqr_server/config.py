"""The server's configuration: one TOML file, and a flag for every field of it.

A flag wins over the file, the file over the default. Unknown keys are errors. There are no environment variables but
`ITERQR_CACHE`, the folder for downloaded and built models.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, CliSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

BACKENDS = ("onnxruntime", "tensorrt_llm")
MAX_REWRITES_LIMIT = 8
MAX_HINTS_LIMIT = 5


class ConfigError(ValueError):
    """The configuration is not usable; the message names field and limit, one line for each fault."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class GrpcConfig(_Section):
    """The gRPC endpoint."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """Address to listen on."""
    port: int = Field(default=50051, ge=0, le=65535)
    """Port to listen on; 0 takes a free one and logs it."""
    max_message_bytes: int = Field(default=65_536, ge=1024, le=4_194_304)
    """Largest request taken; a larger one is answered with RESOURCE_EXHAUSTED."""
    max_concurrent_rpcs: int = Field(default=1024, ge=1)
    """Calls handled at the same time; more are answered with RESOURCE_EXHAUSTED."""
    shutdown_grace_ms: int = Field(default=5_000, ge=0, le=600_000)
    """Time that calls in flight get to finish when the server is told to stop."""
    tls_certificate: str = ""
    """PEM file with the server's certificate, intermediate ones after it; empty means no TLS."""
    tls_key: str = ""
    """PEM file with the certificate's key, not encrypted."""
    tls_client_ca: str = ""
    """PEM file with the authorities whose clients may call; empty means that clients need no certificate."""

    @model_validator(mode="after")
    def _certificate_with_key(self) -> GrpcConfig:
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ValueError("tls_certificate and tls_key: both or none must be given")
        if self.tls_client_ca and not self.tls_certificate:
            raise ValueError("tls_client_ca: needs tls_certificate")
        return self


class ModelConfig(_Section):
    """The weights."""

    name: str = Field(default="qwen2.5-coder-0.5b-instruct", min_length=1)
    """Name of a known model, a local folder or file, or a hub id."""
    output_vocabulary: Literal["full", "latin"] = "full"
    """Tokens the model may write: all, or those of searches in Latin script, which is faster with a small model."""


class EngineConfig(_Section):
    """What runs the model, and how much of it at once."""

    backend: Literal["onnxruntime", "tensorrt_llm"] = "onnxruntime"
    """Library that runs the model."""
    provider: Literal["cpu", "cuda"] = "cpu"
    """What onnxruntime computes on; cuda needs onnxruntime-gpu in place of onnxruntime."""
    device_id: int = Field(default=0, ge=0, le=1024)
    """Which of several GPUs, for onnxruntime."""
    gpu_memory_mb: int = Field(default=0, ge=0, le=10_000_000)
    """Most GPU memory that onnxruntime takes for the model, the key/value arena apart; 0 means what there is."""
    threads: int = Field(default=0, ge=0, le=1024)
    """Threads of one step; 0 means one for each core."""
    max_running: int = Field(default=16, ge=1, le=1024)
    """Requests generated at the same time."""
    max_waiting: int = Field(default=64, ge=0, le=100_000)
    """Requests that may wait for a place; more are answered with RESOURCE_EXHAUSTED."""
    arena_positions: int = Field(default=8192, ge=512, le=1_048_576, multiple_of=16)
    """Token positions that the key/value arena holds for all running requests together."""
    max_step_rows: int = Field(default=64, ge=2, le=65_536)
    """Tokens computed in one step; bounds how long a step lasts."""
    max_draft_rows: int = Field(default=16, ge=0, le=256)
    """Guesses at a request's next tokens that one step may verify; 0 generates one token a step."""
    admission_safety: float = Field(default=1.3, gt=0, le=100)
    """A call is refused if this many times the estimated time of its first rewrite is past its deadline."""
    always_admitted: int = Field(default=2, ge=1, le=100_000)
    """Requests taken whatever their deadlines: what is late for its caller is cached for the next."""

    @model_validator(mode="after")
    def _room_for_all_running(self) -> EngineConfig:
        if self.backend == "onnxruntime" and self.max_step_rows < self.max_running:
            raise ValueError(f"max_step_rows: must be at least max_running ({self.max_running})")
        return self


class TensorRtLlmConfig(_Section):
    """What TensorRT-LLM is told beyond engine.max_running (its batch size) and engine.max_waiting."""

    max_seq_len: int = Field(default=2048, ge=256, le=131_072)
    """Tokens of one prompt and its output together."""
    max_num_tokens: int = Field(default=4096, ge=64, le=1_048_576)
    """Tokens computed in one step; longer prompts are computed in pieces."""
    tokens_per_block: Literal[32, 64, 128] = 32
    """Tokens of a block of the key/value cache; prompts share whole blocks."""
    pad_prefix: bool = True
    """Whether the instruction is filled up to whole blocks, with end-of-text tokens before it, so all of it is kept;
    texts differ from those without."""
    kv_cache_dtype: Literal["auto", "fp8"] = "auto"
    """Numbers of the key/value cache; auto is what the checkpoint says."""
    kv_memory_fraction: float = Field(default=0.85, ge=0.05, le=0.95)
    """Share of the GPU memory that the weights leave free which the key/value cache takes."""
    kv_max_tokens: int = Field(default=0, ge=0, le=1_000_000_000)
    """Most tokens that the key/value cache holds, within that share; 0 means no bound. With engine.max_running x
    max_seq_len every model has the same room, and a second one beside the champion as well."""
    guided_decoding_backend: Literal["llguidance", "xgrammar"] = "llguidance"
    """What holds outputs to the rewrite format."""
    max_draft_len: int = Field(default=3, ge=0, le=16)
    """Guesses at a request's next tokens, from n-grams of its own text, that one step verifies; 0 means none."""
    draft_ngram_size: int = Field(default=3, ge=1, le=16)
    """Longest sequence of tokens that is looked up for a guess."""
    cuda_graphs: bool = True
    """Whether steps of decoding are recorded once and replayed."""
    tensor_parallel_size: int = Field(default=1, ge=1, le=8)
    """GPUs that share one model."""
    stall_timeout_s: float = Field(default=60.0, ge=1, le=3600)
    """A running request that gets nothing for so long means that the library hangs: the process ends."""


class HintsConfig(_Section):
    """Titles that ground the rewrites, read from OpenSearch."""

    url: str = Field(default="http://127.0.0.1:9200", max_length=2048)
    """OpenSearch node; empty turns hints off."""
    index: str = Field(default="iterqr-hints", min_length=1, max_length=255, pattern=r"^[^\s,*?/\\\"<>|#]+$")
    """Index or alias with the clicked titles of each region and query."""
    catalog_index: str = Field(default="", max_length=255, pattern=r"^[^\s,*?/\\\"<>|#]*$")
    """Index or alias searched by title where no query is near enough; empty turns that off."""
    title_field: str = Field(default="title", min_length=1)
    """Text field of the catalog with the title."""
    region_field: str = Field(default="region", min_length=1)
    """Keyword field of the catalog with the region."""
    popularity_field: str = Field(default="orders", min_length=1)
    """Numeric field of the catalog that breaks ties."""
    budget_ms: int = Field(default=50, ge=1, le=10_000)
    """Time for reading hints; after it the query is rewritten without."""
    max_hints: int = Field(default=MAX_HINTS_LIMIT, ge=1, le=MAX_HINTS_LIMIT)
    """Most titles put into a prompt."""
    min_clients: int = Field(default=3, ge=1, le=1000)
    """Different users that must have clicked a title before it is a hint, so that no hint tells of one person."""
    refresh_s: float = Field(default=10.0, ge=0.1, le=3600)
    """How often the index behind the alias is looked up."""

    @field_validator("url")
    @classmethod
    def _http(cls, url: str) -> str:
        if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
            raise ValueError("must be empty or an http(s) URL with a host")
        return url


class RewriteConfig(_Section):
    """How one query is rewritten."""

    max_rewrites: int = Field(default=3, ge=1, le=MAX_REWRITES_LIMIT)
    """Most rewrites of a query, where the request does not say."""
    min_rewrites: int = Field(default=1, ge=1, le=MAX_REWRITES_LIMIT)
    """Rewrites that a model must write before it may end, if so many are asked for. More than it would write by itself
    costs time, and is for collecting: users can only tell which rewrites are good among those they were shown."""
    default_deadline_ms: int = Field(default=3_000, ge=1, le=600_000)
    """Deadline of calls that have none."""
    reply_margin_ms: int = Field(default=10, ge=0, le=10_000)
    """How long before the deadline the reply leaves."""
    max_new_tokens: int = Field(default=192, ge=16, le=2048)
    """Most tokens generated for one query."""
    max_background: int = Field(default=16, ge=0, le=10_000)
    """Generations that may go on after their last caller left; more are aborted."""
    max_background_ms: int = Field(default=15_000, ge=0, le=600_000)
    """How long a generation may go on after its last caller left."""
    max_bulk_in_flight: int = Field(default=0, ge=0, le=10_000)
    """Queries of bulk streams generated at the same time, and those that one stream may have in flight; 0 means twice
    engine.max_running."""
    template: str = ""
    """TOML file with instruction and examples, or the name of one that comes with the package (food_delivery_tuned, for
    checkpoints trained on the format); empty means food_delivery."""
    policy: str = ""
    """JSON file that says how callers weigh the rewrites (policy_v1), sent with replies; empty leaves it to them."""


class CacheConfig(_Section):
    """Finished rewrites kept in memory."""

    max_entries: int = Field(default=50_000, ge=0, le=100_000_000)
    """Most entries; the least recently used go first. 0 turns the cache off."""
    ttl_s: float = Field(default=3_600, gt=0)
    """How long an entry is served."""
    degraded_ttl_s: float = Field(default=30, gt=0)
    """The same for rewrites made without hints because the hints could not be read."""


class TelemetryConfig(_Section):
    """Logs, metrics and traces."""

    prometheus_host: str = Field(default="127.0.0.1", min_length=1)
    """Address of the metrics endpoint."""
    prometheus_port: int = Field(default=9464, ge=0, le=65535)
    """Port of the metrics endpoint; 0 turns it off."""
    otlp_endpoint: str = Field(default="", max_length=2048)
    """OTLP/gRPC collector for traces, such as http://127.0.0.1:4317; empty turns export off."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is logged."""
    log_queries: bool = False
    """Whether query text and rewrites are logged."""


class CheckpointsConfig(_Section):
    """Checkpoints from a registry: loaded beside the champion, probed, tried as canary, taken back on alarms."""

    registry: str = Field(default="", max_length=2048)
    """Folder or fsspec URL of the registry; empty serves the configured model alone."""
    poll_s: float = Field(default=1.0, ge=0.05, le=3600)
    """How often the registry's state is read."""
    cache: str = ""
    """Folder that checkpoints are fetched to; empty means checkpoints/ in ITERQR_CACHE."""
    max_loaded: int = Field(default=3, ge=2, le=16)
    """Models in memory at once, those that are being drained included."""
    swap: Literal["auto", "beside", "reload"] = "auto"
    """How a checkpoint takes the champion's place. beside: it is loaded beside the champion, or refused where memory
    lacks. reload: the champion is shut down first, calls wait meanwhile, and there are no canaries. auto: beside where
    there is memory; where there is none, reload with engine.backend tensorrt_llm, refused with onnxruntime."""
    memory_reserve_mb: int = Field(default=512, ge=0, le=10_000_000)
    """Memory, with tensorrt_llm that of each GPU, that must be left beside a model that is loaded."""
    drain_s: float = Field(default=60.0, ge=0, le=3600)
    """How long a model that takes no more calls may go on with those it has; the rest is done by the champion."""
    probes: str = ""
    """TOML file with the probe set; empty means the one for food delivery."""
    probe_min_valid: float = Field(default=0.75, ge=0, le=1)
    """Least share of the probes' answers that must be of the rewrite format."""
    probe_max_ms: float = Field(default=15_000, gt=0, le=600_000)
    """Longest that any probe may take."""
    alarm_window_s: float = Field(default=300.0, ge=1, le=86_400)
    """Calls of the last so many seconds are compared, at most 1,000 of each model."""
    alarm_min_calls: int = Field(default=50, ge=5, le=1_000)
    """Calls of each model before they are compared."""
    alarm_extra_errors: float = Field(default=0.05, ge=0, le=1)
    """A canary is rolled back if its share of failed calls is higher than the champion's by more than this."""
    alarm_latency_ratio: float = Field(default=2.0, ge=1, le=100)
    """A canary is rolled back if the 90th percentile of its times is more than this many times the champion's."""
    alarm_drift: float = Field(default=0.3, gt=0, le=1)
    """A canary is rolled back if a feature of its outputs, from 0 to 1, is so much lower than the champion's."""


class Settings(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, cli_avoid_json=True, cli_implicit_flags=True)

    grpc: GrpcConfig = GrpcConfig()
    model: ModelConfig = ModelConfig()
    engine: EngineConfig = EngineConfig()
    tensorrt_llm: TensorRtLlmConfig = TensorRtLlmConfig()
    hints: HintsConfig = HintsConfig()
    rewrite: RewriteConfig = RewriteConfig()
    cache: CacheConfig = CacheConfig()
    checkpoints: CheckpointsConfig = CheckpointsConfig()
    telemetry: TelemetryConfig = TelemetryConfig()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the environment is not read
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Keeps the environment out; flags and file are handed in by `ConfigFlags` and `read_toml`."""
        return (init_settings,)

    def to_toml(self) -> str:
        """Returns the settings as a configuration file, with passwords masked."""
        sections = []
        for name, section in self.model_dump(mode="json").items():
            lines = [f"{key} = {_toml_value(_masked(value))}" for key, value in section.items()]
            sections.append("\n".join([f"[{name}]", *lines]))
        return "\n\n".join(sections) + "\n"


class ConfigFlags:
    """Adds `--config` and a flag for each field to a parser, and reads them back."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--config", metavar="FILE", type=Path, help="TOML file with any of the fields below")
        self._source: CliSettingsSource[Any] = CliSettingsSource(Settings, root_parser=parser)

    def settings(self, arguments: argparse.Namespace) -> Settings:
        """Returns the settings of a parsed command line.

        Raises:
            ConfigError: the file cannot be read, or a field is unknown or out of its limits.
        """
        flags = {name: value for name, value in vars(arguments).items() if "." in name}
        return load_settings(arguments.config, self._source(parsed_args=flags))


def load_settings(file: Path | None = None, flags: CliSettingsSource[Any] | None = None) -> Settings:
    """Reads a configuration file, if there is one, under the given flags.

    Raises:
        ConfigError: the file cannot be read, or a field is unknown or out of its limits.
    """
    return _settings(read_toml(file) if file else {}, flags)


def settings_from(values: dict[str, dict[str, Any]]) -> Settings:
    """Returns the settings of `{section: {field: value}}`; what is left out has its default.

    Raises:
        ConfigError: a field is unknown or out of its limits.
    """
    return _settings(dict(values), None)


def read_toml(file: Path) -> dict[str, Any]:
    """Reads a configuration file.

    Raises:
        ConfigError: it cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"--config {file}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config {file}: not TOML: {error}") from error


def _settings(values: dict[str, Any], flags: CliSettingsSource[Any] | None) -> Settings:
    try:
        return Settings(**({**values, "_cli_settings_source": flags} if flags else values))
    except ValidationError as error:
        raise ConfigError("\n".join(_describe(fault) for fault in error.errors())) from error


def _describe(fault: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails, a TypedDict of its core package
    name = ".".join(map(str, fault["loc"]))
    if fault["type"] == "extra_forbidden":
        return f"{name}: unknown key"
    message = fault["msg"].removeprefix("Input ").removeprefix("Value error, ")
    if isinstance(fault["input"], (dict, BaseModel)):  # a rule over several fields
        return f"{name}: {message}"
    return f"{name}: {message[0].lower()}{message[1:]}, got {_masked(fault['input'])!r}"


def _masked(value: Any) -> Any:  # noqa: ANN401 - any value of a setting
    """Hides the password of a URL."""
    if not isinstance(value, str) or "@" not in value or "://" not in value:
        return value
    parts = urlsplit(value)
    return urlunsplit(parts._replace(netloc=f"***@{parts.netloc.rpartition('@')[2]}"))


def _toml_value(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return repr(value)
