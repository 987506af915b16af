"""The Extended CSD register of an eMMC, 512 bytes (JESD84-B51 clause 7.4)."""

from __future__ import annotations

from enum import IntEnum, IntFlag

import msgspec

from rasura_agent.drive.mmc.commands import EXT_CSD_BYTES
from rasura_agent.drive.mmc.errors import MmcDecodeError

__all__ = [
    "SECTOR_BYTES",
    "ExtCsd",
    "PreEol",
    "SecureFeatures",
    "SecureRemovalType",
    "decode_ext_csd",
]

SECTOR_BYTES = 512
"""SEC_COUNT and all addresses count sectors of 512 bytes, whatever the native sector is."""

_PARTITION_UNIT_BYTES = 128 * 1024
"""BOOT_SIZE_MULT and RPMB_SIZE_MULT count in these."""
_ERASE_UNIT_BYTES = 512 * 1024
"""HC_ERASE_GRP_SIZE counts in these."""
_TIMEOUT_UNIT_S = 0.3
"""ERASE_TIMEOUT_MULT and TRIM_MULT count in units of 300 ms."""
_REV_4_41 = 5
_REV_4_5 = 6
_REV_5_0 = 7
_REV_MAX = 15
"""Far above any published one (8 is 5.1, 9 the 2025 edition): more is not an EXT_CSD."""


class SecureFeatures(IntFlag):
    """SEC_FEATURE_SUPPORT [231]."""

    SECURE_ER_EN = 1 << 0
    """Secure erase and secure trim."""
    SEC_BD_BLK_EN = 1 << 2
    SEC_GB_CL_EN = 1 << 4
    """Trim and secure trim."""
    SEC_SANITIZE = 1 << 6


class PreEol(IntEnum):
    """PRE_EOL_INFO [267]: how many reserved blocks are used up."""

    NORMAL = 1
    WARNING = 2
    """80 percent."""
    URGENT = 3
    """90 percent."""


class SecureRemovalType(IntEnum):
    """SECURE_REMOVAL_TYPE [16] bits 5:4: what sanitize does to what it removes."""

    ERASE = 0
    OVERWRITE_THEN_ERASE = 1
    OVERWRITE_COMPLEMENT_RANDOM = 2
    VENDOR = 3


class ExtCsd(msgspec.Struct, frozen=True):
    """What an eraser wants to know of an eMMC. Sizes are bytes, times seconds."""

    rev: int
    """EXT_CSD_REV [192]: 5 is eMMC 4.41, 6 is 4.5, 7 is 5.0, 8 is 5.1."""
    sec_count: int
    """SEC_COUNT [215:212]: the user area, in sectors of 512 bytes; 0 on devices up to 2 GiB."""
    secure_features: SecureFeatures
    erase_group_def: bool
    """ERASE_GROUP_DEF [175] bit 0: the high-capacity sizes and times below are in force."""
    hc_erase_group_bytes: int
    hc_erase_group_timeout_s: float
    trim_timeout_s: float
    """For one erase group's worth of trim or discard."""
    sec_erase_mult: int
    """[230]: secure erase takes this many times ERASE_TIMEOUT_MULT."""
    sec_trim_mult: int
    """[229]."""
    discard_supported: bool
    """Discard came with eMMC 4.5 and has no bit of its own."""
    boot_partition_bytes: int
    """Each of boot0 and boot1; 0 if there are none. An explicit target: the user area leaves them out."""
    rpmb_bytes: int
    """The replay-protected block, which no erase reaches."""
    general_purpose_bytes: tuple[int, int, int, int]
    """GP1 to GP4; each that is not 0 is a target of its own."""
    partition_config: int
    """PARTITION_CONFIG [179]: bits 2:0 the partition in access, bits 5:3 the boot partition enabled."""
    partition_setting_completed: bool
    boot_write_protection: int
    """BOOT_WP [173]."""
    boot_write_protection_status: int
    """BOOT_WP_STATUS [174]: bits 1:0 area 1, bits 3:2 area 2; 0 is not protected."""
    user_write_protection: int
    """USER_WP [171]."""
    erased_memory_byte: int
    """What erased memory reads as: 00h or FFh (ERASED_MEM_CONT [181])."""
    secure_removal_type: SecureRemovalType | None
    """Configured for sanitize; ``None`` before eMMC 5.0."""
    firmware_version: bytes | None
    """FIRMWARE_VERSION [261:254], the 8 bytes as they are; ``None`` before eMMC 5.0."""
    pre_eol: PreEol | None
    life_time_a_percent: int | None
    """Upper end of the band of device life used, 10 to 100, and 110 for more; ``None`` if not told."""
    life_time_b_percent: int | None
    cache_bytes: int
    """CACHE_SIZE [252:249]; 0 if there is no volatile cache."""

    @property
    def user_area_bytes(self) -> int:
        """The size of the user area."""
        return self.sec_count * SECTOR_BYTES

    @property
    def block_addressed(self) -> bool:
        """Whether addresses count sectors (above 2 GiB) and not bytes."""
        return self.sec_count > (2 << 30) // SECTOR_BYTES


def decode_ext_csd(data: bytes) -> ExtCsd:
    """Decode the 512 bytes that CMD8 returns.

    Raises:
        MmcDecodeError: not 512 bytes, all the same byte (a line stuck, no device), or an absurd revision.
    """
    if len(data) != EXT_CSD_BYTES:
        raise MmcDecodeError(f"the EXT_CSD register has {len(data)} bytes instead of {EXT_CSD_BYTES}")
    if data.count(data[0]) == EXT_CSD_BYTES:
        raise MmcDecodeError(f"the EXT_CSD register is {data[0]:02X}h throughout: no device filled it in")
    rev = data[192]
    if rev > _REV_MAX:
        raise MmcDecodeError(f"EXT_CSD revision {rev} does not exist")
    erase_group = data[224] * _ERASE_UNIT_BYTES
    write_group = data[221] * erase_group
    removal = SecureRemovalType(data[16] >> 4 & 0b11)
    return ExtCsd(
        rev=rev,
        sec_count=_number(data, 215, 212),
        secure_features=SecureFeatures(data[231]) if rev >= _REV_4_41 else SecureFeatures(0),
        erase_group_def=bool(data[175] & 1),
        hc_erase_group_bytes=erase_group,
        hc_erase_group_timeout_s=data[223] * _TIMEOUT_UNIT_S,
        trim_timeout_s=data[232] * _TIMEOUT_UNIT_S,
        sec_erase_mult=data[230],
        sec_trim_mult=data[229],
        discard_supported=rev >= _REV_4_5,
        boot_partition_bytes=data[226] * _PARTITION_UNIT_BYTES,
        rpmb_bytes=data[168] * _PARTITION_UNIT_BYTES,
        general_purpose_bytes=(
            _number(data, 145, 143) * write_group,
            _number(data, 148, 146) * write_group,
            _number(data, 151, 149) * write_group,
            _number(data, 154, 152) * write_group,
        ),
        partition_config=data[179],
        partition_setting_completed=bool(data[155] & 1),
        boot_write_protection=data[173],
        boot_write_protection_status=data[174],
        user_write_protection=data[171],
        erased_memory_byte=0xFF if data[181] else 0x00,
        secure_removal_type=removal if rev >= _REV_5_0 else None,
        firmware_version=data[254:262] if rev >= _REV_5_0 else None,
        pre_eol=_pre_eol(data[267]) if rev >= _REV_5_0 else None,
        life_time_a_percent=_life_time(data[268]) if rev >= _REV_5_0 else None,
        life_time_b_percent=_life_time(data[269]) if rev >= _REV_5_0 else None,
        # CACHE_SIZE counts kilobits.
        cache_bytes=_number(data, 252, 249) * 1024 // 8 if rev >= _REV_4_5 else 0,
    )


def _number(data: bytes, high: int, low: int) -> int:
    return int.from_bytes(data[low : high + 1], "little")


def _pre_eol(value: int) -> PreEol | None:
    return PreEol(value) if PreEol.NORMAL <= value <= PreEol.URGENT else None


def _life_time(value: int) -> int | None:
    # 01h to 0Ah: up to that many tenths; 0Bh: more than the estimated life; 00h: not defined.
    return value * 10 if 0x01 <= value <= 0x0B else None
