"""A certificate authority of a test's own, made with OpenSSL's command."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CONFIG: Final = """
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:localhost
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, as PEM files."""

    certfile: Path
    keyfile: Path


class Authority:
    """Signs certificates that are valid for a day."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "openssl.cnf").write_text(_CONFIG, "utf-8")
        self._own = self._make("authority", name)

    @property
    def certfile(self) -> Path:
        """What whoever trusts this authority is given."""
        return self._own.certfile

    def server(self) -> Certificate:
        """Return a certificate for the host name ``localhost``, and for no address."""
        return self._make("server", "localhost", self._own)

    def client(self, name: str) -> Certificate:
        """Return a certificate for whoever is called so."""
        return self._make("client", name, self._own)

    def _make(self, kind: str, name: str, signer: Certificate | None = None) -> Certificate:
        made = Certificate(self._folder / f"{kind}.pem", self._folder / f"{kind}.key")
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]
        command += ["-config", str(self._folder / "openssl.cnf"), "-extensions", kind, "-subj", f"/CN={name}"]
        command += ["-days", "1", "-out", str(made.certfile), "-keyout", str(made.keyfile)]
        if signer is not None:
            command += ["-CA", str(signer.certfile), "-CAkey", str(signer.keyfile)]
        subprocess.run(command, check=True, capture_output=True)
        return made
