"""A registry on this host, with TLS of its own authority, that machines reach through QEMU's network."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from functional.conftest import BIN
from rasura.client import RegistryClient
from rasura.site_kit import seal_site_key

PASSPHRASE = "correct horse battery"
GUEST_SEES_HOST_AS = "10.0.2.2"
_PIN = re.compile(r"rasura\.ca=(\S+)\s")


@dataclass(frozen=True)
class RegistryHere:
    """A running registry with one site."""

    folder: Path
    site: Path
    """The site's folder for a stick: sealed, and it knows where the registry is."""
    port: str
    pin: str
    """``sha256:…`` of its authority."""

    @property
    def url(self) -> str:
        """Its address for a machine."""
        return f"https://{GUEST_SEES_HOST_AS}:{self.port}"

    def approve(self, code: str) -> None:
        """Type the code that a machine shows, as the registry's operator."""
        command = [BIN / "rasura-registry", "approve", self.folder, code, "--site", "Workshop"]
        subprocess.run(command, check=True, capture_output=True)

    def certificate(self, certificate_id: str) -> bytes:
        """The bundle that it has under this id."""
        client = RegistryClient(f"https://127.0.0.1:{self.port}", (), ca_pin=self.pin)
        status, body = client.ask("GET", f"/certificates/{certificate_id}")
        client.close()
        assert status == 200, body
        return body

    def verify(self, *certificates: Path) -> str:
        """What ``rasura verify`` says of certificates that must be genuine, logged and say ERASED."""
        command = [BIN / "rasura", "verify", *certificates, "--trust", self.folder / "trust.toml"]
        verified = subprocess.run(command, capture_output=True, text=True, check=False)
        assert verified.returncode == 0, verified.stdout + verified.stderr
        return verified.stdout


@contextmanager
def registry_here(folder: Path) -> Iterator[RegistryHere]:
    """Make a registry in ``folder``, serve it on a free port, and stop it."""
    data, port_file, log_file = folder / "registry", folder / "port", folder / "registry.log"
    command = str(BIN / "rasura-registry")
    subprocess.run([command, "init", data, "--name", "image.test/log", "--site", "Workshop"], check=True)
    serve = [command, "serve", data, "--tls", f"{GUEST_SEES_HOST_AS},127.0.0.1"]
    with log_file.open("wb") as log:
        server = subprocess.Popen([*serve, "--port", "0", "--port-file", port_file], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 120
        # The port's file comes before the last line.
        while not port_file.exists() or (pin := _PIN.search(log_file.read_text())) is None:
            assert server.poll() is None, log_file.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        # The registry keeps its own one open: it approves by it.
        site = Path(shutil.copytree(data / "sites/Workshop", folder / "for-the-stick"))
        here = RegistryHere(data, site, port_file.read_text().strip(), pin[1])
        with (here.site / "site.toml").open("a") as settings:
            settings.write(f'registry = "{here.url}"\nca = "{here.pin}"\n')
        seal_site_key(here.site, lambda: PASSPHRASE)
        yield here
    finally:
        server.terminate()
        server.wait(20)
