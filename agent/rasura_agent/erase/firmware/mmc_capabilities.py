"""What an eMMC says it can do, and the hardware partitions it consists of.

The partitions are block devices of their own under Linux (``mmcblk0``, ``mmcblk0boot0``, …). The kernel
selects the partition of the descriptor before every command that comes through it (PARTITION_ACCESS,
``mmc_blk_part_switch``), so a switch that we sent ourselves would be undone before the command after
it, and the erase that was meant for a boot partition would hit the user area. Hence one port a partition.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from rasura.errors import RasuraError
from rasura_agent.drive.mmc.cid import Cid, decode_emmc_cid, parse_cid
from rasura_agent.drive.mmc.commands import send_ext_csd
from rasura_agent.drive.mmc.errors import MmcDecodeError
from rasura_agent.drive.mmc.ext_csd import ExtCsd, decode_ext_csd
from rasura_agent.drive.port import Disposition
from rasura_agent.erase.firmware.line import Line
from rasura_agent.sentence import Sentence

__all__ = ["MmcArea", "MmcCapabilities", "MmcUnreadableError", "read_capabilities", "read_register"]

_HC_WP_GRP_SIZE = 221
"""EXT_CSD: a write-protect group counts this many high-capacity erase groups (JESD84-B51 clause 7.4.31)."""


class MmcUnreadableError(RasuraError):
    """The device does not answer what must be known before it may be erased."""


class MmcArea(IntEnum):
    """PARTITION_ACCESS, PARTITION_CONFIG [179] bits 2:0 (JESD84-B51 clause 7.4.69)."""

    USER = 0
    BOOT_1 = 1
    BOOT_2 = 2
    RPMB = 3
    GP_1 = 4
    GP_2 = 5
    GP_3 = 6
    GP_4 = 7

    @property
    def kernel_suffix(self) -> str:
        """What Linux appends to the name of the whole device, counting from zero."""
        if self is MmcArea.USER:
            return ""
        if self is MmcArea.RPMB:
            return "rpmb"
        return f"boot{self - 1}" if self < MmcArea.RPMB else f"gp{self - 4}"

    @property
    def words(self) -> str:
        """For a person."""
        return self.kernel_suffix or Sentence("the user area")


class MmcCapabilities(msgspec.Struct, frozen=True):
    """One eMMC; sizes are bytes."""

    cid: Cid
    ext_csd: ExtCsd
    user_bytes: int
    write_protect_group_bytes: int
    """0 where the register does not tell it (ERASE_GROUP_DEF cleared)."""

    @property
    def areas(self) -> tuple[tuple[MmcArea, int], ...]:
        """The partitions that an erase has to reach, and their sizes; the user area first."""
        boot = self.ext_csd.boot_partition_bytes
        general = zip(
            (MmcArea.GP_1, MmcArea.GP_2, MmcArea.GP_3, MmcArea.GP_4),
            self.ext_csd.general_purpose_bytes,
            strict=True,
        )
        every = ((MmcArea.USER, self.user_bytes), (MmcArea.BOOT_1, boot), (MmcArea.BOOT_2, boot), *general)
        return tuple((area, size) for area, size in every if size)


def read_capabilities(line: Line, cid: str, capacity_bytes: int) -> MmcCapabilities:
    """Read EXT_CSD and take the CID, which the kernel keeps.

    Args:
        line: to the user area.
        cid: 32 hex digits (sysfs ``cid``).
        capacity_bytes: the size of the block device. Up to 2 GiB, EXT_CSD does not say it.

    Raises:
        MmcUnreadableError: no register came, or it speaks of another size.
        MmcDecodeError: register or CID is none.
    """
    completion = line.execute(send_ext_csd())
    if completion.disposition is not Disposition.DONE:
        raise MmcUnreadableError(f"the EXT_CSD register was not answered: {completion.detail}")
    ext_csd = decode_ext_csd(completion.data)
    if ext_csd.block_addressed and ext_csd.user_area_bytes != capacity_bytes:
        raise MmcUnreadableError(
            f"the device has {ext_csd.user_area_bytes} bytes by its register, {capacity_bytes} by the kernel"
        )
    groups = completion.data[_HC_WP_GRP_SIZE] if ext_csd.erase_group_def else 0
    return MmcCapabilities(
        cid=decode_emmc_cid(parse_cid(cid), ext_csd.rev),
        ext_csd=ext_csd,
        user_bytes=capacity_bytes,
        write_protect_group_bytes=groups * ext_csd.hc_erase_group_bytes,
    )


def read_register(line: Line) -> ExtCsd | str:
    """EXT_CSD as it is at this moment, or in words why it is not to be had."""
    completion = line.execute(send_ext_csd())
    if completion.disposition is not Disposition.DONE:
        return completion.detail
    try:
        return decode_ext_csd(completion.data)
    except MmcDecodeError as error:
        return str(error)
