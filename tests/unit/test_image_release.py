"""A release: from a clean checkout only, its sums signed by a real minisign."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rasura.errors import RefusedError, UsageError
from rasura_image.build import Builder, Built
from rasura_image.payload import BuildFacts
from rasura_image.release import release

FACTS = BuildFacts("0.1.0", "0" * 40, {"vmlinuz": "1" * 64})


class QuickBuilder(Builder):
    """Builds one small file in place of an image."""

    def build(
        self, target: Path, *, update: bool = False, notes: Callable[[BuildFacts], str] | None = None
    ) -> Built:
        assert update, "a release is made of the newest packages"
        assert notes is not None
        target.mkdir(parents=True)
        (target / "rasura.iso").write_bytes(b"the image")
        (target / "RELEASE.md").write_text(notes(FACTS))
        sums = [
            f"{hashlib.sha256((target / name).read_bytes()).hexdigest()}  {name}\n"
            for name in ("RELEASE.md", "rasura.iso")
        ]
        (target / "SHA256SUMS").write_text("".join(sums))
        return Built(target, FACTS)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "CHANGELOG.md").write_text(
        "# Changes\n\n## 0.2.0, not yet released\n- Newest.\n\n## 0.1.0\n- Older.\n"
    )
    name = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    for words in (("init", "-q"), ("add", "."), (*name, "commit", "-q", "-m", "all")):
        subprocess.run(["git", "-C", str(root), *words], check=True)
    return root


def _released(checkout: Path, tmp_path: Path) -> tuple[Path, list[str]]:
    said: list[str] = []
    target = tmp_path / "image"
    release(QuickBuilder(checkout, tmp_path / "cache", said.append), checkout, target, said.append)
    return target, said


@pytest.mark.skipif(shutil.which("minisign") is None, reason="minisign is not installed")
def test_signed(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, public = tmp_path / "minisign.key", tmp_path / "minisign.pub"
    subprocess.run(["minisign", "-G", "-W", "-s", secret, "-p", public], check=True, capture_output=True)
    monkeypatch.setenv("RASURA_SIGNING_KEY", str(secret))
    target, said = _released(checkout, tmp_path)
    assert any("SHA256SUMS.minisig" in line for line in said)
    key = public.read_text().splitlines()[1]
    assert f"minisign -V -P {key} -m SHA256SUMS\n" in (target / "RELEASE.md").read_text()
    check = ["minisign", "-V", "-p", public, "-m", "SHA256SUMS"]
    good = subprocess.run(check, cwd=target, check=True, capture_output=True, text=True)
    assert FACTS.build_hash in good.stdout, "the trusted comment names the build"
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=target, check=True)
    with (target / "SHA256SUMS").open("a") as sums:
        sums.write(f"{'0' * 64}  another.iso\n")
    assert subprocess.run(check, cwd=target, check=False, capture_output=True).returncode


@pytest.mark.skipif(shutil.which("minisign") is None, reason="minisign is not installed")
def test_a_key_that_is_none_leaves_it_unsigned_and_says_so(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no.key").write_text("not a key\n")
    monkeypatch.setenv("RASURA_SIGNING_KEY", str(tmp_path / "no.key"))
    with pytest.raises(RefusedError, match="not to be published"):
        _released(checkout, tmp_path)
    assert not (tmp_path / "image/SHA256SUMS.minisig").exists()


@pytest.mark.skipif(shutil.which("minisign") is None, reason="minisign is not installed")
def test_a_key_is_named_from_the_current_folder(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = ["minisign", "-G", "-W", "-s", "my.key", "-p", "elsewhere"]
    subprocess.run(make, cwd=tmp_path, check=True, capture_output=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RASURA_SIGNING_KEY", "my.key")
    target, _ = _released(checkout, tmp_path)
    assert (target / "SHA256SUMS.minisig").is_file()
    notes = (target / "RELEASE.md").read_text()
    assert "-P PUBLICKEY" in notes
    assert "the publisher's minisign key" in notes


@pytest.mark.skipif(shutil.which("minisign") is None, reason="minisign is not installed")
def test_the_public_key_of_another_pair_is_noticed(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, public in (("my.key", "none"), ("other.key", "my.pub")):
        make = ["minisign", "-G", "-W", "-s", name, "-p", public]
        subprocess.run(make, cwd=tmp_path, check=True, capture_output=True)
    monkeypatch.setenv("RASURA_SIGNING_KEY", str(tmp_path / "my.key"))
    with pytest.raises(RefusedError, match="not the public key"):
        _released(checkout, tmp_path)
    assert not (tmp_path / "image/SHA256SUMS.minisig").exists()


@pytest.mark.parametrize("name", ["none.key", "."])
def test_a_key_that_cannot_be_read_is_told_before_anything_is_built(
    name: str, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RASURA_SIGNING_KEY", str(tmp_path / name))
    with pytest.raises(UsageError, match="cannot read the signing key"):
        _released(checkout, tmp_path)
    assert not (tmp_path / "image").exists()


def test_unsigned_where_there_is_no_key(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RASURA_SIGNING_KEY", raising=False)
    target, said = _released(checkout, tmp_path)
    assert any(line.startswith("not signed") for line in said)
    notes = (target / "RELEASE.md").read_text()
    assert FACTS.build_hash in notes
    assert "\n## 0.2.0\n- Newest." in notes
    assert "not yet released" not in notes
    assert "This build is not signed." in notes
    assert "minisign -V" not in notes
    assert "- Older." not in notes


def test_a_changed_checkout_is_refused(checkout: Path, tmp_path: Path) -> None:
    (checkout / "new").write_text("not committed")
    with pytest.raises(RefusedError, match="not committed"):
        _released(checkout, tmp_path)
    assert not (tmp_path / "image").exists()
