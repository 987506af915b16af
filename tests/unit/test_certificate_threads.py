"""Drives that end at the same moment read and sign their claims at the same moment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from simulators.signing import TrustWorld

# A fresh interpreter each time: what goes wrong is the first use of a type.
RACE = """
import sys, threading
sys.setswitchinterval(1e-6)
from rasura.certificate import ErasureCertificate
payload = open(sys.argv[1], "rb").read()
start = threading.Barrier(12)
def read():
    start.wait()
    ErasureCertificate.from_payload(payload)
threads = [threading.Thread(target=read) for _ in range(12)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_claims_are_read_by_many_threads_at_once(tmp_path: Path) -> None:
    payload = tmp_path / "payload"
    payload.write_bytes(TrustWorld().bundle().envelope.payload)
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", RACE, payload], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
