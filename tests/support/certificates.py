"""Certificates for tests of TLS, made by the openssl command."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SelfSigned:
    """A certificate that vouches for itself, and its key."""

    key_pem: bytes
    certificate_pem: bytes


def self_signed(host: str) -> SelfSigned:
    """For a day, for one host."""
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = Path(folder, "key.pem"), Path(folder, "certificate.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={host}",
             "-addext", f"subjectAltName=DNS:{host}", "-keyout", str(key), "-out", str(certificate)],
            check=True,
            capture_output=True,
        )  # fmt: skip
        return SelfSigned(key.read_bytes(), certificate.read_bytes())
