"""Displays on the connectors of the graphics drivers, by their EDID."""

from __future__ import annotations

import re

from rasura_agent.inventory.edid import EdidError, decode_edid
from rasura_agent.inventory.firmware_text import Reading
from rasura_agent.inventory.machine_model import Display
from rasura_agent.inventory.ports import SystemFiles
from rasura_agent.inventory.sysfs import children, raw, word

__all__ = ["describe_display", "displays"]

_CONNECTOR = re.compile(r"card\d+-(.+)")
_BUILT_IN = ("eDP", "LVDS", "DSI", "DPI")
_FOLDER = "/sys/class/drm"

_MAKERS = {
    "AAC": "AcerView", "ACI": "ASUS", "ACR": "Acer", "AOC": "AOC", "APP": "Apple", "AUO": "AU Optronics",
    "AUS": "ASUS", "BNQ": "BenQ", "BOE": "BOE", "CMN": "Chimei Innolux", "CMO": "Chi Mei Optoelectronics",
    "CPQ": "Compaq", "CPT": "Chunghwa Picture Tubes", "CSO": "CSOT", "DEL": "Dell", "DNW": "Danwei",
    "ELO": "Elo Touch", "ENC": "EIZO", "EPI": "Envision", "FUS": "Fujitsu Siemens", "GSM": "LG",
    "GWY": "Gateway", "HEI": "Hyundai", "HIQ": "Hyundai ImageQuest", "HPN": "HP", "HSD": "HannStar",
    "HWP": "HP", "IBM": "IBM", "INL": "InnoLux", "IVM": "iiyama", "IVO": "InfoVision", "LEN": "Lenovo",
    "LGD": "LG Display", "LGP": "LG Philips", "LPL": "LG Philips LCD", "MAX": "Belinea", "MEL": "Mitsubishi",
    "MSI": "MSI", "NEC": "NEC", "PHL": "Philips", "QDS": "Quanta Display", "SAM": "Samsung",
    "SDC": "Samsung Display", "SEC": "Samsung", "SHP": "Sharp", "SNY": "Sony", "TOS": "Toshiba",
    "VSC": "ViewSonic",
}  # fmt: skip
"""Makers by their PNP ID (UEFI Forum's list), those that workshops meet."""


def displays(files: SystemFiles, reading: Reading) -> tuple[Display, ...] | None:
    """What is connected; ``None`` where no graphics driver has connectors."""
    names = children(files, _FOLDER)
    found, connectors = [], 0
    for name in names or ():
        connector = _CONNECTOR.fullmatch(name)
        if connector is None:
            continue
        connectors += 1
        if word(files, f"{_FOLDER}/{name}/status") != "connected":
            continue
        found.append(describe_display(connector[1], raw(files, f"{_FOLDER}/{name}/edid") or b"", reading))
    return tuple(found) if connectors else None


def describe_display(connector: str, data: bytes, reading: Reading) -> Display:
    """The display on ``connector`` whose EDID is ``data``; a bad one is said, and tells nothing."""
    internal = connector.startswith(_BUILT_IN)
    if not data:
        reading.note(f"the display on {connector} gives no EDID")
        return Display(connector, internal)
    try:
        edid = decode_edid(data)
    except EdidError as error:
        reading.note(f"the EDID of the display on {connector} cannot be used: {error}")
        return Display(connector, internal)
    where = f"of the display on {connector}"
    number = str(edid.serial_number) if edid.serial_number is not None else None
    return Display(
        connector=connector,
        internal=internal,
        manufacturer=_MAKERS.get(edid.manufacturer_id or ""),
        manufacturer_id=edid.manufacturer_id,
        model=reading.text(f"the model {where}", edid.name),
        product_code=edid.product_code,
        serial=reading.serial(f"the serial number {where}", edid.serial_text) or number,
        year=edid.year,
        native_width=edid.native[0] if edid.native is not None else None,
        native_height=edid.native[1] if edid.native is not None else None,
        width_mm=edid.size_mm[0] if edid.size_mm is not None else None,
        height_mm=edid.size_mm[1] if edid.size_mm is not None else None,
        diagonal_inches=edid.diagonal_inches,
    )
