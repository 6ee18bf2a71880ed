"""One typed configuration: file, flags, limits, and errors that name the field."""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path

import pytest
from iterqr_server.config import ConfigError, ConfigFlags, Settings, load_settings, settings_from


def from_command_line(*arguments: str) -> Settings:
    parser = argparse.ArgumentParser()
    flags = ConfigFlags(parser)
    return flags.settings(parser.parse_args(arguments))


def test_a_flag_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('[grpc]\nport = 6000\nhost = "0.0.0.0"\n[hints]\nbudget_ms = 20\n')
    settings = from_command_line("--config", str(file), "--grpc.port", "7000")
    assert (settings.grpc.port, settings.grpc.host) == (7000, "0.0.0.0")  # noqa: S104 - a value, not a socket
    assert settings.hints.budget_ms == 20
    assert settings.hints.index == "iterqr-hints"


def test_every_field_has_a_flag_with_its_description(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    ConfigFlags(parser)
    help_text = parser.format_help()
    for section, section_field in Settings.model_fields.items():
        assert section_field.annotation is not None
        for name, field in section_field.annotation.model_fields.items():
            assert f"--{section}.{name}" in help_text
            assert field.description, f"{section}.{name} has no description"


def test_the_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRPC", '{"port": 1}')
    monkeypatch.setenv("GRPC__PORT", "1")
    assert load_settings().grpc.port == 50051


def test_switches() -> None:
    assert from_command_line("--telemetry.log_queries").telemetry.log_queries
    assert not from_command_line().telemetry.log_queries


@pytest.mark.parametrize(
    ("section", "field", "value", "message"),
    [
        ("grpc", "prot", 1, "grpc.prot: unknown key"),
        ("grcp", "port", 1, "grcp: unknown key"),
        ("grpc", "port", 70000, "grpc.port: should be less than or equal to 65535, got 70000"),
        ("rewrite", "max_rewrites", 9, "rewrite.max_rewrites: should be less than or equal to 8, got 9"),
        ("hints", "url", "ftp://x", "hints.url: must be empty or an http(s) URL with a host, got 'ftp://x'"),
        ("hints", "index", "a,b", "hints.index: "),
        ("engine", "backend", "vllm", "engine.backend: should be 'onnxruntime' or 'tensorrt_llm', got 'vllm'"),
        ("engine", "max_running", 65, "engine: max_step_rows: must be at least max_running (65)"),
        ("telemetry", "log_level", "loud", "telemetry.log_level: "),
        ("cache", "ttl_s", "soon", "cache.ttl_s: "),
    ],
)
def test_faults_name_field_and_limit(section: str, field: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_from({section: {field: value}})
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        settings_from({"grpc": {"port": -1, "hots": "x"}, "cache": {"ttl_s": 0}})
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "grpc.port",
        "grpc.hots",
        "cache.ttl_s",
    ]


def test_a_flag_out_of_its_limit_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"^grpc\.port: .*65535, got '99999'$"):
        from_command_line("--grpc.port", "99999")


def test_an_unknown_flag_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        from_command_line("--grpc.prot", "1")
    assert "--grpc.prot" in capsys.readouterr().err


def test_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_settings(tmp_path / "missing.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[grpc\n")
    with pytest.raises(ConfigError, match="not TOML"):
        load_settings(broken)


def test_shown_settings_are_a_file_that_gives_the_same_settings() -> None:
    settings = settings_from({"grpc": {"host": 'a"b\\c'}, "telemetry": {"log_queries": True}})
    assert settings_from(tomllib.loads(settings.to_toml())) == settings


def test_passwords_are_not_shown() -> None:
    settings = settings_from({"hints": {"url": "https://user:secret@node:9200"}})
    assert "secret" not in settings.to_toml()
    assert 'url = "https://***@node:9200"' in settings.to_toml()
    with pytest.raises(ConfigError) as caught:
        settings_from({"hints": {"url": "ftp://user:secret@node:9200"}})
    assert "secret" not in str(caught.value)
