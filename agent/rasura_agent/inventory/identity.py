"""Which machine this is, for certificates: what the kernel keeps of the SMBIOS table, without any program."""

from __future__ import annotations

from typing import TypeVar

from msgspec.structs import fields, replace

from rasura_agent.inventory.dmi_facts import chassis_kind, iso_date
from rasura_agent.inventory.firmware_text import Reading
from rasura_agent.inventory.local import LocalFiles
from rasura_agent.inventory.machine_model import Board, Chassis, Firmware, MachineIdentity, System
from rasura_agent.inventory.ports import SystemFiles
from rasura_agent.inventory.sysfs import raw

__all__ = ["SysfsDmi", "merged", "read_identity"]

_FOLDER = "/sys/class/dmi/id"

_Part = TypeVar("_Part", System, Board, Chassis, Firmware)


def read_identity(files: SystemFiles | None = None) -> MachineIdentity:
    """Who the machine is; serial numbers need root and are ``None`` without."""
    dmi = SysfsDmi(files or LocalFiles(), Reading())
    system, chassis = dmi.system(), dmi.chassis()
    return MachineIdentity(system.manufacturer, system.model, system.serial, system.uuid, chassis.asset_tag)


def merged(first: _Part, second: _Part) -> _Part:
    """``first``, and from ``second`` what that does not know."""
    gaps = {
        field.name: getattr(second, field.name)
        for field in fields(first)
        if getattr(first, field.name) is None
    }
    return replace(first, **gaps)


class SysfsDmi:
    """What /sys/class/dmi/id says; texts are as the firmware wrote them, which dmidecode's are not always."""

    def __init__(self, files: SystemFiles, reading: Reading) -> None:
        self._files, self._reading = files, reading

    @property
    def is_there(self) -> bool:
        """Whether the kernel found an SMBIOS table."""
        try:
            return bool(self._files.list_dir(_FOLDER))
        except OSError:
            return False

    def _text(self, what: str, name: str) -> str | None:
        return self._reading.text(what, raw(self._files, f"{_FOLDER}/{name}"))

    def _serial(self, what: str, name: str) -> str | None:
        return self._reading.serial(what, raw(self._files, f"{_FOLDER}/{name}"))

    def firmware(self) -> Firmware:
        """BIOS or UEFI."""
        date = raw(self._files, f"{_FOLDER}/bios_date")
        return Firmware(
            vendor=self._text("the firmware's vendor", "bios_vendor"),
            version=self._text("the firmware's version", "bios_version"),
            date=iso_date(date.decode("ascii", "replace")) if date is not None else None,
        )

    def system(self) -> System:
        """The product."""
        return System(
            manufacturer=self._text("the system's manufacturer", "sys_vendor"),
            model=self._text("the system's product name", "product_name"),
            version=self._text("the system's version", "product_version"),
            family=self._text("the system's family", "product_family"),
            sku=self._text("the system's SKU number", "product_sku"),
            serial=self._serial("the system's serial number", "product_serial"),
            uuid=self._reading.uuid("the system's UUID", raw(self._files, f"{_FOLDER}/product_uuid")),
        )

    def board(self) -> Board:
        """The main board."""
        return Board(
            manufacturer=self._text("the board's manufacturer", "board_vendor"),
            model=self._text("the board's product name", "board_name"),
            version=self._text("the board's version", "board_version"),
            serial=self._serial("the board's serial number", "board_serial"),
            asset_tag=self._serial("the board's asset tag", "board_asset_tag"),
        )

    def chassis(self) -> Chassis:
        """The case."""
        number = raw(self._files, f"{_FOLDER}/chassis_type")
        word, kind = chassis_kind(number.decode("ascii", "replace").strip() if number is not None else None)
        return Chassis(
            kind=kind,
            type=word,
            manufacturer=self._text("the chassis' manufacturer", "chassis_vendor"),
            version=self._text("the chassis' version", "chassis_version"),
            serial=self._serial("the chassis' serial number", "chassis_serial"),
            asset_tag=self._serial("the asset tag", "chassis_asset_tag"),
        )
