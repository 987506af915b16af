"""The pages by which drives identify themselves."""

from hypothesis import given, settings
from hypothesis import strategies as st

from rasura_agent.inventory import pages

NAA = bytes.fromhex("01030008") + bytes.fromhex("5000c50015ea71aa")
SAT_T10 = bytes([2, 1, 0, 68]) + b"ATA     " + b"TOSHIBA DT01ACA100".ljust(40) + b"Y6AKDK9MS".rjust(20)
PORT_A = bytes.fromhex("61930008") + bytes.fromhex("5000c50015ea71a9")
PORT_B = bytes.fromhex("61930008") + bytes.fromhex("5000c50015ea71ab")


def page(code: int, body: bytes, *, declared: int | None = None) -> bytes:
    return bytes([0, code]) + (len(body) if declared is None else declared).to_bytes(2, "big") + body


def swapped(value: str, length: int) -> bytes:
    raw = value.encode().ljust(length)
    return b"".join(raw[i : i + 2][::-1] for i in range(0, length, 2))


def identify(**words: int) -> bytes:
    """A whole VPD page 89h (572 bytes) around IDENTIFY DEVICE data."""
    data = bytearray(512)
    data[20:40] = swapped("   WD-WCC3F0123456", 20)
    data[46:54] = swapped("01.01A01", 8)
    data[54:94] = swapped("WDC WD10EZEX-08WN4A0", 40)
    for name, value in words.items():
        at = int(name[1:]) * 2
        data[at : at + 2] = value.to_bytes(2, "little")
    return page(0x89, bytes(56) + bytes(data))


def test_unit_serial():
    assert pages.unit_serial(page(0x80, b"  9XG8HR8X ")) == "9XG8HR8X"
    assert pages.unit_serial(page(0x80, b"0000000000")) is None
    assert pages.unit_serial(page(0x83, b"9XG8HR8X")) is None
    assert pages.unit_serial(page(0x80, b"9XG8", declared=500)) == "9XG8"
    assert pages.unit_serial(None) is None


def test_names_of_the_logical_unit():
    assert pages.lun_name(page(0x83, PORT_A + NAA)) == "naa.5000c50015ea71aa"
    extended = bytes.fromhex("01030010") + bytes.fromhex("600508b1001c4d7ee2f3e1d2c3b4a596")
    assert pages.lun_name(page(0x83, NAA + extended)) == "naa.600508b1001c4d7ee2f3e1d2c3b4a596"
    eui = bytes.fromhex("01020008") + bytes.fromhex("0025385201404936")
    assert pages.lun_name(page(0x83, eui)) == "eui.0025385201404936"
    assert pages.lun_name(page(0x83, PORT_A)) is None


def test_an_ata_drive_behind_scsi_gives_its_full_name():
    assert pages.sat_serial(page(0x83, NAA + SAT_T10)) == ("TOSHIBA DT01ACA100", "Y6AKDK9MS")
    assert pages.sat_serial(page(0x83, NAA)) == (None, None)


def test_the_port_a_drive_is_plugged_by_does_not_change_its_pages():
    one, other = (pages.without_ports(page(0x83, NAA + port + SAT_T10)) for port in (PORT_A, PORT_B))
    assert one == other == page(0x83, NAA + SAT_T10)
    port_a, port_b = bytes([0, 0, 6, 0x12, 31, 1, 0x10, 2]), bytes([0, 0, 6, 0x12, 31, 1, 0x30, 2])
    assert pages.inquiry_without_port(port_b) == pages.inquiry_without_port(port_a) == port_a
    single = bytes([0, 0, 6, 0x12, 31, 1, 0x20, 2])
    assert pages.inquiry_without_port(single) == single


def test_undecoded_rest_of_a_page_stays_in_it():
    assert pages.without_ports(page(0x83, PORT_A + NAA + b"\x01\x03\x00\x40")) == page(
        0x83, NAA + b"\x01\x03\x00\x40"
    )


def test_identify_data():
    told = pages.ata_identify(
        identify(w76=0x0E, w87=0x4100, w108=0x5001, w109=0x4EE2, w110=0x0B1C, w111=0x2233)
    )
    assert told == pages.AtaIdentify(
        "WDC WD10EZEX-08WN4A0", "WD-WCC3F0123456", "01.01A01", "naa.50014ee20b1c2233", True, 0
    )
    assert pages.ata_identify(identify(w108=0x5001)).wwn is None, "word 87 does not say that there is one"
    assert not pages.ata_identify(identify(w76=0xFFFF)).serial_ata
    assert pages.ata_identify(identify(w217=7200)).rotation_rate == 7200
    assert pages.ata_identify(identify()[:300]) is None
    assert pages.ata_identify(page(0x89, bytes(568))) is None


def test_rotation_rates_that_are_reserved_tell_nothing():
    rates = {0: 0, 1: 1, 2: 0, 0x0400: 0, 0x0401: 0x0401, 7200: 7200, 0xFFFF: 0}
    for raw, known in rates.items():
        assert pages.rotation_rate(page(0xB1, raw.to_bytes(2, "big") + bytes(58))) == known
    assert pages.rotation_rate(page(0xB1, b"\x1c")) is None


@settings(deadline=None)
@given(st.binary(max_size=600), st.sampled_from([0x80, 0x83, 0x89, 0xB1]))
def test_garbage_decodes_to_nothing_or_text(garbage, code):
    for raw in (garbage, page(code, garbage)):
        for value in (pages.unit_serial(raw), pages.lun_name(raw), *pages.sat_serial(raw)):
            assert value is None or value.isprintable()
        told = pages.ata_identify(raw)
        assert told is None or told.serial is None or told.serial.isprintable()
        rate = pages.rotation_rate(raw)
        assert rate in {None, 0, 1} or 0x0401 <= rate <= 0xFFFE
        assert len(pages.inquiry_without_port(raw)) == len(raw)
        kept = pages.without_ports(raw)
        assert kept is None or pages.without_ports(kept) == kept
