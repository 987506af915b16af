"""What the firmware says of the machine (SMBIOS through /sys/class/dmi/id); absent is ``None``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Machine", "read_machine"]

_DMI = Path("/sys/class/dmi/id")

# What makers leave in place of a value (lower case).
_PLACEHOLDERS = {
    "",
    "0",
    "none",
    "n/a",
    "na",
    "unknown",
    "default string",
    "not specified",
    "not applicable",
    "not available",
    "o.e.m.",
    "to be filled by o.e.m.",
    "system manufacturer",
    "system product name",
    "system serial number",
    "system version",
    "chassis serial number",
    "asset tag",
    "no asset tag",
    "no asset information",
    "03000200-0400-0500-0006-000700080009",
}


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine a drive was found in."""

    manufacturer: str | None
    model: str | None
    serial: str | None
    uuid: str | None
    asset_tag: str | None


def read_machine(folder: Path = _DMI) -> Machine:
    """Read the machine's identity; serials need root and are ``None`` without."""
    return Machine(
        manufacturer=_value(folder / "sys_vendor"),
        model=_value(folder / "product_name"),
        serial=_value(folder / "product_serial"),
        uuid=_value(folder / "product_uuid"),
        asset_tag=_value(folder / "chassis_asset_tag"),
    )


def _value(path: Path) -> str | None:
    try:
        text = path.read_bytes().decode("utf-8", "backslashreplace").strip()
    except OSError:
        return None
    same_everywhere = len(set(text.lower()) - set("-. ")) <= 1 and len(text) > 1
    return None if text.lower() in _PLACEHOLDERS or same_everywhere else text
