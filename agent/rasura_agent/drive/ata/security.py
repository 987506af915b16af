"""The Security feature set: commands F1h to F6h, and what IDENTIFY words 89, 90, 92 and 128 say of it.

Every data block is 512 bytes of PIO data-out (ACS-4, SECURITY SET PASSWORD and its siblings): control
bits in word 0, the password in words 1 to 16, and for a master password its identifier in word 17.
"""

from __future__ import annotations

from enum import Enum, IntEnum

import msgspec

from rasura_agent.drive.ata.errors import AtaDecodeError, AtaEncodeError
from rasura_agent.drive.ata.words import ATA_SECTOR_BYTES, bit, to_words
from rasura_agent.drive.port import AtaCommand, AtaProtocol

__all__ = [
    "PASSWORD_BYTES",
    "EraseEstimate",
    "PasswordBlock",
    "PasswordIdentifier",
    "SecurityLevel",
    "SecurityOpcode",
    "SecurityState",
    "SecurityStatus",
    "decode_erase_estimate",
    "decode_password_block",
    "decode_security_status",
    "erase_timeout_s",
    "security_disable_password",
    "security_erase_prepare",
    "security_erase_unit",
    "security_freeze_lock",
    "security_set_password",
    "security_unlock",
]

PASSWORD_BYTES = 32
"""All 32 bytes of a password count; a shorter one is filled up with zeros here."""

_SHORT_TIMEOUT_S = 30.0
_MASTER_IDENTIFIER_UNSUPPORTED = (0x0000, 0xFFFF)


class SecurityOpcode(IntEnum):
    """COMMAND field of the Security feature set."""

    SET_PASSWORD = 0xF1
    UNLOCK = 0xF2
    ERASE_PREPARE = 0xF3
    ERASE_UNIT = 0xF4
    FREEZE_LOCK = 0xF5
    DISABLE_PASSWORD = 0xF6


class SecurityState(Enum):
    """States of the Security state machine (ACS-4, Security feature set)."""

    SEC0 = "powered down, security disabled"
    SEC1 = "security disabled, not frozen"
    SEC2 = "security disabled, frozen"
    SEC3 = "powered down, security enabled"
    SEC4 = "security enabled, locked"
    SEC5 = "security enabled, unlocked, not frozen"
    SEC6 = "security enabled, unlocked, frozen"


class SecurityLevel(Enum):
    """MASTER PASSWORD CAPABILITY: whether the master password may unlock (high) or only erase (maximum)."""

    HIGH = 0
    MAXIMUM = 1


class PasswordIdentifier(Enum):
    """IDENTIFIER bit: which of the two passwords a command carries."""

    USER = 0
    MASTER = 1


class EraseEstimate(msgspec.Struct, frozen=True):
    """How long the drive says a SECURITY ERASE UNIT takes; when ``saturated``, more than ``seconds``."""

    seconds: int
    saturated: bool


class SecurityStatus(msgspec.Struct, frozen=True):
    """What IDENTIFY DEVICE says of the Security feature set. Estimates are ``None`` where not reported."""

    supported: bool
    enabled: bool
    locked: bool
    frozen: bool
    count_expired: bool
    enhanced_erase_supported: bool
    level: SecurityLevel
    normal_erase: EraseEstimate | None
    enhanced_erase: EraseEstimate | None
    master_password_identifier: int | None
    """FFFEh is what drives leave the factory with; ``None`` where the drive keeps no identifier."""

    @property
    def state(self) -> SecurityState | None:
        """SEC1, SEC2, SEC4, SEC5 or SEC6; ``None`` if unsupported, or if the bits contradict each other.

        SEC0 and SEC3 are states of a drive without power and never seen.
        """
        if not self.supported:
            return None
        return _STATES.get((self.enabled, self.locked, self.frozen))


_STATES = {
    # (enabled, locked, frozen); a locked drive cannot be frozen, nor a disabled one locked.
    (False, False, False): SecurityState.SEC1,
    (False, False, True): SecurityState.SEC2,
    (True, True, False): SecurityState.SEC4,
    (True, False, False): SecurityState.SEC5,
    (True, False, True): SecurityState.SEC6,
}


def decode_erase_estimate(word: int) -> EraseEstimate | None:
    """Read word 89 or 90, in units of two minutes; ``None`` when the drive reports no time.

    Bit 15 one is the extended format (bits 14:0, 7FFFh for more than 65,532 minutes), bit 15 zero
    the older one (bits 7:0, FFh for more than 508 minutes).
    """
    extended = bit(word, 15)
    value = word & (0x7FFF if extended else 0xFF)
    if value == 0:
        return None
    saturated = value == (0x7FFF if extended else 0xFF)
    return EraseEstimate((value - 1 if saturated else value) * 2 * 60, saturated)


def decode_security_status(words: tuple[int, ...]) -> SecurityStatus | None:
    """Read words 89, 90, 92 and 128 of IDENTIFY data; ``None`` when word 128 is FFFFh, that is, not given."""
    word = words[128]
    if word == 0xFFFF:
        return None
    identifier = words[92]
    return SecurityStatus(
        supported=bit(word, 0),
        enabled=bit(word, 1),
        locked=bit(word, 2),
        frozen=bit(word, 3),
        count_expired=bit(word, 4),
        enhanced_erase_supported=bit(word, 5),
        level=SecurityLevel(word >> 8 & 1),
        normal_erase=decode_erase_estimate(words[89]),
        enhanced_erase=decode_erase_estimate(words[90]),
        master_password_identifier=None if identifier in _MASTER_IDENTIFIER_UNSUPPORTED else identifier,
    )


def erase_timeout_s(estimate_s: int | None, saturated: bool, capacity_bytes: int) -> float:
    """Seconds to wait for SECURITY ERASE UNIT before calling its outcome unknown.

    The larger of the drive's own estimate plus 60 minutes (90 when it is saturated), and the time
    that writing the whole capacity at 30 MiB/s takes plus 30 minutes: drives report 2 minutes for hours.
    """
    by_capacity = capacity_bytes / (30 * 2**20) + 30 * 60
    if estimate_s is None:
        return by_capacity
    return max(estimate_s + (90 if saturated else 60) * 60.0, by_capacity)


class PasswordBlock(msgspec.Struct, frozen=True):
    """The 512 bytes that SET PASSWORD, UNLOCK, ERASE UNIT and DISABLE PASSWORD carry.

    ``enhanced`` means something to ERASE UNIT only, ``level`` and ``master_password_identifier`` to
    SET PASSWORD only. ``password`` is 32 bytes.
    """

    password: bytes
    identifier: PasswordIdentifier = PasswordIdentifier.USER
    enhanced: bool = False
    level: SecurityLevel = SecurityLevel.HIGH
    master_password_identifier: int = 0

    def encode(self) -> bytes:
        """Lay the block out; raises ``AtaEncodeError`` for what does not fit."""
        if len(self.password) > PASSWORD_BYTES:
            raise AtaEncodeError(
                f"an ATA password has at most {PASSWORD_BYTES} bytes, not {len(self.password)}"
            )
        if not 0 <= self.master_password_identifier <= 0xFFFF:
            raise AtaEncodeError("a master password identifier has 16 bits")
        control = self.identifier.value | self.enhanced << 1 | self.level.value << 8
        head = (
            control.to_bytes(2, "little")
            + self.password.ljust(PASSWORD_BYTES, b"\0")
            + self.master_password_identifier.to_bytes(2, "little")
        )
        return head.ljust(ATA_SECTOR_BYTES, b"\0")


def decode_password_block(data: bytes) -> PasswordBlock:
    """Read a block back; raises ``AtaDecodeError`` unless it is 512 bytes with every reserved bit zero."""
    words = to_words(data, "a security data block")
    if words[0] & ~0x0103 or any(words[18:]):
        raise AtaDecodeError("a security data block has reserved bits set")
    return PasswordBlock(
        password=data[2 : 2 + PASSWORD_BYTES],
        identifier=PasswordIdentifier(words[0] & 1),
        enhanced=bit(words[0], 1),
        level=SecurityLevel(words[0] >> 8 & 1),
        master_password_identifier=words[17],
    )


def _data_out(name: str, opcode: SecurityOpcode, block: PasswordBlock, timeout_s: float) -> AtaCommand:
    return AtaCommand(
        name=name,
        command=opcode,
        protocol=AtaProtocol.PIO_OUT,
        count=1,  # the drive ignores it; the pass-through takes the length of the data from it
        data_out=block.encode(),
        timeout_s=timeout_s,
    )


def security_set_password(
    password: bytes,
    identifier: PasswordIdentifier = PasswordIdentifier.USER,
    *,
    level: SecurityLevel = SecurityLevel.HIGH,
    master_password_identifier: int = 0,
) -> AtaCommand:
    """SECURITY SET PASSWORD: a user password takes SEC1 to SEC5, and SEC4 after the next power-on.

    ``level`` belongs to the user password and ``master_password_identifier`` (1 to FFFEh; 0 keeps the
    present one) to the master password; the other combinations raise ``AtaEncodeError``.
    """
    if identifier is PasswordIdentifier.MASTER and level is not SecurityLevel.HIGH:
        raise AtaEncodeError("the security level is set together with the user password")
    if identifier is PasswordIdentifier.USER and master_password_identifier:
        raise AtaEncodeError("only a master password has an identifier")
    block = PasswordBlock(
        password, identifier, level=level, master_password_identifier=master_password_identifier
    )
    return _data_out("SECURITY SET PASSWORD", SecurityOpcode.SET_PASSWORD, block, _SHORT_TIMEOUT_S)


def security_unlock(password: bytes, identifier: PasswordIdentifier = PasswordIdentifier.USER) -> AtaCommand:
    """SECURITY UNLOCK: SEC4 to SEC5. A wrong password is aborted and uses up one of five attempts."""
    return _data_out(
        "SECURITY UNLOCK", SecurityOpcode.UNLOCK, PasswordBlock(password, identifier), _SHORT_TIMEOUT_S
    )


def security_erase_prepare() -> AtaCommand:
    """SECURITY ERASE PREPARE, which must come immediately before SECURITY ERASE UNIT."""
    return AtaCommand("SECURITY ERASE PREPARE", SecurityOpcode.ERASE_PREPARE)


def security_erase_unit(
    password: bytes,
    identifier: PasswordIdentifier = PasswordIdentifier.USER,
    *,
    enhanced: bool,
    timeout_s: float,
) -> AtaCommand:
    """SECURITY ERASE UNIT: blocks until the drive is erased and back in SEC1.

    ``enhanced`` is explicit because it is another erase, not a stronger flag; ``timeout_s`` comes from
    :func:`erase_timeout_s`.
    """
    mode = "ENHANCED" if enhanced else "NORMAL"
    block = PasswordBlock(password, identifier, enhanced=enhanced)
    return _data_out(f"SECURITY ERASE UNIT ({mode})", SecurityOpcode.ERASE_UNIT, block, timeout_s)


def security_freeze_lock() -> AtaCommand:
    """SECURITY FREEZE LOCK: SEC1 to SEC2, SEC5 to SEC6, until the next power-on or hardware reset."""
    return AtaCommand("SECURITY FREEZE LOCK", SecurityOpcode.FREEZE_LOCK)


def security_disable_password(
    password: bytes, identifier: PasswordIdentifier = PasswordIdentifier.USER
) -> AtaCommand:
    """SECURITY DISABLE PASSWORD: SEC5 to SEC1."""
    return _data_out(
        "SECURITY DISABLE PASSWORD",
        SecurityOpcode.DISABLE_PASSWORD,
        PasswordBlock(password, identifier),
        _SHORT_TIMEOUT_S,
    )
