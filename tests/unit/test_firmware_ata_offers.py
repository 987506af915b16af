"""What an ATA drive offers, and whether commands reach the drive that the block layer names."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from rasura.certificate import Method, Technique
from rasura_agent.drive.ata.sanitize import SanitizeStatus
from rasura_agent.erase.firmware.ata_drive import Medium, medium_of, pass_through_obstacle
from rasura_agent.erase.firmware.ata_offers import offers
from rasura_agent.erase.firmware.ata_sanitize_status import read_sanitize_status
from rasura_agent.erase.firmware.offer import Offer
from rasura_agent.inventory.model import Transport
from simulators.ata_host import USER
from simulators.ata_options import AtaOptions, Freeze
from simulators.ports_media import Technique as Operation
from simulators.sat import BridgeOptions
from unit.test_firmware_ata_bench import Bench

BLOCK, CRYPTO = Technique.ATA_SANITIZE_BLOCK, Technique.ATA_SANITIZE_CRYPTO
OVERWRITE = Technique.ATA_SANITIZE_OVERWRITE
ENHANCED, NORMAL = Technique.ATA_SECURITY_ERASE_ENHANCED, Technique.ATA_SECURITY_ERASE
SECURITY, SANITIZE = (ENHANCED, NORMAL), (BLOCK, OVERWRITE, CRYPTO)
HDD = AtaOptions()
SSD = AtaOptions(rotation_rate=1)
SILENT = AtaOptions(rotation_rate=0)


def found(options: AtaOptions, *, r1: bool = False, status: bool = False) -> dict[Technique, Offer]:
    bench = Bench(options)
    told = read_sanitize_status(bench.line()) if status else None
    sanitize = told if isinstance(told, SanitizeStatus) else None
    drive = replace(
        bench.inventory(), rotational=None if options.rotation_rate == 0 else options.rotation_rate != 1
    )
    made = offers(bench.identify(), drive, r1, sanitize=sanitize)
    return {offer.technique: offer for offer in made}


@pytest.mark.parametrize(
    ("options", "r1", "purge", "clear"),
    [
        (HDD, False, (OVERWRITE, CRYPTO), (BLOCK, ENHANCED, NORMAL)),
        (HDD, True, (OVERWRITE, CRYPTO, ENHANCED), (BLOCK, NORMAL)),
        (SSD, False, (BLOCK, CRYPTO), (OVERWRITE, ENHANCED, NORMAL)),
        (SSD, True, (BLOCK, CRYPTO), (OVERWRITE, ENHANCED, NORMAL)),
        (SILENT, True, (CRYPTO,), (BLOCK, OVERWRITE, ENHANCED, NORMAL)),
    ],
)
def test_methods_by_medium_and_basis(
    options: AtaOptions, r1: bool, purge: tuple[Technique, ...], clear: tuple[Technique, ...]
) -> None:
    made = found(options, r1=r1)
    assert tuple(made) == (*purge, *clear), "strongest first"
    assert all(made[one].method is Method.PURGE for one in purge)
    assert all(made[one].method is Method.CLEAR for one in clear)
    assert all(offer.obstacle is None for offer in made.values())


def test_bases_and_estimates() -> None:
    made = found(replace(HDD, enhanced_word=0), r1=True)
    assert made[OVERWRITE].basis == "IEEE 2883 / NIST SP 800-88r2 Purge"
    assert made[ENHANCED].basis == "NIST SP 800-88r1 A-5"
    assert made[NORMAL].basis == "NIST SP 800-88r2 Clear"
    assert (made[OVERWRITE].estimate_s, made[ENHANCED].estimate_s, made[NORMAL].estimate_s) == (
        None,
        None,
        7200,
    )


@pytest.mark.parametrize(
    ("options", "hit", "words"),
    [
        (replace(HDD, sanitize=frozenset()), SANITIZE, "does not offer"),
        (
            replace(HDD, sanitize=frozenset({Operation.CRYPTO, Operation.BLOCK})),
            (OVERWRITE,),
            "does not offer",
        ),
        (replace(HDD, security=False), SECURITY, "no Security feature set"),
        (replace(HDD, enhanced_erase=False), (ENHANCED,), "no enhanced"),
        (replace(HDD, bios_freezes=Freeze.AT_BOOT), SECURITY, "suspend"),
        (replace(HDD, bios_freezes_sanitize=Freeze.AT_BOOT), SANITIZE, "SD1"),
        (replace(HDD, user_password=USER), (*SANITIZE, *SECURITY), "locked by a password"),
        (replace(HDD, attempts_expired=True), SECURITY, "no more passwords"),
    ],
)
def test_obstacles_are_sentences(options: AtaOptions, hit: tuple[Technique, ...], words: str) -> None:
    made = found(options, status=True)
    assert set(made) == {*SANITIZE, *SECURITY}, "every technique is listed"
    for technique, offer in made.items():
        assert (offer.obstacle is not None) is (technique in hit)
        assert words in (offer.obstacle or words)


def test_a_sanitize_at_work_stands_in_the_way() -> None:
    bench = Bench()
    bench.drive.taskfile(0xB4, feature=0x12, lba=0x426B4572, device=0x40, ext=True)
    status = read_sanitize_status(bench.line())
    assert isinstance(status, SanitizeStatus)
    made = {o.technique: o for o in offers(bench.identify(), bench.inventory(), sanitize=status)}
    assert all("SD2" in (made[technique].obstacle or "") for technique in SANITIZE)


def test_no_security_erase_through_usb() -> None:
    bench = Bench()
    usb = replace(bench.inventory(), transport=Transport.USB)
    made = {o.technique: o for o in offers(bench.identify(), usb)}
    assert all("USB bridge" in (made[technique].obstacle or "") for technique in SECURITY)
    assert all(made[technique].obstacle is None for technique in SANITIZE)


class TestPassThrough:
    def test_one_and_the_same(self) -> None:
        bench = Bench()
        assert pass_through_obstacle(bench.identify(), bench.inventory()) is None

    @pytest.mark.parametrize(
        ("serial", "model"),
        [
            ("SIM-ATA-0001", "SIMULATED ATA DR"),
            ("SIM-ATA-0001", "SIMULATED  ATA_DRIVE"),
            ("  SIM-ATA-0001 ", "SIMULATED ATA DRIVE"),
        ],
    )
    def test_how_the_kernel_and_udev_spell_it(self, serial: str, model: str) -> None:
        bench = Bench()
        assert (
            pass_through_obstacle(bench.identify(), replace(bench.inventory(), serial=serial, model=model))
            is None
        )

    @pytest.mark.parametrize(
        ("serial", "model"),
        [
            ("SIM-ATA-0002", "SIMULATED ATA DRIVE"),
            ("SIM-ATA-000", "SIMULATED ATA DRIVE"),
            (None, "SIMULATED ATA DRIVE"),
            ("SIM-ATA-0001", None),
            ("SIM-ATA-0001", "SIMULATED"),
            ("SIM-ATA-0001", "LOGICAL VOLUME"),
        ],
    )
    def test_another_drive(self, serial: str | None, model: str | None) -> None:
        bench = Bench()
        shown = replace(bench.inventory(), serial=serial, model=model)
        assert "would be unknown" in (pass_through_obstacle(bench.identify(), shown) or "")
        assert all(offer.obstacle is not None for offer in offers(bench.identify(), shown))

    def test_a_bridge_that_shows_itself(self) -> None:
        other = Bench(AtaOptions(serial="BRIDGE")).drive.identify_page()
        bench = Bench(bridge=BridgeOptions(identity=other))
        assert "BRIDGE" in (pass_through_obstacle(bench.identify(), bench.inventory()) or "")

    def test_pages_that_cannot_be_believed(self) -> None:
        bench = Bench()
        identify = bench.identify()
        for damaged in (
            replace(identify, checksum_valid=False),
            replace(identify, response_incomplete=True),
            replace(identify, serial=None),
            replace(identify, model=None),
        ):
            assert pass_through_obstacle(damaged, bench.inventory()) is not None
        assert pass_through_obstacle(replace(identify, checksum_valid=None), bench.inventory()) is None


@pytest.mark.parametrize(
    ("said", "kernel", "medium"),
    [
        (True, True, Medium.ROTATING),
        (True, None, Medium.ROTATING),
        (True, False, Medium.UNKNOWN),
        (False, False, Medium.FLASH),
        (False, True, Medium.FLASH),
        (None, False, Medium.FLASH),
        (None, True, Medium.UNKNOWN),
        (None, None, Medium.UNKNOWN),
    ],
)
def test_medium(said: bool | None, kernel: bool | None, medium: Medium) -> None:
    bench = Bench()
    identify = replace(bench.identify(), rotational=said)
    assert medium_of(identify, replace(bench.inventory(), rotational=kernel)) is medium
