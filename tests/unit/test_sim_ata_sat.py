"""The simulated SCSI / ATA translation (SAT-4): framing both ways, and the bridges that do it badly."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.ata import SimulatedAtaDrive
from simulators.ata_host import USER, password_block
from simulators.ata_options import AtaOptions
from simulators.ata_security import SecurityState
from simulators.sat import BridgeOptions, SatTarget
from simulators.scsi_sense import CHECK_CONDITION, GOOD
from simulators.world import ManualClock, Medium

SG_DECODE_SENSE = shutil.which("sg_decode_sense")


def target(
    options: AtaOptions | None = None, bridge: BridgeOptions | None = None, sectors: int = 64
) -> SatTarget:
    return SatTarget(SimulatedAtaDrive(ManualClock(), Medium(512, sectors), options), bridge)


def cdb(text: str) -> bytes:
    return bytes.fromhex(text)


class TestToolsBytes:
    """Byte sequences as hdparm (sgio.c: CK_COND for non-data only), smartctl and sg3_utils build them."""

    def test_hdparm_identify(self) -> None:
        for command in (
            "85 08 0e 00 00 00 01 00 00 00 00 00 00 40 ec 00",
            "a1 08 0e 00 01 00 00 00 40 ec 00 00",
        ):
            answer = target().execute(cdb(command), data_in_bytes=512)
            assert (answer.status, answer.sense, len(answer.data)) == (GOOD, b"", 512)

    def test_smartctl_identify_and_return_status(self) -> None:
        sat = target()
        assert (
            len(sat.execute(cdb("85 08 0e 00 00 00 01 00 00 00 00 00 00 00 ec 00"), data_in_bytes=512).data)
            == 512
        )
        answer = sat.execute(cdb("85 06 2c 00 da 00 00 00 00 00 4f 00 c2 00 b0 00"))
        assert answer.status == CHECK_CONDITION
        assert answer.sense.hex(" ") == "72 01 00 1d 00 00 00 0e 09 0c 00 00 00 00 00 00 00 4f 00 c2 40 50"

    def test_hdparm_security_erase(self) -> None:
        sat = target()
        for command, password in (("f1", USER), ("f4", USER)):
            if command == "f4":
                prepare = sat.execute(cdb("85 06 20 00 00 00 00 00 00 00 00 00 00 40 f3 00"))
                assert prepare.sense[21] == 0x50
            out = cdb(f"85 0a 06 00 00 00 01 00 00 00 00 00 00 40 {command} 00")
            assert sat.execute(out, password_block(password)) == (GOOD, b"", b"")
        assert sat.drive.security.state is SecurityState.SEC1
        assert sat.clock.monotonic() > 7000

    def test_hdparm_native_max_and_dco(self) -> None:
        sat = target(AtaOptions(hpa_sectors=40, dco_sectors=50), sectors=64)
        native = sat.execute(cdb("85 07 20 00 00 00 00 00 00 00 00 00 00 40 27 00"))
        assert native.sense[8:22].hex(" ") == "09 0c 01 00 00 00 00 31 00 00 00 00 40 50"
        done = sat.execute(cdb("85 07 20 00 00 00 01 00 31 00 00 00 00 40 37 00"))
        assert done.sense[21] == 0x50
        assert sat.blocks == 50
        page = sat.execute(cdb("85 08 0e 00 c2 00 01 00 00 00 00 00 00 40 b1 00"), data_in_bytes=512).data
        assert int.from_bytes(page[6:14], "little") == 63
        restored = sat.execute(cdb("85 06 20 00 c0 00 00 00 00 00 00 00 00 40 b1 00"))
        assert restored.sense[21] == 0x50

    def test_sanitize_and_its_progress(self) -> None:
        sat = target()
        started = sat.execute(cdb("85 07 20 00 12 00 00 42 72 00 45 00 6b 40 b4 00"))
        assert started.sense[8:22].hex(" ") == "09 0c 01 00 40 00 00 00 00 00 00 00 40 50"
        sat.clock.sleep(15)
        status = sat.execute(cdb("85 07 20 00 00 00 00 00 00 00 00 00 00 40 b4 00"))
        assert status.sense[12:14] == b"\x40\x00"
        assert (status.sense[17] << 8 | status.sense[15]) == 32768

    def test_capacity_inquiry_and_vital_product_data(self) -> None:
        sat = target()
        assert (
            sat.execute(cdb("25 00 00 00 00 00 00 00 00 00"), data_in_bytes=8).data.hex()
            == "0000003f00000200"
        )
        long = sat.execute(cdb("9e 10 00 00 00 00 00 00 00 00 00 00 00 20 00 00"), data_in_bytes=32).data
        assert long[:12].hex() == "000000000000003f00000200"
        assert sat.execute(cdb("12 00 00 00 24 00"), data_in_bytes=36).data[8:16] == b"ATA     "
        assert sat.execute(
            cdb("12 01 00 00 fc 00"), data_in_bytes=252
        ).data.hex() == "00000006008083 89b0b1".replace(" ", "")
        ata = sat.execute(cdb("12 01 89 02 3c 00"), data_in_bytes=572).data
        assert len(ata) == 572
        assert ata[2:4] == b"\x02\x38"
        assert ata[60:] == sat.drive.identify_page()
        assert sat.execute(cdb("12 01 b1 00 40 00"), data_in_bytes=64).data[4:6] == (7200).to_bytes(2, "big")
        serial = sat.execute(cdb("12 01 80 00 ff 00"), data_in_bytes=255).data
        assert serial[4:].strip() == b"SIM-ATA-0001"
        assert (
            b"\x50\x00\xc5\x00\xa1\xb2\xc3\xd4"
            in sat.execute(cdb("12 01 83 00 ff 00"), data_in_bytes=255).data
        )

    def test_blocks(self) -> None:
        sat = target()
        data = bytes(range(256)) * 4
        assert sat.execute(cdb("2a 00 00 00 00 05 00 00 02 00"), data).status == GOOD
        assert sat.execute(cdb("28 00 00 00 00 05 00 00 02 00"), b"", 1024).data == data
        assert sat.execute(cdb("88 00 00 00 00 00 00 00 00 05 00 00 00 02 00 00"), b"", 1024).data == data
        assert sat.execute(cdb("35 00 00 00 00 00 00 00 00 00")).status == GOOD
        assert sat.execute(cdb("00 00 00 00 00 00")).status == GOOD
        assert sat.execute(cdb("03 00 00 00 12 00"), b"", 18).data[0] == 0x70


BASE = "85 06 20 00 00 00 00 00 00 00 00 00 00 40 e5 00"
IDENTIFY = "85 08 2e 00 00 00 01 00 00 00 00 00 00 40 ec 00"
REFUSED = {
    "protocol hard reset": ("85 00 20 00 00 00 00 00 00 00 00 00 00 40 e5 00", 0, 0),
    "protocol DMA": ("85 0c 2e 00 00 00 01 00 00 00 00 00 00 40 ec 00", 0, 512),
    "multiple count": ("85 28 2e 00 00 00 01 00 00 00 00 00 00 40 ec 00", 0, 512),
    "non-data with a length": ("85 06 22 00 00 00 00 00 00 00 00 00 00 40 e5 00", 0, 0),
    "non-data with data out": (BASE, 512, 0),
    "non-data with a buffer in": (BASE, 0, 512),
    "PIO in without a length": ("85 08 2c 00 00 00 01 00 00 00 00 00 00 40 ec 00", 0, 512),
    "PIO in in the wrong direction": ("85 08 26 00 00 00 01 00 00 00 00 00 00 40 ec 00", 0, 512),
    "PIO in of zero blocks": ("85 08 2e 00 00 00 00 00 00 00 00 00 00 40 ec 00", 0, 512),
    "PIO in into a short buffer": (IDENTIFY, 0, 511),
    "PIO out in the wrong direction": ("85 0a 2e 00 00 00 01 00 00 00 00 00 00 40 f1 00", 512, 0),
    "PIO out of another length": ("85 0a 26 00 00 00 01 00 00 00 00 00 00 40 f1 00", 1024, 0),
    "high bytes without extend": ("85 06 20 00 00 00 00 01 00 00 00 00 00 40 e5 00", 0, 0),
    "extend in 12 bytes": ("a1 07 20 00 00 00 00 00 40 e5 00 00", 0, 0),
    "control byte": (BASE[:-2] + "04", 0, 0),
    "short CDB": (BASE[:-3], 0, 0),
}


@pytest.mark.parametrize("name", REFUSED)
def test_malformed_pass_through(name: str) -> None:
    text, out, into = REFUSED[name]
    answer = target().execute(cdb(text), bytes(out), into)
    assert answer.status == CHECK_CONDITION
    assert answer.sense[1:4] == b"\x05\x24\x00"
    assert answer.sense[7] == 8, "no ATA descriptor: the drive never saw it"


def test_the_base_of_those_is_well_formed() -> None:
    assert target().execute(cdb(BASE)).sense[13] == 0xFF
    assert target().execute(cdb(IDENTIFY), b"", 512).sense[1:4] == b"\x01\x00\x1d"


@pytest.mark.parametrize("opcode", [0x04, 0x48, 0x15, 0xA3, 0xC0, 0xFF])
def test_other_operation_codes(opcode: int) -> None:
    answer = target().execute(bytes((opcode,)).ljust(16, b"\0"))
    assert answer.sense[1:4] == b"\x05\x20\x00"
    assert target().execute(b"").sense[1:4] == b"\x05\x20\x00"


@given(st.binary(min_size=1, max_size=17), st.binary(max_size=512), st.integers(0, 600))
def test_any_bytes_get_an_answer(data: bytes, out: bytes, into: int) -> None:
    answer = target().execute(data, out, into)
    assert (answer.status == CHECK_CONDITION) is bool(answer.sense)
    assert len(answer.data) <= into


def test_errors_are_mapped() -> None:
    sat = target(AtaOptions(user_password=USER))
    aborted = sat.execute(cdb("85 07 20 00 00 00 00 00 00 00 00 00 00 40 ea 00"))
    assert aborted.sense[:4] == b"\x72\x0b\x00\x00"
    assert (aborted.sense[11], aborted.sense[21]) == (0x04, 0x51)
    without_asking = sat.execute(cdb("85 07 00 00 00 00 00 00 00 00 00 00 00 40 ea 00"))
    assert without_asking == aborted, "an error returns the descriptor without CK_COND too"
    assert sat.execute(cdb("28 00 00 00 00 00 00 00 01 00"), b"", 512).sense[1:4] == b"\x0b\x00\x00"
    sat = target()
    assert sat.execute(cdb("28 00 00 00 00 40 00 00 01 00"), b"", 512).sense[1:4] == b"\x05\x21\x00"
    sat.drive.medium.bad.add(2)
    assert sat.execute(cdb("28 00 00 00 00 01 00 00 02 00"), b"", 1024).sense[1:4] == b"\x03\x11\x04"
    pio = sat.execute(cdb("85 09 2e 00 00 00 02 00 01 00 00 00 00 40 24 00"), b"", 1024)
    assert pio.sense[1:4] == b"\x03\x11\x04"
    assert pio.sense[15] == 2


class TestBridges:
    STATUS = cdb("85 07 20 00 00 00 00 00 00 00 00 00 00 40 b4 00")
    ERASE = cdb("85 07 20 00 12 00 00 42 72 00 45 00 6b 40 b4 00")
    FREEZE = cdb("85 06 20 00 00 00 00 00 00 00 00 00 00 40 f5 00")

    def test_swallows_the_descriptor(self) -> None:
        sat = target(None, BridgeOptions(swallows_descriptor=True))
        assert sat.execute(self.FREEZE) == (GOOD, b"", b"")
        assert sat.drive.security.state is SecurityState.SEC2
        refused = sat.execute(cdb("85 0a 26 00 00 00 01 00 00 00 00 00 00 40 f1 00"), password_block(USER))
        assert refused.status == CHECK_CONDITION
        assert len(refused.sense) == 8

    def test_fixed_sense(self) -> None:
        sat = target(None, BridgeOptions(fixed_sense=True))
        assert sat.execute(self.ERASE).status == CHECK_CONDITION
        sat.clock.sleep(15)
        sense = sat.execute(self.STATUS).sense
        # ERROR, STATUS, DEVICE, COUNT(7:0); EXTEND and COUNT UPPER NONZERO; LBA(7:0), (15:8), (23:16).
        assert sense.hex(" ") == "70 00 01 00 50 40 00 0a c0 00 80 00 00 1d 00 00 00 00"

    def test_another_identity(self) -> None:
        other = SimulatedAtaDrive(
            ManualClock(), Medium(512, 64), AtaOptions(model="ANOTHER", serial="X")
        ).identify_page()
        sat = target(None, BridgeOptions(identity=other))
        assert sat.execute(cdb(IDENTIFY), b"", 512).data == other
        assert sat.execute(cdb("12 00 00 00 24 00"), b"", 36).data[16:23] == b"ANOTHER"
        assert sat.describe().serial == "X"

    def test_rejects_16_or_12(self) -> None:
        twelve = cdb("a1 08 0e 00 01 00 00 00 40 ec 00 00")
        sat = target(None, BridgeOptions(rejects_16=True))
        assert sat.execute(cdb(IDENTIFY), b"", 512).sense[1:4] == b"\x05\x20\x00"
        assert sat.execute(twelve, b"", 512).status == GOOD
        assert (
            target(None, BridgeOptions(rejects_12=True)).execute(twelve, b"", 512).sense[1:4]
            == b"\x05\x20\x00"
        )

    def test_pretends(self) -> None:
        sat = target(None, BridgeOptions(pretends=True))
        assert sat.execute(self.FREEZE).sense[21] == 0x50
        assert sat.drive.security.state is SecurityState.SEC1
        assert len(sat.execute(cdb(IDENTIFY), b"", 512).data) == 512


@pytest.mark.skipif(SG_DECODE_SENSE is None, reason="sg_decode_sense is the oracle of this test")
@pytest.mark.parametrize("fixed", [False, True])
def test_sg_decode_sense_agrees(fixed: bool) -> None:
    sat = target(None, BridgeOptions(fixed_sense=fixed))
    sat.execute(TestBridges.ERASE)
    sat.clock.sleep(15)
    sense = sat.execute(TestBridges.STATUS).sense
    assert SG_DECODE_SENSE is not None
    said = subprocess.run(
        [SG_DECODE_SENSE, *sense.hex(" ").split()], text=True, capture_output=True, check=True
    ).stdout
    assert "Recovered Error" in said
    assert "ATA pass through information available" in said
    if not fixed:
        assert "extend=1 error=0x0" in said
        assert "count=0x4000" in said
        assert "lba=0x000000008000" in said
        assert "status=0x50" in said
