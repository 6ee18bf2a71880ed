"""The deployment of the TensorRT-LLM server, as far as it can be proved without a GPU."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from iterqr_server.backends.tensorrt_llm import TARGET_VERSION
from iterqr_server.backends.tensorrt_llm_arguments import check_settings
from iterqr_server.backends.tensorrt_llm_memory import second_model_bytes
from iterqr_server.config import load_settings
from iterqr_server.models.architecture import Architecture

DEPLOY = Path(__file__).parents[3] / "server/deploy/tensorrt_llm"
CONFIGS = sorted((DEPLOY / "configs").glob("*.toml"))
GIGABYTE = 1_000_000_000
CUDA_AND_ACTIVATIONS = 2 * GIGABYTE
# Layers, key/value heads and head size of Qwen2.5; bytes of the weights that the configuration names.
MODELS = {"0.5b": (24, 2, 64, 1.3), "1.5b": (28, 2, 128, 3.1), "7b": (28, 4, 128, 15.3)}
QUANTIZED_7B = 8.8
# Hidden size, intermediate size and rows of the embedding table.
NETWORKS = {"0.5b": (896, 4864, 151936), "1.5b": (1536, 8960, 151936), "7b": (3584, 18944, 152064)}


def test_every_size_has_a_configuration_for_each_memory() -> None:
    names = {f"qwen2.5-{size}-{memory}gb" for size in MODELS for memory in (24, 80)}
    assert {path.stem for path in CONFIGS} == names


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configurations_are_valid_and_their_requests_fit_into_the_memory(path: Path) -> None:
    settings = load_settings(path)
    check_settings(settings)
    assert settings.engine.backend == "tensorrt_llm"
    assert settings.grpc.host == settings.telemetry.prometheus_host == "0.0.0.0"  # noqa: S104 - reached from outside
    size, memory = re.fullmatch(r"qwen2\.5-(.+)-(\d+)gb", path.stem).groups()  # type: ignore[union-attr]
    layers, kv_heads, head_size, weights = MODELS[size]
    if settings.model.name.endswith("/trtllm"):
        weights = QUANTIZED_7B
    token_bytes = 2 * layers * kv_heads * head_size * 2  # keys and values in bfloat16
    needed = settings.engine.max_running * settings.tensorrt_llm.max_seq_len * token_bytes
    free = int(memory) * GIGABYTE - weights * GIGABYTE - CUDA_AND_ACTIVATIONS
    assert needed <= settings.tensorrt_llm.kv_memory_fraction * free


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_all_but_the_largest_have_room_for_a_second_model(path: Path) -> None:
    """As the server decides, beside a first one that took all of the cache that it may."""
    settings = load_settings(path)
    size, memory = re.fullmatch(r"qwen2\.5-(.+)-(\d+)gb", path.stem).groups()  # type: ignore[union-attr]
    layers, kv_heads, head_size, weights = MODELS[size]
    if settings.model.name.endswith("/trtllm"):
        weights = QUANTIZED_7B
    hidden, intermediate, vocabulary = NETWORKS[size]
    heads = hidden // head_size
    shapes = Architecture(
        layers, hidden, intermediate, heads, kv_heads, head_size, vocabulary, 32768, rope_theta=1e6, norm_epsilon=1e-6
    )
    config = settings.tensorrt_llm
    needed = second_model_bytes(shapes, int(weights * GIGABYTE), settings.engine, config, has_fp8_cache=False)
    free = int(memory) * GIGABYTE - weights * GIGABYTE - CUDA_AND_ACTIVATIONS
    bounded = config.kv_max_tokens * 2 * layers * kv_heads * head_size * 2
    left = free - min(config.kv_memory_fraction * free, bounded or free)
    assert (needed + (settings.checkpoints.memory_reserve_mb << 20) <= left) == (path.stem != "qwen2.5-7b-24gb")
    assert config.kv_max_tokens in (0, settings.engine.max_running * config.max_seq_len)


def test_the_image_is_of_the_release_the_engine_is_written_for() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    assert f"ARG BASE=nvcr.io/nvidia/tensorrt-llm/release:{TARGET_VERSION}\n" in text
    root = DEPLOY.parents[2]
    sources = [
        path
        for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE)
        for path in line.split()[:-1]
        if path != "."
    ]
    assert len(sources) == 4
    for source in sources:
        assert (root / source).exists(), source


def entrypoint(tmp_path: Path, *arguments: str, config: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the entrypoint with a server that prints what it was called with."""
    server = tmp_path / "iterqr-server"
    server.write_text('#!/bin/sh\necho "$@"\n')
    server.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "ITERQR_CONFIG": str(config or tmp_path / "none.toml")}
    return subprocess.run(
        [DEPLOY / "entrypoint.sh", *arguments], env=environ, capture_output=True, text=True, check=False
    )


def test_the_entrypoint_hands_the_configuration_to_the_server(tmp_path: Path) -> None:
    config = CONFIGS[0]
    assert entrypoint(tmp_path, config=config).stdout == f"serve --config {config}\n"
    told = entrypoint(tmp_path, "engine-check", "--json", config=config)
    assert told.stdout == f"engine-check --config {config} --json\n"
    assert entrypoint(tmp_path, "config", "show").stdout == "config show\n"
    refused = entrypoint(tmp_path, "serve")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert re.fullmatch(r"entrypoint: .*none\.toml is not there: .*\n", refused.stderr)


def test_the_probe_of_a_port_where_nobody_listens_fails_with_a_line() -> None:
    done = subprocess.run(
        [sys.executable, DEPLOY / "health_probe.py", "127.0.0.1:1", "1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert re.fullmatch(r"127\.0\.0\.1:1: (UNAVAILABLE|DEADLINE_EXCEEDED)\n", done.stderr)


def test_the_probe_tells_serving_from_draining() -> None:
    spec = importlib.util.spec_from_file_location("health_probe", DEPLOY / "health_probe.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    servicer = health.HealthServicer()
    server = grpc.server(ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        for status in ("SERVING", "NOT_SERVING"):
            servicer.set("", getattr(health_pb2.HealthCheckResponse, status))
            assert module.probe(f"127.0.0.1:{port}", 5) == status
    finally:
        server.stop(None)
