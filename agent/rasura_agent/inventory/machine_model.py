"""Frozen description of a whole machine; pure, no I/O.

A fact nobody told us is ``None``, never a guess; a source that could not be read, and a value that was
plainly a placeholder, is named in ``Machine.notes``. Texts are as their makers wrote them, printable, without
padding. Sizes are bytes unless their name says otherwise. Drives are described in ``model.py``.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

__all__ = [
    "Audio",
    "Battery",
    "Bay",
    "Bluetooth",
    "Board",
    "Chassis",
    "ChassisKind",
    "ControllerMode",
    "Display",
    "ExpansionSlot",
    "Firmware",
    "FirmwareKind",
    "Gpu",
    "Machine",
    "MachineIdentity",
    "Memory",
    "MemoryModule",
    "NetworkPort",
    "OpticalDrive",
    "PowerSupply",
    "Processor",
    "Product",
    "Sensor",
    "SensorKind",
    "StorageController",
    "System",
    "Tpm",
    "Webcam",
]


class ChassisKind(StrEnum):
    """What sort of machine the chassis makes it: our grouping of the SMBIOS types (DSP0134 clause 7.4.1)."""

    LAPTOP = "laptop"
    """Also convertibles, which keep their keyboard."""
    TABLET = "tablet"
    """Also detachables and hand-helds."""
    DESKTOP = "desktop"
    """Also towers and mini PCs."""
    ALL_IN_ONE = "all-in-one"
    SERVER = "server"
    EMBEDDED = "embedded"


class System(msgspec.Struct, frozen=True):
    """The machine as a product (SMBIOS type 1)."""

    manufacturer: str | None = None
    model: str | None = None
    """SMBIOS "Product Name"; for some makers an order number, and ``version`` or ``family`` is the name."""
    version: str | None = None
    family: str | None = None
    sku: str | None = None
    serial: str | None = None
    uuid: str | None = None
    """Lower-case, with dashes."""


class Board(msgspec.Struct, frozen=True):
    """The main board (SMBIOS type 2)."""

    manufacturer: str | None = None
    model: str | None = None
    version: str | None = None
    serial: str | None = None
    asset_tag: str | None = None


class Chassis(msgspec.Struct, frozen=True):
    """The case (SMBIOS type 3)."""

    kind: ChassisKind | None = None
    type: str | None = None
    """The SMBIOS type in words, such as ``Notebook``."""
    manufacturer: str | None = None
    version: str | None = None
    serial: str | None = None
    asset_tag: str | None = None


class FirmwareKind(StrEnum):
    """How the running system was booted."""

    BIOS = "bios"
    UEFI = "uefi"


class Firmware(msgspec.Struct, frozen=True):
    """The machine's own firmware (SMBIOS type 0), and how it booted us."""

    vendor: str | None = None
    version: str | None = None
    date: str | None = None
    """ISO 8601, ``YYYY-MM-DD``."""
    kind: FirmwareKind | None = None
    uefi_capable: bool | None = None
    """It says that it can boot by UEFI, however it booted this time."""
    secure_boot: bool | None = None
    """Whether Secure Boot is on now. ``False`` also where the system was booted as from a BIOS."""


class Tpm(msgspec.Struct, frozen=True):
    """The Trusted Platform Module."""

    present: bool | None = None
    """``False``: the kernel looked and there is none, or the firmware hides it."""
    version: str | None = None
    """``1.2`` or ``2.0``."""
    enabled: bool | None = None
    """A TPM 1.2 can be there and switched off; for 2.0 it is what ``present`` says."""
    manufacturer: str | None = None


class Processor(msgspec.Struct, frozen=True):
    """One processor package."""

    socket: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    """The name it gives itself, such as ``Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz``."""
    family_number: int | None = None
    """CPUID display family, model and stepping."""
    model_number: int | None = None
    stepping: int | None = None
    cores: int | None = None
    threads: int | None = None
    max_mhz: int | None = None


class MemoryModule(msgspec.Struct, frozen=True):
    """A memory module in its slot (SMBIOS type 17)."""

    slot: str | None
    bank: str | None
    size_bytes: int
    type: str | None = None
    """Such as ``DDR4``."""
    form_factor: str | None = None
    """Such as ``SODIMM``; ``Row Of Chips`` is soldered."""
    speed_mts: int | None = None
    """Of the module, in megatransfers a second."""
    configured_mts: int | None = None
    """As it runs."""
    manufacturer: str | None = None
    part_number: str | None = None
    serial: str | None = None


class Memory(msgspec.Struct, frozen=True):
    """The machine's memory."""

    usable_bytes: int | None = None
    """What the kernel has: less than installed, by what firmware and graphics keep."""
    slots: int | None = None
    """How many modules fit."""
    maximum_bytes: int | None = None
    modules: tuple[MemoryModule, ...] = ()

    @property
    def installed_bytes(self) -> int | None:
        """The sum of all modules; ``None`` where none is known."""
        return sum(module.size_bytes for module in self.modules) or None


class Product(msgspec.Struct, frozen=True):
    """Who made a PCI or USB device and what it is: names from udev's hardware database, and the numbers."""

    manufacturer: str | None = None
    model: str | None = None
    vendor_id: str | None = None
    """Four lower-case hex digits."""
    product_id: str | None = None


class Gpu(msgspec.Struct, frozen=True):
    """A display controller."""

    product: Product
    address: str
    """Its PCI address."""
    driver: str | None = None


class Display(msgspec.Struct, frozen=True):
    """What hangs on a display connector, by its EDID."""

    connector: str
    """The kernel's name, such as ``eDP-1``."""
    internal: bool
    """Built in (eDP, LVDS, DSI)."""
    manufacturer: str | None = None
    manufacturer_id: str | None = None
    """Three letters (PNP ID)."""
    model: str | None = None
    product_code: str | None = None
    """Four lower-case hex digits."""
    serial: str | None = None
    year: int | None = None
    """Of manufacture, or of the model."""
    native_width: int | None = None
    """Pixels."""
    native_height: int | None = None
    width_mm: int | None = None
    height_mm: int | None = None
    diagonal_inches: float | None = None


class Battery(msgspec.Struct, frozen=True):
    """A battery of the machine (peripherals' batteries are left out)."""

    name: str
    """The kernel's, such as ``BAT0``."""
    manufacturer: str | None = None
    model: str | None = None
    serial: str | None = None
    chemistry: str | None = None
    design_mwh: int | None = None
    full_mwh: int | None = None
    """What it takes today."""
    voltage_mv: int | None = None
    """By design."""
    cycles: int | None = None
    """0 is what most firmware says when it does not count: ``None``."""
    wear_percent: float | None = None
    """What it lost of its design capacity; 0 where it takes more than that."""
    charge_percent: int | None = None
    status: str | None = None
    """``Charging``, ``Discharging``, ``Full`` …"""


class NetworkPort(msgspec.Struct, frozen=True):
    """A wired or Wi-Fi network controller."""

    name: str
    mac: str | None
    """Lower-case, with colons."""
    wireless: bool
    product: Product
    link: bool | None = None
    speed_mbps: int | None = None
    """Of the link that is up."""
    driver: str | None = None


class Bluetooth(msgspec.Struct, frozen=True):
    """A Bluetooth controller."""

    name: str
    product: Product
    driver: str | None = None


class Webcam(msgspec.Struct, frozen=True):
    """A camera."""

    name: str | None
    product: Product


class Audio(msgspec.Struct, frozen=True):
    """A sound card."""

    name: str | None
    product: Product
    driver: str | None = None


class OpticalDrive(msgspec.Struct, frozen=True):
    """A drive for discs, which is never erased."""

    path: str
    manufacturer: str | None = None
    model: str | None = None
    firmware: str | None = None
    serial: str | None = None


class ControllerMode(StrEnum):
    """How a storage controller is set, or what it is."""

    AHCI = "ahci"
    IDE = "ide"
    RAID = "raid"
    """It shows volumes, or its drives only through a driver of its maker (Intel RST counts)."""
    VMD = "vmd"
    """Intel's Volume Management Device: NVMe drives hide behind it where the kernel has no driver."""
    NVME = "nvme"
    SAS = "sas"
    SCSI = "scsi"
    SD = "sd"
    OTHER = "other"


class StorageController(msgspec.Struct, frozen=True):
    """A PCI device that drives hang on."""

    product: Product
    address: str
    mode: ControllerMode
    driver: str | None = None
    """``None``: no driver has it, so that its drives are not seen."""


class Bay(msgspec.Struct, frozen=True):
    """A place for a drive: of a SES enclosure, or a PCI hot-plug slot."""

    enclosure: str
    """The enclosure's name, or ``pci``."""
    slot: str
    drive: str | None
    """``Drive.path`` of what is in it."""
    occupied: bool | None = None
    """Something is in it, even if no drive is seen."""


class ExpansionSlot(msgspec.Struct, frozen=True):
    """A slot for a card (SMBIOS type 9)."""

    name: str
    type: str | None = None
    in_use: bool | None = None


class PowerSupply(msgspec.Struct, frozen=True):
    """A power supply that the firmware knows of (SMBIOS type 39)."""

    name: str | None = None
    location: str | None = None
    manufacturer: str | None = None
    part_number: str | None = None
    serial: str | None = None
    watts: int | None = None
    plugged: bool | None = None


class SensorKind(StrEnum):
    """What a sensor measures."""

    TEMPERATURE = "temperature"
    """Degrees Celsius."""
    FAN = "fan"
    """Revolutions a minute."""


class Sensor(msgspec.Struct, frozen=True):
    """A sensor and what it said at the moment of the inventory."""

    kind: SensorKind
    chip: str
    label: str | None
    value: float
    high: float | None = None
    critical: float | None = None


class MachineIdentity(msgspec.Struct, frozen=True):
    """Which machine a drive was found in, as certificates say it."""

    manufacturer: str | None
    model: str | None
    serial: str | None
    uuid: str | None
    asset_tag: str | None


class Machine(msgspec.Struct, frozen=True):
    """One machine, as it presented itself at one moment."""

    system: System = System()
    board: Board = Board()
    chassis: Chassis = Chassis()
    firmware: Firmware = Firmware()
    tpm: Tpm = Tpm()
    processors: tuple[Processor, ...] = ()
    memory: Memory = Memory()
    gpus: tuple[Gpu, ...] = ()
    displays: tuple[Display, ...] = ()
    batteries: tuple[Battery, ...] = ()
    network: tuple[NetworkPort, ...] = ()
    bluetooth: tuple[Bluetooth, ...] = ()
    webcams: tuple[Webcam, ...] = ()
    audio: tuple[Audio, ...] = ()
    optical: tuple[OpticalDrive, ...] = ()
    controllers: tuple[StorageController, ...] = ()
    bays: tuple[Bay, ...] = ()
    slots: tuple[ExpansionSlot, ...] = ()
    power_supplies: tuple[PowerSupply, ...] = ()
    sensors: tuple[Sensor, ...] = ()
    notes: tuple[str, ...] = ()
    """Sentences: sources that could not be read, and values that were placeholders."""

    def bay_of(self, path: str) -> Bay | None:
        """Where the drive ``path`` is plugged in, if anybody knows."""
        return next((bay for bay in self.bays if bay.drive == path), None)
