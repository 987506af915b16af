"""Capacity that a drive hides: found, and lifted before the erase (HPA and DCO: ATA8-ACS; AMA: ACS-4).

Three mechanisms, one on top of the other::

    accessible sectors  <=  native sectors (HPA or AMA)  <=  factory sectors (DCO)

Each is present, absent or unknown; unknown whenever an answer that should tell is missing, damaged or in
contradiction to another. What stays hidden, or may be there, is a residual risk in words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from rasura.certificate import Presence
from rasura.errors import RasuraError
from rasura_agent.drive.ata.dco import DcoIdentify, dco_identify, dco_restore, decode_dco_identify
from rasura_agent.drive.ata.hidden import (
    ama_get_native_max_address,
    ama_set,
    decode_max_lba,
    hidden_sectors,
    read_native_max_address,
    read_native_max_address_ext,
    set_max_address,
    set_max_address_ext,
)
from rasura_agent.drive.ata.identify import IdentifyDevice
from rasura_agent.drive.ata.status import Error
from rasura_agent.drive.port import AtaCommand, Disposition
from rasura_agent.erase.firmware.ata_drive import Silence, is_reset_signature, read_identify
from rasura_agent.erase.firmware.line import CommandRecord, Line

__all__ = ["HiddenArea", "HiddenAreasFound", "Lifted", "find", "lift", "residual_risks"]


class HiddenArea(msgspec.Struct, frozen=True):
    """One mechanism. ``sectors`` is how many there are without it, ``None`` where that is not known."""

    presence: Presence
    detail: str
    sectors: int | None = None


class HiddenAreasFound(msgspec.Struct, frozen=True):
    """What a drive hides. All sizes are counts of logical sectors of ``logical_sector_bytes``.

    ``lba48``: the 48-bit commands are the ones to use.
    """

    accessible_sectors: int | None
    logical_sector_bytes: int | None
    lba48: bool
    hpa: HiddenArea
    ama: HiddenArea
    dco: HiddenArea

    @property
    def areas(self) -> tuple[tuple[str, HiddenArea], ...]:
        """The three, each with its name."""
        return (("HPA", self.hpa), ("AMA", self.ama), ("DCO", self.dco))

    @property
    def native_sectors(self) -> int | None:
        """All sectors the drive was made with for its user, ``None`` where the unknown may hide some."""
        if self.dco.sectors is not None:
            return self.dco.sectors
        if any(area.presence is Presence.UNKNOWN for _, area in self.areas):
            return None
        told = [area.sectors for _, area in self.areas if area.sectors is not None]
        return max(told, default=self.accessible_sectors)

    @property
    def native_bytes(self) -> int | None:
        """The same in bytes."""
        if self.native_sectors is None or self.logical_sector_bytes is None:
            return None
        return self.native_sectors * self.logical_sector_bytes


def find(line: Line, identify: IdentifyDevice) -> HiddenAreasFound:
    """Ask the drive for hidden areas; reads only.

    ``identify`` must be fresh: SET MAX ADDRESS changes it. A mechanism that its valid words do not list
    is absent without being asked for.
    """
    lba48 = bool(identify.features.lba48_supported)
    features = identify.features
    hpa = _listed(features.hpa_supported) or _native(line, identify, _hpa_native(lba48))
    ama_supported = features.ama_supported
    if ama_supported is None and features.hpa_supported is not None:
        # Words 119 and 120 are younger than 82 and 83: a drive that has only these is older than AMA.
        ama_supported = False
    ama = _listed(ama_supported) or _native(line, identify, ama_get_native_max_address())
    dco = _listed(features.dco_supported) or _overlay(line, identify, hpa, ama)
    return HiddenAreasFound(identify.sectors, identify.logical_sector_bytes, lba48, hpa, ama, dco)


def _hpa_native(lba48: bool) -> AtaCommand:
    return read_native_max_address_ext() if lba48 else read_native_max_address()


def _unknown(detail: str) -> HiddenArea:
    return HiddenArea(Presence.UNKNOWN, detail)


def _listed(supported: bool | None) -> HiddenArea | None:
    """What IDENTIFY DEVICE settles by itself; ``None``: the drive is to be asked."""
    if supported is None:
        return _unknown("the drive does not say whether it has the feature set")
    return None if supported else HiddenArea(Presence.ABSENT, "the drive does not have the feature set")


def _read_native(line: Line, command: AtaCommand) -> int | Silence:
    """The last native address, by READ or GET NATIVE MAX ADDRESS (EXT)."""
    completion = line.execute(command)
    if completion.disposition is not Disposition.DONE or completion.ata is None:
        return Silence(completion.detail)
    if is_reset_signature(completion):
        return Silence(f"{command.name}: a reset answered in its place")
    try:
        return decode_max_lba(command, completion.ata)
    except RasuraError as error:
        return Silence(str(error))


def _native(line: Line, identify: IdentifyDevice, command: AtaCommand) -> HiddenArea:
    native = _read_native(line, command)
    if isinstance(native, Silence):
        return _unknown(native.detail)
    if identify.sectors is None:
        return _unknown("the drive does not say how many sectors are accessible")
    try:
        hidden = hidden_sectors(native, identify.sectors)
    except RasuraError as error:
        return _unknown(str(error))
    if not hidden:
        return HiddenArea(Presence.ABSENT, "all native sectors are accessible", native + 1)
    return HiddenArea(Presence.PRESENT, f"{hidden} sectors are hidden", native + 1)


def _overlay(line: Line, identify: IdentifyDevice, hpa: HiddenArea, ama: HiddenArea) -> HiddenArea:
    completion = line.execute(dco_identify())
    if completion.disposition is not Disposition.DONE:
        return _unknown(completion.detail)
    try:
        overlay = decode_dco_identify(completion.data)
    except RasuraError as error:
        return _unknown(str(error))
    if overlay.checksum_valid is not True:
        return _unknown("the checksum of its overlay data is wrong or missing, so the overlay is left alone")
    return _compare(identify, hpa, ama, overlay)


def _compare(identify: IdentifyDevice, hpa: HiddenArea, ama: HiddenArea, overlay: DcoIdentify) -> HiddenArea:
    """An overlay shows by native sectors that are fewer than the factory's, or by a feature set gone."""
    told = [area.sectors for area in (hpa, ama) if area.sectors is not None]
    native = max(told, default=None)
    undecided = Presence.UNKNOWN in {hpa.presence, ama.presence}
    if native is None and (not undecided or identify.sectors == overlay.sectors):
        native = identify.sectors
    if native is None:
        return _unknown(f"{overlay.sectors} factory sectors, but the native sectors are not known")
    hidden = overlay.sectors - native
    if hidden < 0:
        return _unknown(f"its overlay data tells {overlay.sectors} sectors where the drive has {native}")
    security = identify.security is not None and identify.security.supported
    without = " and the Security feature set" if overlay.security and not security else ""
    if hidden or without:
        return HiddenArea(Presence.PRESENT, f"{hidden} sectors{without} are hidden", overlay.sectors)
    return HiddenArea(Presence.ABSENT, "all factory sectors are native", overlay.sectors)


def residual_risks(found: HiddenAreasFound, notes: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """What may be out of reach of an overwrite, as sentences that begin with a code.

    ``notes`` adds to the sentence of the mechanism named (HPA, AMA, DCO).
    """
    words = {
        Presence.PRESENT: "hidden-areas: the {} is there: {}",
        Presence.UNKNOWN: "hidden-areas: whether there is a {} is unknown: {}",
    }
    return tuple(
        "; ".join([words[area.presence].format(name, area.detail), *filter(None, [(notes or {}).get(name)])])
        for name, area in found.areas
        if area.presence is not Presence.ABSENT
    )


class Lifted(msgspec.Struct, frozen=True):
    """What lifting came to.

    ``after`` is ``None`` when the drive fell silent. ``needs_power_cycle``: power must go before more can
    be lifted, or before what was lifted shows; then find and lift again, a few times at most, for a drive
    may go on refusing. ``risks`` are what still is, or may be, hidden, as sentences that begin with a code.
    """

    before: HiddenAreasFound
    after: HiddenAreasFound | None
    needs_power_cycle: bool
    risks: tuple[str, ...]
    records: tuple[CommandRecord, ...]


class _Step(msgspec.Struct, frozen=True):
    """One mechanism's turn: whether a power cycle must follow, and what to say if it stays."""

    power_cycle: bool
    note: str | None = None


def lift(line: Line, before: HiddenAreasFound) -> Lifted:
    """Lift what ``before``, a fresh :func:`find`, has found: HPA and AMA first, an overlay after them.

    A limit is raised for good (SET MAX ADDRESS non-volatile), so that it does not return with the power.
    RESTORE of an overlay is aborted while a limit is set, and one change needs a power cycle before the
    next. A mechanism that is unknown is left alone.
    """
    steps: dict[str, _Step] = {}
    if before.hpa.presence is Presence.PRESENT:
        steps["HPA"] = _raise_limit(line, before.hpa, _hpa_native(before.lba48), _hpa_set(before.lba48))
    if before.ama.presence is Presence.PRESENT:
        steps["AMA"] = _raise_limit(line, before.ama, ama_get_native_max_address(), ama_set)
    if before.dco.presence is Presence.PRESENT:
        steps["DCO"] = _restore(line, before)
    after: HiddenAreasFound | None = before
    if steps:
        identify = read_identify(line)
        after = None if isinstance(identify, Silence) else find(line, identify)
    risks = residual_risks(after or before, {name: step.note for name, step in steps.items() if step.note})
    if after is None:
        risks = (*risks, "hidden-areas: what is hidden now is unknown: the drive fell silent")
    power_cycle = any(step.power_cycle for step in steps.values())
    return Lifted(before, after, power_cycle, risks, tuple(line.records))


def _hpa_set(lba48: bool) -> Callable[[int], AtaCommand]:
    command = set_max_address_ext if lba48 else set_max_address
    return lambda max_lba: command(max_lba, permanent=True)


def _raise_limit(line: Line, area: HiddenArea, read: AtaCommand, make: Callable[[int], AtaCommand]) -> _Step:
    # SET MAX ADDRESS is aborted unless READ NATIVE MAX ADDRESS came immediately before.
    native = _read_native(line, read)
    if isinstance(native, Silence):
        return _Step(False, f"it was not lifted: {native.detail}")
    if native + 1 != area.sectors:
        return _Step(False, f"it was not lifted: the drive now has {native + 1} native sectors")
    sent = line.execute(make(native))
    if sent.disposition is Disposition.DONE and not is_reset_signature(sent):
        return _Step(False)
    if sent.ata is not None and sent.ata.status & 0x01 and sent.ata.error == Error.IDNF:
        return _Step(True, "the drive allows one such change until its power goes")
    if sent.disposition is Disposition.REFUSED:
        why = "it is locked or frozen, or was changed already since power came"
        return _Step(True, f"the drive refuses to lift it ({sent.detail}): {why}")
    return _Step(True, f"whether it was lifted is unknown ({sent.detail})")


def _restore(line: Line, before: HiddenAreasFound) -> _Step:
    limits = {before.hpa.presence, before.ama.presence}
    if Presence.PRESENT in limits:
        return _Step(True, "it can be lifted only after the HPA or AMA is gone and power was off")
    if Presence.UNKNOWN in limits:
        return _Step(False, "it is left alone while it is not known whether an HPA or AMA is set")
    sent = line.execute(dco_restore())
    if sent.disposition is Disposition.DONE and not is_reset_signature(sent):
        return _Step(True, "it was restored to the factory's, from the next power-on")
    if sent.disposition is Disposition.REFUSED:
        return _Step(True, f"the drive refuses to lift it ({sent.detail}): it may be frozen")
    return _Step(True, f"whether it was lifted is unknown ({sent.detail})")
