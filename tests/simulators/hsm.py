"""A token in software: SoftHSM 2, the PKCS#11 module that everybody tests with."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

__all__ = ["PIN", "SoftToken", "soft_token"]

PIN = "123456"
_MODULES = [
    Path("/usr/lib/softhsm/libsofthsm2.so"),
    Path("/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"),
    Path("/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so"),
]


@dataclass(frozen=True)
class SoftToken:
    """A token with a label, whose module reads its folder from the environment variable SOFTHSM2_CONF."""

    label: str
    module: Path
    configuration: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"SOFTHSM2_CONF": str(self.configuration)}

    def uri(self, key: str, *query: str) -> str:
        label = self.label.replace(" ", "%20")
        return f"pkcs11:token={label};object={key}?" + "&".join([f"module-path={self.module}", *query])

    def put(
        self, label: str, identity: str, curve: ec.EllipticCurve | None = None
    ) -> ec.EllipticCurvePublicKey:
        """A new key on the token; its public half."""
        key = ec.generate_private_key(curve or ec.SECP256R1())
        file = self.configuration.parent / f"{label}.pem"
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.run(
            "--import", str(file), "--token", self.label, "--label", label, "--id", identity, "--pin", PIN
        )
        file.unlink()
        return key.public_key()

    def run(self, *arguments: str) -> None:
        done = subprocess.run(
            ["softhsm2-util", *arguments], env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def soft_token(folder: Path, label: str = "Site Lyon") -> SoftToken:
    """A new token in ``folder``; skips where there is no SoftHSM."""
    pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed (pip install 'rasura[pkcs11]')")
    module = next((one for one in _MODULES if one.exists()), None)
    if module is None or shutil.which("softhsm2-util") is None:
        pytest.skip("SoftHSM is not installed (apt-get install softhsm2)")
    (folder / "tokens").mkdir(parents=True)
    configuration = folder / "softhsm2.conf"
    configuration.write_text(
        f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    token = SoftToken(label, module, configuration)
    token.run("--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "12345678")
    return token
