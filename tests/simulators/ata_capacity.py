"""What hides sectors of a simulated ATA drive: HPA and DCO (ATA8-ACS), AMA (ACS-4 clause 4.2).

Sizes are counts of sectors; addresses in commands are the last sector's, one less.
"""

from __future__ import annotations

from enum import Enum, IntEnum

from simulators.ata_identify import LBA28_SECTORS, SECTOR, dco_identify, is_sealed
from simulators.ata_options import (
    ABORTED,
    DEVICE_LBA,
    GOOD,
    AtaOptions,
    Error,
    Opcode,
    Outputs,
    Protocol,
    Registers,
    failure,
    good,
)

_PRESERVE = 0x01
"""COUNT bit 0 of SET MAX ADDRESS: the new size outlives a power cycle."""


class OverlayState(Enum):
    """States of the configuration overlay (ATA8-ACS figure 6)."""

    DCO0 = "factory configuration"
    DCO1 = "locked"
    DCO2 = "reduced configuration"


class OverlayFeature(IntEnum):
    """FEATURE field of DEVICE CONFIGURATION."""

    RESTORE = 0xC0
    FREEZE_LOCK = 0xC1
    IDENTIFY = 0xC2
    SET = 0xC3


_OVERLAY_PROTOCOLS: dict[int, Protocol] = {
    OverlayFeature.IDENTIFY: Protocol.PIO_IN,
    OverlayFeature.SET: Protocol.PIO_OUT,
}


class AccessibleMaxFeature(IntEnum):
    """FEATURE field of ACCESSIBLE MAX ADDRESS CONFIGURATION."""

    GET_NATIVE_MAX_ADDRESS_EXT = 0x0000
    SET_ACCESSIBLE_MAX_ADDRESS_EXT = 0x0001
    FREEZE_ACCESSIBLE_MAX_ADDRESS_EXT = 0x0002


class Capacity:
    """How many sectors the drive has, admits to, and lets anyone reach."""

    __slots__ = (
        "_ama_frozen",
        "_ama_sectors",
        "_ama_set",
        "_ext_used",
        "_hpa_sectors",
        "_legacy_used",
        "_non_volatile_set",
        "_options",
        "_overlay_locked",
        "_overlay_sectors",
        "_volatile_sectors",
        "factory_sectors",
        "security_removed",
    )

    def __init__(self, options: AtaOptions, factory_sectors: int) -> None:
        self._options = options
        self.factory_sectors = factory_sectors
        self._overlay_sectors = options.dco_sectors
        self._hpa_sectors = options.hpa_sectors
        self._ama_sectors = options.ama_sectors
        self.security_removed = False
        self.power_on()

    def power_on(self) -> None:
        """Volatile sizes, freeze locks and once-per-power-cycle limits end."""
        self._volatile_sectors: int | None = None
        self._non_volatile_set = False
        self._ext_used = False
        self._legacy_used = False
        self._ama_set = False
        self._ama_frozen = False
        self._overlay_locked = False

    @property
    def native_sectors(self) -> int:
        """What READ NATIVE MAX ADDRESS and GET NATIVE MAX ADDRESS admit to."""
        return self.factory_sectors if self._overlay_sectors is None else self._overlay_sectors

    @property
    def sectors(self) -> int:
        """What IDENTIFY DEVICE says and media access reaches."""
        limit = self._hpa_sectors if self._volatile_sectors is None else self._volatile_sectors
        return min(
            self.native_sectors,
            *(s for s in (limit, self._ama_sectors) if s is not None),
            self.factory_sectors,
        )

    @property
    def has_host_protected_area(self) -> bool:
        """Whether SET MAX ADDRESS hides anything now."""
        limit = self._hpa_sectors if self._volatile_sectors is None else self._volatile_sectors
        return limit is not None and limit < self.native_sectors

    @property
    def overlay_state(self) -> OverlayState:
        """The overlay's state."""
        if self._overlay_locked:
            return OverlayState.DCO1
        reduced = self._overlay_sectors is not None or self.security_removed
        return OverlayState.DCO2 if reduced else OverlayState.DCO0

    # Host Protected Area

    def read_native_max(self, registers: Registers) -> Outputs:
        """F8h and 27h."""
        if not self._options.hpa or not registers.device & DEVICE_LBA:
            return ABORTED
        last = self.native_sectors - 1
        if registers.ext:
            return good(lba=last)
        last = min(last, LBA28_SECTORS)
        return good(lba=last & 0xFFFFFF, device=DEVICE_LBA | last >> 24)

    def set_max(self, registers: Registers, previous: int) -> Outputs:
        """F9h with FEATURE 00h, and 37h. ``previous`` is the command that completed immediately before."""
        ext = registers.ext
        wanted = Opcode.READ_NATIVE_MAX_ADDRESS_EXT if ext else Opcode.READ_NATIVE_MAX_ADDRESS
        address = registers.lba if ext else registers.lba28
        if (
            not self._options.hpa
            or previous != wanted
            or not registers.device & DEVICE_LBA
            or registers.count & ~_PRESERVE
            # SET MAX SET PASSWORD, LOCK, UNLOCK and FREEZE LOCK (word 83 bit 8) are not supported.
            or (registers.feature and not ext)
            # A size set by one of the two commands cannot be changed by the other in the same power cycle.
            or (self._legacy_used if ext else self._ext_used)
            or address >= self.native_sectors
        ):
            return ABORTED
        if registers.count & _PRESERVE:
            if self._non_volatile_set:
                return failure(Error.ID_NOT_FOUND)
            self._non_volatile_set = True
            self._hpa_sectors = address + 1
            self._volatile_sectors = None
        else:
            self._volatile_sectors = address + 1
        if ext:
            self._ext_used = True
            return good(lba=address)
        self._legacy_used = True
        return good(lba=address & 0xFFFFFF, device=DEVICE_LBA | address >> 24)

    # Accessible Max Address Configuration

    def accessible_max(self, registers: Registers) -> Outputs:
        """78h. A new size is always kept over power cycles, and only one may be set in each."""
        if not self._options.ama or registers.count:
            return ABORTED
        feature, lba = registers.feature, registers.lba
        if feature == AccessibleMaxFeature.GET_NATIVE_MAX_ADDRESS_EXT and not lba:
            return good(lba=self.native_sectors - 1)
        if feature == AccessibleMaxFeature.FREEZE_ACCESSIBLE_MAX_ADDRESS_EXT and not lba:
            self._ama_frozen = True
            return GOOD
        usable = not self._ama_frozen and not self._ama_set and lba < self.native_sectors
        if feature == AccessibleMaxFeature.SET_ACCESSIBLE_MAX_ADDRESS_EXT and usable:
            self._ama_set = True
            self._ama_sectors = lba + 1
            return GOOD
        return ABORTED

    # Device Configuration Overlay

    def configuration(self, registers: Registers) -> Outputs:
        """B1h. Locked (DCO1), it refuses everything until power goes."""
        feature = registers.feature
        if not self._options.dco or self._overlay_locked:
            return ABORTED
        if registers.protocol != _OVERLAY_PROTOCOLS.get(feature, Protocol.NON_DATA):
            return ABORTED
        if feature == OverlayFeature.IDENTIFY:
            page = dco_identify(
                self.factory_sectors - 1, security=self._options.security, hpa=self._options.hpa
            )
            return good(data_in=page)
        if feature == OverlayFeature.FREEZE_LOCK:
            self._overlay_locked = True
            return GOOD
        if feature == OverlayFeature.RESTORE:
            return self._restore()
        return self._reduce(registers.data_out) if feature == OverlayFeature.SET else ABORTED

    def _restore(self) -> Outputs:
        """DEVICE CONFIGURATION RESTORE: DCO2 to DCO0, and only without a host protected area."""
        if self.has_host_protected_area or self.overlay_state is not OverlayState.DCO2:
            return ABORTED
        self._overlay_sectors = None
        self.security_removed = False
        return GOOD

    def _reduce(self, data: bytes) -> Outputs:
        """DEVICE CONFIGURATION SET: DCO0 to DCO2. Of the features, only security can be taken away here."""
        if self.has_host_protected_area or self.overlay_state is not OverlayState.DCO0:
            return ABORTED
        if len(data) != SECTOR or not is_sealed(data) or data[:2] != b"\2\0":
            return ABORTED
        address = int.from_bytes(data[6:14], "little")
        offered = dco_identify(0, security=self._options.security, hpa=self._options.hpa)
        if address >= self.factory_sectors or any(data[i] & ~offered[i] for i in (14, 15)):
            return ABORTED
        self._overlay_sectors = address + 1 if address + 1 < self.factory_sectors else None
        self.security_removed = self._options.security and not data[14] & 0x08
        return GOOD
