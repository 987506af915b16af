"""Reading made-up machines: every part, and everything that may be wrong with it."""

from __future__ import annotations

import errno
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura_agent.inventory.batteries import is_on_battery
from rasura_agent.inventory.machine import read_machine
from rasura_agent.inventory.machine_model import ChassisKind, ControllerMode, FirmwareKind, Sensor, SensorKind
from rasura_agent.inventory.ports import Ran
from simulators.hardware import battery, dmi, network, pci, server_of, usb
from simulators.machine import Machine
from unit.test_edid import block, text, timing

SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


def read(machine: Machine):
    return read_machine(machine.sources())


def said(machine: Machine, words: str) -> bool:
    return any(words in note for note in read(machine).notes)


def test_nothing_at_all_is_read_without_an_error_and_named():
    found = read(Machine())
    assert found.system.manufacturer is None
    assert found.memory.modules == ()
    for words in (
        "dmidecode is not installed",
        "/sys/class/dmi/id",
        "/proc/cpuinfo",
        "/sys/bus/pci",
        "/sys/class/net",
    ):
        assert any(words in note for note in found.notes), words


def test_the_system_its_board_and_case():
    machine = Machine()
    dmi(
        machine,
        sys_vendor="LENOVO",
        product_name="20AMS4QL00",
        product_version="ThinkPad X240",
        product_serial="PF0XYZ12",
        product_uuid="4C4C4544-004A-3210-8039-B6C04F483633",
        board_name="20AMS4QL00",
        board_serial=b"L1HF\xff4A\n",
        chassis_type="10",
        chassis_asset_tag="No Asset Tag",
        bios_version="GIET74WW",
        bios_date="05/13/2014",
    )
    found = read(machine)
    assert (found.system.model, found.system.version, found.system.serial) == (
        "20AMS4QL00",
        "ThinkPad X240",
        "PF0XYZ12",
    )
    assert found.system.uuid == "4c4c4544-004a-3210-8039-b6c04f483633"
    assert found.board.serial == "L1HF\\xff4A"
    assert (found.chassis.kind, found.chassis.type, found.chassis.asset_tag) == (
        ChassisKind.LAPTOP,
        "Notebook",
        None,
    )
    assert (found.firmware.version, found.firmware.date) == ("GIET74WW", "2014-05-13")
    assert any("no text" in note for note in found.notes)


def test_the_kernel_is_believed_before_dmidecode_and_gaps_are_filled():
    machine = Machine()
    dmi(machine, sys_vendor="Acme", product_serial="Default string")
    table = (
        "Handle 0x0001, DMI type 1, 27 bytes\nSystem Information\n\tManufacturer: X\n\tSerial Number: 77AB\n"
    )
    machine.outputs["dmidecode",] = Ran(0, table.encode())
    system = read(machine).system
    assert (system.manufacturer, system.serial) == ("Acme", "77AB")


@pytest.mark.parametrize(
    ("ran", "words"),
    [
        (Ran(1, b"", b"/dev/mem: Permission denied\n"), "Permission denied; it needs root"),
        (Ran(0, b"# No SMBIOS nor DMI entry point found, sorry.\n"), "no structure that is known"),
        (Ran(-9, b"\xff\xfe", b""), "no structure that is known"),
    ],
)
def test_a_dmidecode_that_tells_nothing_is_named(ran, words):
    machine = Machine()
    machine.outputs["dmidecode",] = ran
    assert said(machine, words)


def test_how_it_was_booted():
    machine = Machine()
    machine.folder("/sys/firmware/acpi")
    assert (read(machine).firmware.kind, read(machine).firmware.secure_boot) == (FirmwareKind.BIOS, False)
    machine.folder("/sys/firmware/efi")
    assert (read(machine).firmware.kind, read(machine).firmware.secure_boot) == (FirmwareKind.UEFI, None)
    assert said(machine, "efivarfs")
    machine.write(SECURE_BOOT, b"\6\0\0\0\1")
    assert read(machine).firmware.secure_boot is True
    machine.write(SECURE_BOOT, b"\6\0\0\0\0")
    assert read(machine).firmware.secure_boot is False
    other = Machine()
    other.write("/sys/firmware/efi/efivars/BootOrder-8be4df61-93ca-11d2-aa0d-00e098032b8c", b"\7\0\0\0\0\0")
    assert read(other).firmware.secure_boot is False, "firmware that knows no Secure Boot"


def test_tpms():
    machine = Machine()
    machine.folder("/sys/class/tpm")
    assert read(machine).tpm.present is False
    machine.write("/sys/firmware/acpi/tables/TPM2", b"TPM2")
    found = read(machine)
    assert (found.tpm.present, found.tpm.version) == (True, "2.0")
    assert any("does not see" in note for note in found.notes)
    machine.write("/sys/class/tpm/tpm0/tpm_version_major", "2\n")
    assert (read(machine).tpm.version, read(machine).tpm.enabled) == ("2.0", True)
    old = Machine()
    old.write("/sys/class/tpm/tpm0/tpm_version_major", "1\n")
    old.write("/sys/class/tpm/tpm0/device/enabled", "1\n")
    old.write("/sys/class/tpm/tpm0/device/active", "0\n")
    old.write("/sys/class/tpm/tpm0/device/caps", "Manufacturer: 0x49465800\nTCG version: 1.2\n")
    found = read(old)
    assert (found.tpm.version, found.tpm.enabled, found.tpm.manufacturer) == ("1.2", False, "IFX")
    assert read(Machine()).tpm.present is None


def test_batteries():
    machine = Machine()
    battery(
        machine,
        energy_full_design="57530000",
        energy_full="53405000",
        cycle_count="312",
        serial_number=" 1234\n",
    )
    battery(
        machine, "BAT1", charge_full_design="5200000", charge_full="2600000", voltage_min_design="11100000"
    )
    battery(machine, "hidpp_battery_0", scope="Device", energy_full_design="1")
    one, other = read(machine).batteries
    assert (one.design_mwh, one.full_mwh, one.wear_percent, one.cycles, one.serial) == (
        57530,
        53405,
        7.2,
        312,
        "1234",
    )
    assert (other.design_mwh, other.full_mwh, other.wear_percent, other.cycles) == (57720, 28860, 50.0, None)


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        (
            {"energy_full_design": "0", "energy_full": "0", "cycle_count": "0"},
            "gives 0 as its design capacity",
        ),
        ({"charge_full_design": "5200000", "charge_full": "5000000"}, "in ampere-hours and no voltage"),
        ({"energy_full_design": "10000000", "energy_full": "65535000"}, "not believed"),
        ({"energy_full_design": "garbage", "energy_full": "-5"}, None),
        ({"serial_number": b"\xff\xff"}, None),
        ({"model_name": "-Virtual Battery 0-"}, "placeholder"),
    ],
)
def test_batteries_that_lie(attributes, words):
    machine = Machine()
    battery(machine, **attributes)
    (found,) = read(machine).batteries
    assert found.wear_percent is None
    assert found.cycles is None
    assert words is None or said(machine, words)


def test_a_battery_that_takes_more_than_it_was_made_for_is_not_worn():
    machine = Machine()
    battery(machine, energy_full_design="50000000", energy_full="51000000")
    assert read(machine).batteries[0].wear_percent == 0


def test_a_battery_that_only_the_firmware_knows():
    machine = Machine()
    machine.folder("/sys/class/power_supply")
    table = "Handle 0x0016, DMI type 22, 26 bytes\nPortable Battery\n\tName: 45N1127\n"
    machine.outputs["dmidecode",] = Ran(0, table.encode())
    assert read(machine).batteries == ()
    assert said(machine, "names a battery (45N1127) that the kernel does not see")


@pytest.mark.parametrize(
    ("mains", "status", "percent"),
    [
        ("1", "Discharging", None),
        ("0", "Discharging", 42),
        (None, "Discharging", 42),
        ("0", "Full", 42),
        (None, "Full", None),
    ],
)
def test_running_on_battery(mains, status, percent):
    machine = Machine()
    battery(machine, status=status, capacity="42")
    if mains is not None:
        machine.write("/sys/class/power_supply/AC/type", "Mains\n")
        machine.write("/sys/class/power_supply/AC/online", mains)
    assert is_on_battery(machine) == percent
    assert is_on_battery(Machine()) is None


def test_network_ports_with_and_without_a_driver():
    machine = Machine()
    wired = pci(machine, "0000:00:1f.6", "020000", "8086:15d8", "e1000e", ID_MODEL_FROM_DATABASE="I219-V")
    network(machine, "eno1", wired, "8C:16:45:AA:BB:CC", carrier="1", speed="1000")
    network(machine, "eno2", pci(machine, "0000:00:19.0", "020000", driver="e1000e"), "00:00:00:00:00:00")
    pci(machine, "0000:02:00.0", "028000", "8086:24fd", ID_MODEL_FROM_DATABASE="Wireless 8265")
    machine.write("/sys/devices/virtual/net/lo/address", "00:00:00:00:00:00")
    machine.link("/sys/class/net/lo", "/sys/devices/virtual/net/lo")
    one, two, wifi = read(machine).network
    assert (one.mac, one.link, one.speed_mbps, one.product.model) == (
        "8c:16:45:aa:bb:cc",
        True,
        1000,
        "I219-V",
    )
    assert (two.mac, two.link, two.speed_mbps) == (None, None, None)
    assert (wifi.wireless, wifi.name, wifi.mac, wifi.product.model) == (
        True,
        "0000:02:00.0",
        None,
        "Wireless 8265",
    )
    assert said(machine, "Wi-Fi card at 0000:02:00.0 has no driver")


@pytest.mark.parametrize(
    ("code", "ids", "driver", "mode"),
    [
        ("010601", "8086:9d03", "ahci", ControllerMode.AHCI),
        ("010400", "8086:282a", "ahci", ControllerMode.RAID),
        ("010400", "8086:9a0b", "vmd", ControllerMode.VMD),
        ("010400", "8086:467f", None, ControllerMode.VMD),
        ("010802", "144d:a808", "nvme", ControllerMode.NVME),
        ("010700", "1000:0097", "mpt3sas", ControllerMode.SAS),
        ("010400", "1000:005d", "megaraid_sas", ControllerMode.RAID),
        ("010000", "1af4:1004", "virtio-pci", ControllerMode.SCSI),
        ("010180", "8086:7010", "ata_piix", ControllerMode.IDE),
        ("080501", "10ec:522a", None, ControllerMode.SD),
        ("018000", "1af4:1042", "virtio-pci", ControllerMode.OTHER),
    ],
)
def test_storage_controllers_and_their_modes(code, ids, driver, mode):
    machine = Machine()
    pci(machine, "0000:00:17.0", code, ids, driver)
    (found,) = read(machine).controllers
    assert (found.mode, found.driver) == (mode, driver)
    unseen = driver is None and mode is not ControllerMode.SD
    assert (
        said(machine, "has no driver here" if mode is not ControllerMode.VMD else "switch VMD off") is unseen
    )


def test_what_hangs_on_usb_and_what_sounds():
    machine = Machine()
    usb(machine, "1-7", "8087:0a2b", "e001", "e001")
    usb(
        machine,
        "1-8",
        "5986:2113",
        "0e01",
        "0e02",
        product="Integrated Camera",
        manufacturer="To Be Filled By O.E.M.",
    )
    usb(machine, "1-9", "046d:0a44", "0101", "0102", product=b"\xffHeadset")
    pci(machine, "0000:00:1f.3", "040300", "8086:9d71", ID_MODEL_FROM_DATABASE="Sunrise Point-LP HD Audio")
    pci(machine, "0000:00:02.0", "030000", "8086:5917", "i915", ID_VENDOR_FROM_DATABASE="Intel Corporation")
    found = read(machine)
    assert [(one.name, one.product.vendor_id) for one in found.bluetooth] == [("1-7", "8087")]
    assert [(one.name, one.product.manufacturer) for one in found.webcams] == [("Integrated Camera", None)]
    assert [one.name for one in found.audio] == [
        "Sunrise Point-LP HD Audio",
        "\N{REPLACEMENT CHARACTER}Headset",
    ]
    assert [(one.address, one.product.manufacturer) for one in found.gpus] == [
        ("0000:00:02.0", "Intel Corporation")
    ]
    assert any("displays are not known" in note for note in found.notes)


def test_displays():
    machine = Machine()
    words = (timing(1920, 1080, (309, 173)), text(0xFE, b"B140HAN01.2"))
    for name, status, edid in (
        ("card0-eDP-1", "connected", block(maker="AUO", descriptors=words)),
        ("card0-DP-1", "disconnected", b""),
        ("card0-HDMI-A-1", "connected", b""),
        ("card0-DP-2", "connected", block()[:-1] + b"\1"),
    ):
        machine.write(f"/sys/class/drm/{name}/status", status + "\n")
        machine.write(f"/sys/class/drm/{name}/edid", edid)
    machine.folder("/sys/class/drm/card0")
    second, hdmi, panel = sorted(read(machine).displays, key=lambda one: one.connector)
    assert (panel.internal, panel.manufacturer, panel.model) == (True, "AU Optronics", "B140HAN01.2")
    assert (panel.native_width, panel.native_height, panel.diagonal_inches) == (1920, 1080, 13.9)
    assert (second.internal, second.model, hdmi.model) == (False, None, None)
    assert said(machine, "checksum is wrong")
    assert said(machine, "HDMI-A-1 gives no EDID")


def test_an_optical_drive_is_listed():
    machine = Machine()
    place = "/devices/pci0000:00/0000:00:1f.2/ata2/host1/target1:0:0/1:0:0:0/block/sr0"
    machine.disk("sr0", place, attributes={"device/vendor": "HL-DT-ST", "device/model": "DVDRAM GU90N  "})
    assert [(one.path, one.model) for one in read(machine).optical] == [("/dev/sr0", "DVDRAM GU90N")]


def test_nvme_drives_in_pci_slots_and_empty_bays():
    machine = server_of(2)
    for key, value in (("type", "device"), ("slot", "7"), ("status", "not installed")):
        machine.write(f"/sys/class/enclosure/0:0:24:0/Slot 07/{key}", value)
    place = pci(machine, "0000:3b:00.0", "010802", driver="nvme")
    machine.disk("nvme0n1", f"{place.removeprefix('/sys')}/nvme/nvme0/nvme0n1")
    machine.write("/sys/bus/pci/slots/5/address", "0000:3b:00\n")
    found = {(bay.slot, bay.drive, bay.occupied) for bay in read(machine).bays}
    assert found == {
        ("0", "/dev/sda", True),
        ("1", "/dev/sdb", True),
        ("7", None, False),
        ("5", "/dev/nvme0n1", True),
    }


def test_a_sas_controllers_own_bay_numbers():
    machine = server_of(0)
    end = "/sys/devices/pci0000:00/0000:03:00.0/host0/port-0:0/end_device-0:0"
    machine.disk("sda", f"{end.removeprefix('/sys')}/target0:0:0/0:0:0:0/block/sda")
    machine.write("/sys/class/sas_device/end_device-0:0/bay_identifier", "3\n")
    machine.write("/sys/class/sas_device/end_device-0:0/enclosure_identifier", "0x500304800a1b2c3f\n")
    bay = read(machine).bay_of("/dev/sda")
    assert bay is not None
    assert (bay.enclosure, bay.slot) == ("0x500304800a1b2c3f", "3")


def test_processors_joined_with_their_sockets():
    found = read(server_of(0))
    assert [(cpu.socket, cpu.cores, cpu.threads, cpu.max_mhz) for cpu in found.processors] == [
        ("CPU0", 10, 20, 4000),
        ("CPU1", 10, 20, 4000),
    ]
    assert found.processors[0].manufacturer == "Intel"
    assert found.memory.installed_bytes == 24 * 16 << 30
    assert found.memory.usable_bytes == 395912345 * 1024


def test_sensors_are_passed_on():
    machine = Machine()
    machine.sensors = (Sensor(SensorKind.TEMPERATURE, "coretemp", "Core 0", 41.0, 100.0, 100.0),)
    assert read(machine).sensors == machine.sensors


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ENODEV, errno.EINVAL])
def test_sources_that_fail_are_no_error(code):
    machine = server_of(1)
    battery(machine, energy_full="1")
    for path in (
        "/sys/bus/pci/devices",
        "/sys/class/net",
        "/proc/cpuinfo",
        "/sys/class/power_supply/BAT0/energy_full",
    ):
        machine.errors[path] = OSError(code, "no")
    assert read(machine).system.manufacturer == "Acme"


@given(
    st.dictionaries(
        st.sampled_from(["serial_number", "energy_full", "charge_full", "cycle_count", "capacity"]),
        st.binary(max_size=30),
    )
)
def test_any_bytes_in_a_battery(attributes):
    machine = Machine()
    battery(machine, energy_full_design="50000000", voltage_min_design="11100000", **attributes)
    (found,) = read(machine).batteries
    assert found.serial is None or found.serial.isprintable()
    assert found.wear_percent is None or 0 <= found.wear_percent <= 100


def test_a_server_of_24_drives_takes_no_second_of_our_processor():
    sources = server_of(24).sources()
    started = time.process_time()
    machine = read_machine(sources)
    took = time.process_time() - started
    assert len(machine.bays) == 24
    assert took < 1
