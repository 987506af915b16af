"""The Security feature set of a simulated ATA drive (ACS-4 clause 4.18): states SEC0 to SEC6.

SEC0 and SEC3 are a drive without power; the others are told apart by three bits.
"""

from __future__ import annotations

from enum import Enum

from simulators.ata_identify import SECTOR
from simulators.ata_options import AtaOptions

ATTEMPTS = 5
"""Failed SECURITY UNLOCKs until the drive refuses more (ACS-4 clause 4.18.9)."""

_MASTER = 0x01
_ENHANCED = 0x02
_PASSWORD = slice(2, 34)


class SecurityState(Enum):
    """States of ACS-4 figure 12 in which a drive has power."""

    SEC1 = "security disabled, not frozen"
    SEC2 = "security disabled, frozen"
    SEC4 = "security enabled, locked"
    SEC5 = "security enabled, unlocked, not frozen"
    SEC6 = "security enabled, unlocked, frozen"


class Security:
    """Passwords, level, lock and freeze. Every command answers whether it was accepted."""

    __slots__ = (
        "_master",
        "_master_identifier",
        "_options",
        "_user",
        "attempts_left",
        "frozen",
        "locked",
        "maximum",
    )

    def __init__(self, options: AtaOptions) -> None:
        self._options = options
        self._user = options.user_password
        self._master = options.master_password
        self._master_identifier = options.master_identifier
        self.maximum = options.maximum_level and self._user is not None
        self.power_on()
        if options.attempts_expired:
            self.attempts_left = 0

    def power_on(self) -> None:
        """SEC0 to SEC1, or SEC3 to SEC4."""
        self.frozen = False
        self.locked = self._user is not None
        self.attempts_left = ATTEMPTS

    @property
    def enabled(self) -> bool:
        """Whether a user password is set."""
        return self._user is not None

    @property
    def state(self) -> SecurityState:
        """The state this drive is in."""
        if self._user is None:
            return SecurityState.SEC2 if self.frozen else SecurityState.SEC1
        if self.locked:
            return SecurityState.SEC4
        return SecurityState.SEC6 if self.frozen else SecurityState.SEC5

    @property
    def word_128(self) -> int:
        """Security status in the IDENTIFY DEVICE data."""
        return (
            0x0001
            | self.enabled << 1
            | self.locked << 2
            | self.frozen << 3
            | (self.attempts_left == 0) << 4
            | self._options.enhanced_erase << 5
            | self.maximum << 8
        )

    @property
    def word_92(self) -> int:
        """MASTER PASSWORD IDENTIFIER."""
        return self._master_identifier

    def set_password(self, data: bytes) -> bool:
        """SEC1 or SEC5; a user password leads to SEC5."""
        if self.locked or self.frozen or not _well_formed(data, _MASTER, level=True):
            return False
        if data[0] & _MASTER:
            self._master = data[_PASSWORD]
            identifier = int.from_bytes(data[34:36], "little")
            # 0000h and FFFFh leave the identifier as it was, as does a drive that does not support it.
            if identifier not in {0, 0xFFFF} and self._master_identifier not in {0, 0xFFFF}:
                self._master_identifier = identifier
        else:
            self._user = data[_PASSWORD]
            self.maximum = bool(data[1] & 0x01)
        return True

    def unlock(self, data: bytes) -> bool:
        """SEC4 to SEC5. In SEC4 each wrong password costs one attempt; elsewhere none."""
        if self.frozen or not self.attempts_left or not _well_formed(data, _MASTER):
            return False
        if data[0] & _MASTER and self.maximum:
            return False
        if not self._matches(data):
            if self.locked:
                self.attempts_left -= 1
            return False
        self.locked = False
        return True

    def erase_prepare(self) -> bool:
        """Any state that is not frozen."""
        return not self.frozen

    def may_erase(self, data: bytes) -> bool:
        """Whether SECURITY ERASE UNIT may begin; the master password will do at either level."""
        if self.frozen or not self.attempts_left or not _well_formed(data, _MASTER | _ENHANCED):
            return False
        if data[0] & _ENHANCED and not self._options.enhanced_erase:
            return False
        return self._matches(data)

    def erased(self) -> None:
        """SECURITY ERASE UNIT succeeded: SEC4 or SEC5 to SEC1. The master password stays."""
        self._user = None
        self.locked = False
        self.maximum = False

    def freeze_lock(self) -> bool:
        """SEC1 to SEC2, SEC5 to SEC6; refused in SEC4."""
        if self.locked:
            return False
        self.frozen = True
        return True

    def disable_password(self, data: bytes) -> bool:
        """SEC5 to SEC1."""
        if self.locked or self.frozen or not _well_formed(data, _MASTER):
            return False
        if data[0] & _MASTER and self.maximum:
            return False
        if not self._matches(data):
            return False
        self._user = None
        self.maximum = False
        return True

    def _matches(self, data: bytes) -> bool:
        """Without a user password, IDENTIFIER zero matches nothing (SEC1)."""
        return data[_PASSWORD] == (self._master if data[0] & _MASTER else self._user)


def is_enhanced(data: bytes) -> bool:
    """Whether SECURITY ERASE UNIT data asks for the enhanced mode."""
    return bool(data[0] & _ENHANCED)


def _well_formed(data: bytes, control_bits: int, *, level: bool = False) -> bool:
    """One block; control bits that the command does not define, and all that follows the fields, reserved."""
    if len(data) != SECTOR or data[0] & ~control_bits or data[1] & ~(0x01 if level else 0):
        return False
    return not any(data[36:] if level else data[34:])
