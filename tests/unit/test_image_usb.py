"""Sticks: written, read back, filled; what an older one kept stays; and no secret in the open."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from rasura.errors import RefusedError, UsageError
from rasura.site_kit import seal_site_key
from rasura_agent.inventory.labels import DATA_LABEL, fat32_labels
from rasura_agent.live.gpt import SECTOR_BYTES, parse_table
from rasura_image.errors import BuildError
from rasura_image.settings import Settings, parse_settings
from rasura_image.usb import StickContents, write_stick
from simulators.signing import TrustWorld
from simulators.stick import SimulatedStick

MIB = 1 << 20
pytestmark = pytest.mark.skipif(
    shutil.which("mcopy") is None or shutil.which("mkfs.vfat", path="/usr/sbin:/sbin:/usr/bin") is None,
    reason="mtools or dosfstools are not installed (apt-get install mtools dosfstools)",
)
PASSPHRASE = "correct horse battery"


def quiet(_step: str) -> None:
    """Nobody listens."""


@pytest.fixture
def iso(tmp_path: Path) -> Path:
    """The smallest file that has what the code looks at: a volume, a table, a build."""
    simulated = SimulatedStick()
    path = tmp_path / "rasura.iso"
    path.write_bytes(simulated.read(0, 4 * MIB))
    return path


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    path = tmp_path / "stick.img"
    with path.open("wb") as stream:
        stream.truncate(128 * MIB)
    return path


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder: Path = TrustWorld().write_kit(tmp_path / "site", "https://registry.example")
    seal_site_key(folder, lambda: PASSPHRASE)
    return folder


def on_data_partition(stick: Path, name: str) -> bytes:
    data = stick.read_bytes()
    first = parse_table(lambda offset, length: data[offset : offset + length]).partitions[-1].first
    at = first * SECTOR_BYTES
    assert DATA_LABEL in fat32_labels(lambda offset, length: data[at + offset : at + offset + length])
    volume = f"{stick}@@{at}"
    return subprocess.run(["mcopy", "-i", volume, f"::{name}", "-"], capture_output=True, check=True).stdout


def put_on_data_partition(stick: Path, name: str, content: Path) -> None:
    data = stick.read_bytes()
    first = parse_table(lambda offset, length: data[offset : offset + length]).partitions[-1].first
    volume = f"{stick}@@{first * SECTOR_BYTES}"
    subprocess.run(
        ["mmd", "-D", "s", "-i", volume, f"::{Path(name).parent}"], check=False, capture_output=True
    )
    subprocess.run(["mcopy", "-i", volume, str(content), f"::{name}"], check=True)


def test_everything_is_on_it(iso: Path, stick: Path, site: Path, tmp_path: Path) -> None:
    text = '[station]\nlang = "fr"\n[menu]\ndefault = "serial"\n'
    policy = tmp_path / "school.toml"
    policy.write_text('name = "school"\n[erase]\nmethod = "Clear"\n')
    write_stick(stick, iso, StickContents(parse_settings(text), text, site, (policy,)), quiet)
    assert on_data_partition(stick, "site/site.key") == (site / "site.key").read_bytes()
    assert on_data_partition(stick, "policies/school.toml") == policy.read_bytes()
    assert b"set rasura_lang=fr" in on_data_partition(stick, "boot/rasura.cfg")
    assert on_data_partition(stick, "boot/settings.toml").decode() == text
    assert "RASURA" in on_data_partition(stick, "LISEZMOI.txt").decode("utf-8-sig").upper()
    subprocess.run(["mdir", "-i", f"{stick}@@{_data_offset(stick)}", "::certificates"], check=True)


def _data_offset(stick: Path) -> int:
    data = stick.read_bytes()
    return parse_table(lambda o, n: data[o : o + n]).partitions[-1].first * SECTOR_BYTES


def test_a_site_key_without_a_passphrase_does_not_go_on_a_stick(
    iso: Path, stick: Path, tmp_path: Path
) -> None:
    before = stick.read_bytes()
    site = TrustWorld().write_kit(tmp_path / "open-site", "https://registry.example")
    with pytest.raises(RefusedError, match="no passphrase") as raised:
        write_stick(stick, iso, StickContents(Settings(), site=site), quiet)
    assert "rasura-registry seal" in str(raised.value.hint)
    assert stick.read_bytes() == before


def test_a_site_whose_key_is_elsewhere_does_not_go_on_a_stick(iso: Path, stick: Path, tmp_path: Path) -> None:
    site = TrustWorld().write_kit(tmp_path / "token-site", "https://registry.example")
    (site / "site.key").unlink()
    (site / "site.toml").write_text((site / "site.toml").read_text() + 'key = "pkcs11:object=site"\n')
    with pytest.raises(UsageError, match="a stick would not find it"):
        write_stick(stick, iso, StickContents(Settings(), site=site), quiet)


def test_what_an_older_stick_kept_stays(iso: Path, stick: Path, site: Path, tmp_path: Path) -> None:
    """A certificate that was not sent yet must not be lost by bringing a stick up to date."""
    write_stick(stick, iso, StickContents(Settings(), site=site), quiet)
    certificate = tmp_path / "c.json"
    certificate.write_text('{"unsent": true}')
    put_on_data_partition(stick, "certificates/pending/c.json", certificate)
    write_stick(stick, iso, StickContents(Settings()), quiet)
    assert on_data_partition(stick, "certificates/pending/c.json") == certificate.read_bytes()
    assert on_data_partition(stick, "site/site.key") == (site / "site.key").read_bytes()


def test_what_an_older_stick_kept_survives_a_failure(
    iso: Path, stick: Path, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_stick(stick, iso, StickContents(Settings(), site=site), quiet)
    assert not list(tmp_path.glob("rasura-stick-kept-*"))
    certificate = tmp_path / "c.json"
    certificate.write_text('{"unsent": true}')
    put_on_data_partition(stick, "certificates/pending/c.json", certificate)
    with pytest.raises(BuildError) as raised:
        write_stick(stick, iso, StickContents(Settings(), policies=(tmp_path / "none.toml",)), quiet)
    (kept,) = tmp_path.glob("rasura-stick-kept-*")
    assert str(kept) in str(raised.value.hint)
    assert (kept / "certificates/pending/c.json").read_bytes() == certificate.read_bytes()


def test_a_stick_that_is_too_small(iso: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.img"
    small.write_bytes(bytes(32 * MIB))
    with pytest.raises(UsageError, match="too small"):
        write_stick(small, iso, StickContents(Settings()), quiet)
    assert small.read_bytes() == bytes(32 * MIB)


@pytest.mark.parametrize("content", [b"", b"\0" * MIB, b"CD001" * 20000])
def test_what_is_no_image_of_ours_is_not_written(content: bytes, stick: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.iso"
    other.write_bytes(content)
    before = stick.read_bytes()
    with pytest.raises(UsageError, match="no image of ours"):
        write_stick(stick, other, StickContents(Settings()), quiet)
    assert stick.read_bytes() == before


def test_a_stick_that_cannot_be_opened_is_one_sentence(iso: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot open"):
        write_stick(tmp_path, iso, StickContents(Settings()), quiet)
