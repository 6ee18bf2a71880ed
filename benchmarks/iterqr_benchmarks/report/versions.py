"""What a run was measured with."""

from __future__ import annotations

from importlib import metadata

_DISTRIBUTIONS = ("iterqr-benchmarks", "iterqr-server", "iterqr-proto", "onnxruntime", "grpcio", "opensearch-py")


def versions(opensearch_version: str) -> dict[str, str]:
    """The versions that matter to the numbers, by name."""
    found = {"opensearch": opensearch_version}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
