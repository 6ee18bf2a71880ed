"""Self-signed certificates for tests, made by openssl."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its key, PEM files. Whoever trusts the certificate trusts its owner."""

    certificate: Path
    key: Path

    def encrypted_key(self, passphrase: str) -> Path:
        """The same key behind a passphrase."""
        path = self.key.with_suffix(".encrypted")
        _openssl(
            *("pkcs8", "-topk8", "-v2", "aes256", "-in", str(self.key), "-out", str(path)),
            *("-passout", f"pass:{passphrase}"),
        )
        path.chmod(0o644)
        return path


def make_identity(folder: Path, name: str) -> Identity:
    """An identity that is good for `name` and 127.0.0.1."""
    identity = Identity(folder / f"{name}.pem", folder / f"{name}.key")
    _openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"),
        *("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1"),
        *("-keyout", str(identity.key), "-out", str(identity.certificate)),
    )
    identity.key.chmod(0o644)  # for the node's user
    return identity


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
