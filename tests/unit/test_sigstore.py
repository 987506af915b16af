"""Others verify what we sign: npm's Sigstore verifier, and a shell with jq and openssl."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec.structs import replace

from rasura.bundle import Bundle, BundleError
from rasura.cli import cli
from rasura.envelope import Signature
from rasura.keys import certificate_pem, p256_public_key
from rasura.sigstore import sigstore_bundle
from simulators.block import BlockFault
from simulators.signing import TrustWorld

ROOT = Path(__file__).parents[2]
BY_HAND = ROOT / "certs/by_hand/verify.sh"


@pytest.fixture(scope="module")
def world() -> TrustWorld:
    return TrustWorld()


@pytest.fixture(scope="module")
def logged(world: TrustWorld) -> Bundle:
    for _ in range(4):
        world.logged(world.bundle())
    return world.logged(world.bundle())


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_the_envelope_is_the_same_object(logged: Bundle, tmp_path: Path) -> None:
    path = write(tmp_path / "bundle.json", logged.encode())
    done = CliRunner().invoke(cli, ["bundle", "--sigstore", str(path)])
    made = json.loads(done.output)
    assert made["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert made["dsseEnvelope"] == json.loads(logged.encode())["envelope"]
    assert made["verificationMaterial"]["publicKey"]["hint"] == logged.envelope.signatures[0].keyid
    done = CliRunner().invoke(cli, ["bundle", "--chain", str(path)])
    assert done.output.encode() == certificate_pem(*logged.chain)


def test_a_form_must_be_named(logged: Bundle, tmp_path: Path) -> None:
    path = str(write(tmp_path / "bundle.json", logged.encode()))
    for options in ([], ["--sigstore", "--chain"]):
        done = CliRunner().invoke(cli, ["bundle", *options, path])
        assert "which form" in str(done.exception)
    assert "cannot read" in str(
        CliRunner().invoke(cli, ["bundle", "--chain", str(tmp_path / "no")]).exception
    )


@pytest.mark.parametrize("count", [0, 2])
def test_only_one_signature_fits(logged: Bundle, count: int) -> None:
    envelope = replace(logged.envelope, signatures=logged.envelope.signatures * count)
    with pytest.raises(BundleError, match="one signature"):
        sigstore_bundle(replace(logged, envelope=envelope))


def accepted_by_npm(npm: Path, folder: Path, bundle: dict[str, Any], key: Bundle) -> bool:
    der = p256_public_key(key.chain[0]).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    listed = [{"name": "it", "bundle": bundle, "key": base64.b64encode(der).decode()}]
    done = run("node", npm / "verify.js", write(folder / "list.json", json.dumps(listed)))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) == ["it"]


def test_npm_verifies_it(npm: Path, logged: Bundle, tmp_path: Path) -> None:
    assert accepted_by_npm(npm, tmp_path, sigstore_bundle(logged), logged)


def test_npm_refuses_what_was_changed(npm: Path, logged: Bundle, tmp_path: Path) -> None:
    payload = base64.b64encode(logged.envelope.payload.replace(b"ERASED", b"eRASED")).decode()
    made = sigstore_bundle(logged)
    made["dsseEnvelope"]["payload"] = payload
    assert not accepted_by_npm(npm, tmp_path, made, logged)
    made = sigstore_bundle(logged)
    made["dsseEnvelope"]["payloadType"] = "application/json"
    assert not accepted_by_npm(npm, tmp_path, made, logged)
    assert not accepted_by_npm(npm, tmp_path, sigstore_bundle(logged), TrustWorld().bundle())


def by_hand(folder: Path, bundle: bytes, world: TrustWorld) -> subprocess.CompletedProcess[str]:
    if shutil.which("jq") is None or shutil.which("openssl") is None:
        pytest.skip("jq and openssl are not installed (apt-get install jq openssl)")
    trust = write(folder / "trust.toml", world.trust.to_toml())
    return run("sh", BY_HAND, write(folder / "bundle.json", bundle), trust)


def test_a_shell_verifies_it(world: TrustWorld, logged: Bundle, tmp_path: Path) -> None:
    done = by_hand(tmp_path, logged.encode(), world)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"log         entry 4 of 5 in {world.origin}" in done.stdout
    assert "logged by 2026-01-01T00:00:00Z" in done.stdout
    assert "ERASED drive Block 1, serial SIM0001: Clear by overwrite" in done.stdout


def test_a_shell_follows_every_shape_of_proof(tmp_path: Path) -> None:
    world = TrustWorld(site="Atelier d'Été")
    bundle = world.bundle()
    world.logged(bundle)
    for _ in range(6):
        world.logged(world.bundle())
        done = by_hand(tmp_path, bundle.with_receipt(world.receipt(0, world.now)).encode(), world)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_shell_refuses(world: TrustWorld, logged: Bundle, tmp_path: Path) -> None:
    other = world.bundle()
    assert logged.receipt is not None
    flipped = bytearray(logged.envelope.signatures[0].sig)
    flipped[-1] ^= 1
    signature = Signature(logged.envelope.signatures[0].keyid, bytes(flipped))
    forged = replace(logged, envelope=replace(logged.envelope, signatures=(signature,)))
    failed = world.logged(world.bundle(*((at, BlockFault.WRITE_ERROR) for at in range(1, 2000))))
    for bundle, reason in (
        (forged, "the signature does not fit"),
        (other, "no receipt"),
        (other.with_receipt(logged.receipt), "does not lead to the checkpoint"),
        (logged.with_receipt(replace(logged.receipt, index=3)), "too short"),
        (logged.with_receipt(replace(logged.receipt, index=5)), "no entry of that number"),
        (logged.with_receipt(replace(logged.receipt, proof=())), "too short"),
        (logged.with_receipt(replace(logged.receipt, proof=logged.receipt.proof * 4)), "too long"),
        (failed, "not erased"),
    ):
        done = by_hand(tmp_path, bundle.encode(), world)
        assert done.returncode == 1
        assert "NOT VERIFIED: " in done.stderr
        assert reason in done.stderr
    stranger = TrustWorld()
    assert "registry authority" in by_hand(tmp_path, logged.encode(), stranger).stderr
    stranger.trust = replace(world.trust, logs=stranger.trust.logs)
    assert "did not sign the checkpoint" in by_hand(tmp_path, logged.encode(), stranger).stderr
