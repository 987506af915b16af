"""Drives for discs: listed, and never erased."""

from __future__ import annotations

import re

from rasura_agent.inventory.attributes import block_attributes, kernel_node
from rasura_agent.inventory.machine_model import OpticalDrive
from rasura_agent.inventory.pages import unit_serial
from rasura_agent.inventory.ports import Sources
from rasura_agent.inventory.sysfs import children, place_of
from rasura_agent.inventory.text import identifier, text, udev_decoded

__all__ = ["optical_drives"]

_NAME = re.compile(r"sr\d+")
_NUMBER = re.compile(r"(\d{1,9}):(\d{1,9})")


def optical_drives(sources: Sources) -> tuple[OpticalDrive, ...]:
    """The optical drives, in the order of their kernel names."""
    names = [name for name in children(sources.files, "/sys/block") or () if _NAME.fullmatch(name)]
    return tuple(_drive(sources, name) for name in names)


def _drive(sources: Sources, name: str) -> OpticalDrive:
    place = place_of(sources.files, f"/sys/block/{name}") or f"/sys/block/{name}"
    attributes = block_attributes(sources.files, place)
    match = _NUMBER.fullmatch(text(attributes.get("dev")) or "")
    known = sources.udev.properties((int(match[1]), int(match[2]))) if match else {}
    encoded = known.get("ID_MODEL_ENC")
    return OpticalDrive(
        path=kernel_node(sources.files, place, name),
        manufacturer=text(attributes.get("device/vendor")),
        model=(text(udev_decoded(encoded)) if encoded else None) or text(attributes.get("device/model")),
        firmware=text(attributes.get("device/rev")),
        serial=unit_serial(attributes.get("device/vpd_pg80")) or identifier(known.get("ID_SERIAL_SHORT")),
    )
